"""/docs needs no internet: the server itself has everything that the page loads."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import pytest

from support.api_server import Api, Serve
from support.http_contract import problem

LOADED = re.compile(r"""(?:src|href)\s*=\s*["']([^"']+)["']|url:\s*["']([^"']+)["']""")
LOADED_BY_STYLE = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)["']""")
ASSETS = {
    "/docs/assets/swagger-ui.css": "text/css",
    "/docs/assets/swagger-ui-bundle.js": "text/javascript",
    "/docs/assets/favicon.png": "image/png",
    "/openapi.json": "application/json",
}


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    return [first or second for first, second in pattern.findall(text)]


def test_the_page_loads_only_what_the_server_has(api: Api) -> None:
    with api.client() as client:
        page = client.get("/docs")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert set(found(LOADED, page.text)) == ASSETS.keys()
        assert "//" not in re.sub("<!--.*?-->", "", page.text)
        for url, media_type in ASSETS.items():
            asset = client.get(urljoin("/docs", url))
            assert (asset.status_code, asset.headers["content-type"].split(";")[0]) == (
                200,
                media_type,
            )
            assert len(asset.content) > 1_000


def test_the_style_loads_nothing_from_elsewhere(api: Api) -> None:
    with api.client() as client:
        style = client.get("/docs/assets/swagger-ui.css").text
    loaded = found(LOADED_BY_STYLE, style)
    assert loaded, "the pattern finds something"
    assert {urlsplit(url).scheme for url in loaded} <= {"", "data"}
    assert not [url for url in loaded if url.startswith("//")]


def test_the_script_may_load_nothing_from_elsewhere(api: Api) -> None:
    with api.client() as client:
        policy = client.get("/docs").headers["content-security-policy"]
    directives = {name: sources for name, *sources in map(str.split, policy.split(";"))}
    assert directives["default-src"] == ["'self'"]
    allowed = {source for sources in directives.values() for source in sources}
    assert allowed <= {"'self'", "'unsafe-inline'", "data:"}
    assert "connect-src" not in directives, "default-src applies to it"


def test_a_known_asset_is_not_sent_again(api: Api) -> None:
    with api.client() as client:
        tag = client.get("/docs/assets/swagger-ui-bundle.js").headers["etag"]
        known = client.get("/docs/assets/swagger-ui-bundle.js", headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize("name", ["none.js", "", "%2e%2e%2f__init__.py", "..%2f__init__.py"])
def test_no_other_file_is_served(name: str, api: Api) -> None:
    with api.client() as client:
        problem(client.get(f"/docs/assets/{name}"), "route_not_found")


def test_a_wrong_method_is_a_405_that_lists_the_allowed_ones(api: Api) -> None:
    with api.client() as client:
        for path in ("/docs", "/docs/assets/swagger-ui.css"):
            refused = client.post(path)
            problem(refused, "method_not_allowed")
            assert refused.headers["allow"] == "GET, HEAD"
            assert client.head(path).status_code == 200


@pytest.mark.parametrize(("setting", "there"), [("true", True), ("false", False)])
def test_the_page_can_be_switched_off(setting: str, there: bool, serve: Serve) -> None:
    with serve(TASKAPI_DOCS=setting) as api, api.client() as client:
        for path in ("/docs", "/docs/assets/swagger-ui.css"):
            answered = client.get(path)
            if there:
                assert answered.status_code == 200
            else:
                problem(answered, "route_not_found")
        assert client.get("/openapi.json").status_code == 200
