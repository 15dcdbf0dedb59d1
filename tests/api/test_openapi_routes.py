"""Every route is in the OpenAPI document, because other tests take their operations from it."""

from __future__ import annotations

from starlette.routing import Route

from api.openapi_document import operations
from support.http_contract import Json
from taskapi.openapi.standalone import application

DOCUMENTATION = {("GET", "/docs"), ("GET", "/docs/assets/{name}"), ("GET", "/openapi.json")}


def test_every_route_is_in_the_document(document: Json) -> None:
    served: set[tuple[str, str]] = set()
    for route in application().routes:
        assert isinstance(route, Route) and route.methods
        served |= {(method, route.path) for method in route.methods}
    described = {(method, path) for method, path, _ in operations(document).values()}
    expected = described | DOCUMENTATION
    assert served == expected | {("HEAD", path) for method, path in expected if method == "GET"}
