"""A proxy of the environment is used for a key set elsewhere, and not for one on loopback."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from api.authenticators import OpenAuthenticator, identify, refusal_code
from api.jwks_server import JwksServer
from api.tokens import jwk, key_signer
from support.connect_proxy import connect_proxy
from support.polling import wait_until_async
from support.tls import certified
from taskapi.auth import key_request
from taskapi.settings import ConfigurationError

ELSEWHERE = "https://auth.example.test/api/auth/jwks"


@pytest.fixture(autouse=True)
def no_proxy_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@pytest.mark.parametrize("with_mend", [True, False])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_loopback_is_asked_directly(
    variable: str,
    with_mend: bool,
    open_authenticator: OpenAuthenticator,
    jwks_server: JwksServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with connect_proxy(jwks_server.port) as proxy:
        monkeypatch.setenv(variable, f"http://{proxy.address}")
        if not with_mend:
            monkeypatch.setattr(key_request, "is_loopback", lambda _: False)
        authenticator = await open_authenticator(keys_url=jwks_server.url)
        token = key_signer().token("alice")
        if with_mend:
            assert await identify(authenticator, token) == "alice"
            assert proxy.requests == []
        else:
            assert await refusal_code(authenticator, token) == "keys_unavailable"
            assert proxy.requests == [f"GET {jwks_server.url}"]


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_another_host_is_asked_through_the_proxy(
    variable: str,
    open_authenticator: OpenAuthenticator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TLS is between this process and the host: the proxy sees neither path nor keys."""
    tls = certified(tmp_path, "auth.example.test")
    with (
        closing(JwksServer([jwk("EdDSA")], tls=tls.context)) as server,
        connect_proxy(server.port) as proxy,
    ):
        monkeypatch.setenv(variable, f"http://{proxy.address}")
        monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))
        authenticator = await open_authenticator(keys_url=ELSEWHERE)
        jwks = authenticator.jwks
        await wait_until_async(lambda: jwks is not None and jwks.loaded)
        assert await identify(authenticator, key_signer().token("alice")) == "alice"
        assert proxy.requests == ["CONNECT auth.example.test:443"]
        assert server.requests == ["/api/auth/jwks"]
        await authenticator.close()


PROXIES = {
    "none": ({}, None),
    "for https": ({"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
    "for all": ({"ALL_PROXY": "http://p:3128"}, "http://p:3128"),
    "without a scheme": ({"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
    "for http": ({"HTTP_PROXY": "http://p:3128"}, None),
    "excepted": ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "a,.example.test"}, None),
    "excepted with all": ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "*"}, None),
    "others excepted": ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "b.test"}, "http://p:3128"),
}


@pytest.mark.parametrize("name", PROXIES)
def test_the_variables_of_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables, expected = PROXIES[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert key_request.proxy(ELSEWHERE) == expected
    for host in ("localhost:3000", "127.0.0.1", "127.1.2.3:80", "[::1]:3000"):
        assert key_request.proxy(f"https://{host}/api/auth/jwks") is None


@pytest.mark.parametrize("proxy", ["ftp://p", "socks5://p:1080"])
def test_a_proxy_that_cannot_be_used_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="the proxy of HTTPS_PROXY or ALL_PROXY"):
        key_request.client(ELSEWHERE)
