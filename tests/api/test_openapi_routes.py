"""No route is kept out of the OpenAPI document, which other tests take for the whole of the API."""

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
    asked = described | DOCUMENTATION
    assert served == asked | {("HEAD", path) for method, path in asked if method == "GET"}
