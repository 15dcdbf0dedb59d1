"""/docs needs no internet: the server itself has everything that the page loads."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import urljoin, urlsplit

import pytest

from support.api_server import Api, Serve
from support.http_contract import problem

LOADED = re.compile(r"""(?:src|href)\s*=\s*["']([^"']+)["']|url:\s*["']([^"']+)["']""")
LOADED_BY_STYLE = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)["']""")
SCRIPT = "/docs/assets/swagger-ui-bundle.js"
ASSETS = {
    "/docs/assets/swagger-ui.css": "text/css",
    SCRIPT: "text/javascript",
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
    [inline] = allowed - {"'self'", "'none'", "'unsafe-inline'", "data:"}
    assert directives["script-src"] == ["'self'", inline], "no other script than the page's"
    assert "connect-src" not in directives, "default-src applies to it"


def test_the_script_in_the_page_is_the_one_that_may_run(api: Api) -> None:
    with api.client() as client:
        page = client.get("/docs")
    [script] = re.findall("<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in page.headers["content-security-policy"]


def test_no_other_page_may_frame_it_and_no_type_is_guessed(api: Api) -> None:
    with api.client() as client:
        for path in ("/docs", *(path for path in ASSETS if path.startswith("/docs"))):
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
        policy = client.get("/docs").headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("range", ["bytes=5-2", "bytes", "bytes=", "bytes=a-b", "lines=0-1"])
def test_a_malformed_range_is_a_problem(range: str, api: Api) -> None:
    with api.client() as client:
        problem(client.get(SCRIPT, headers={"Range": range}), "malformed_request")


def test_a_range_is_sent_and_a_range_beyond_the_end_is_the_whole_file(api: Api) -> None:
    with api.client() as client:
        whole = client.get(SCRIPT)
        part = client.get(SCRIPT, headers={"Range": "bytes=5-9"})
        beyond = client.get(SCRIPT, headers={"Range": f"bytes={len(whole.content)}-"})
    assert (part.status_code, part.content) == (206, whole.content[5:10])
    assert (beyond.status_code, beyond.content) == (200, whole.content)


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
