"""The matrix of `test_bola` has every operation, and refuses one that it does not know."""

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
            found = {
                (cell.method, cell.target, cell.names_other_user)
                for cell in cells
                if cell.name == name
            }
            assert found == {
                (verb, target, names_other_user)
                for verb in ([method, "HEAD"] if method == "GET" else [method])
                for target in (["own", *REFUSED] if "{id}" in path else ["own"])
                for names_other_user in (False, True)
            }


def assert_refused_by_the_matrix(document: Json, message: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        list(matrix(document))


def test_the_matrix_refuses_an_unknown_operation(document: Json) -> None:
    changed = deepcopy(document)
    shared = deepcopy(changed["paths"]["/api/tasks/{id}/complete"])
    changed["paths"]["/api/tasks/{id}/share"] = shared
    shared["patch"]["operationId"] = "share_task"
    assert_refused_by_the_matrix(changed, "add share_task to SUCCESS")


def test_the_matrix_refuses_a_path_with_another_parameter(document: Json) -> None:
    changed = deepcopy(document)
    changed["paths"]["/api/users/{user}/tasks/{id}"] = changed["paths"].pop("/api/tasks/{id}")
    assert_refused_by_the_matrix(changed, "/api/users/{user}/tasks/{id} has more than an id")


def test_the_matrix_refuses_a_health_check_that_needs_a_token(document: Json) -> None:
    changed = deepcopy(document)
    changed["paths"]["/health/live"]["get"]["security"] = [{"bearer": []}]
    assert_refused_by_the_matrix(changed, "is_live needs a token or a task")
