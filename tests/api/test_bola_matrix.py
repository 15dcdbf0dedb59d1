"""The matrix of `test_bola` leaves no operation out, and takes none that it does not understand."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest

from api.bola_matrix import REFUSED, SUCCESS, WITHOUT_A_USER, matrix
from api.openapi_document import operations
from support.api_server import Api
from support.http_contract import Json


def test_the_matrix_has_every_operation(api: Api) -> None:
    with api.client() as client:
        served = client.get("/openapi.json").json()
    cells = list(matrix(served))
    assert {cell.name for cell in cells} == operations(served).keys() - WITHOUT_A_USER
    assert {cell.name for cell in cells} == SUCCESS.keys()
    for name, (method, path, _) in operations(served).items():
        if name not in WITHOUT_A_USER:
            found = {(cell.method, cell.whose, cell.misled) for cell in cells if cell.name == name}
            assert found == {
                (verb, whose, misled)
                for verb in ([method, "HEAD"] if method == "GET" else [method])
                for whose in (["own", *REFUSED] if "{id}" in path else ["own"])
                for misled in (False, True)
            }


def stops(document: Json, message: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        list(matrix(document))


def test_an_operation_that_it_does_not_know_stops_it(document: Json) -> None:
    changed = deepcopy(document)
    shared = deepcopy(changed["paths"]["/api/tasks/{id}/complete"])
    changed["paths"]["/api/tasks/{id}/share"] = shared
    shared["patch"]["operationId"] = "share_task"
    stops(changed, "say what share_task answers to its own user")


def test_a_path_that_names_more_than_a_task_stops_it(document: Json) -> None:
    changed = deepcopy(document)
    changed["paths"]["/api/users/{user}/tasks/{id}"] = changed["paths"].pop("/api/tasks/{id}")
    stops(changed, "what does /api/users/{user}/tasks/{id} name?")


def test_a_health_check_that_asks_who_is_there_stops_it(document: Json) -> None:
    changed = deepcopy(document)
    changed["paths"]["/health/live"]["get"]["security"] = [{"bearer": []}]
    stops(changed, "whom does is_live answer?")
