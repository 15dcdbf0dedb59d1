"""`doctor` and the key set: each way of failing has a message of its own, with what to do."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from cli.doctor_findings import run_doctor
from support.command import Cli
from support.connect_proxy import connect_proxy
from support.ports import closed_port
from support.tls import certified
from taskcli.checks import CheckFailed
from taskcli.checks.keys import key_set

BASE = "https://app.example.com"


@contextmanager
def key_server(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Answers differently at each path; yields host and port."""
    key = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key()))
    answers = {
        "/keys": (200, json.dumps({"keys": [{**key, "kid": "k1"}]})),
        "/empty": (200, '{"keys": []}'),
        "/page": (200, "<!doctype html>"),
        "/moved": (308, ""),
        "/broken": (500, ""),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = answers.get(self.path, (404, ""))
            self.send_response(status)
            if status == 308:
                self.send_header("Location", "/keys")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            """Not to standard error."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        if tls is not None:
            running.socket = tls.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever, args=[0.01])
        thread.start()
        yield f"127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.setenv(f"{name}_proxy", "")


def failure(place: str) -> CheckFailed:
    with pytest.raises(CheckFailed) as failed:
        key_set(place)
    return failed.value


# What the message says, and the beginning of what to do.
FAILURES = {
    "/nothing": ("there is nothing at {url} (404)", "add jwt() to Better Auth's plugins, or"),
    "/moved": (
        "{url} redirects to {base}/keys (308), and redirects are not followed",
        "set JWKS_URL to the address",
    ),
    "/broken": ("{url} answers 500", "correct BETTER_AUTH_URL or JWKS_URL, or look at"),
    "/page": ("{url} has no key set: it is not JSON", "correct BETTER_AUTH_URL or JWKS_URL"),
    "/empty": ("{url} lists no usable key", "sign in once"),
}


@pytest.mark.parametrize("path", FAILURES)
def test_each_answer_without_keys_has_its_message(path: str) -> None:
    message, mend = FAILURES[path]
    with key_server() as address:
        base = f"http://{address}"
        failed = failure(base + path)
        assert str(failed) == message.format(url=base + path, base=base)
        assert str(failed.mend).startswith(mend)
        assert key_set(f"{base}/keys") == "k1 (EdDSA)", "the control"


def test_the_command_says_so(cli: Cli, url: str) -> None:
    with key_server() as address:
        found = [
            run_doctor(cli, url, BETTER_AUTH_URL=BASE, JWKS_URL=f"http://{address}/{path}")["keys"]
            for path in ("keys", "nothing")
        ]
    assert [finding["ok"] for finding in found] == [True, False]
    assert found[0]["message"] == "k1 (EdDSA)"
    assert "(404)" in found[1]["message"] and "jwt()" in found[1]["mend"]


def test_an_address_where_nothing_answers() -> None:
    with closed_port() as port:
        failed = failure(f"http://127.0.0.1:{port}/keys")
    assert "can't be reached (ConnectError)" in str(failed)
    assert str(failed.mend).endswith("or start Better Auth")


def test_a_failure_of_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown certificate, one for another host, and no TLS; a trusted one is the control."""
    (tmp_path / "other").mkdir()
    tls, other = certified(tmp_path, "127.0.0.1"), certified(tmp_path / "other", "localhost")
    with key_server(tls.context) as address:
        place = f"https://{address}/keys"
        unknown = failure(place)
        assert str(unknown) == f"{place}: TLS fails (self-signed certificate)"
        assert "SSL_CERT_FILE" in str(unknown.mend)
        monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))
        assert key_set(place) == "k1 (EdDSA)"
    with key_server(other.context) as address:
        monkeypatch.setenv("SSL_CERT_FILE", str(other.certificate))
        assert "TLS fails (IP address mismatch" in str(failure(f"https://{address}/keys"))
    with key_server() as address:
        assert "TLS fails (" in str(failure(f"https://{address}/keys"))


def test_a_proxy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its password."""
    tls = certified(tmp_path, "keys.example.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))
    place = "https://keys.example.test/keys"
    with key_server(tls.context) as address, connect_proxy(int(address.partition(":")[2])) as proxy:
        monkeypatch.setenv("https_proxy", f"http://me:hidden@{proxy.address}")
        through = f" through the proxy {proxy.address}"
        assert key_set(place) == f"k1 (EdDSA){through}"
        assert str(failure(f"{place}/none")) == f"there is nothing at {place}/none{through} (404)"
        assert proxy.requests == ["CONNECT keys.example.test:443"] * 2
    with closed_port() as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        through = f" through the proxy 127.0.0.1:{port}"
        assert str(failure(place)) == f"{place}{through} can't be reached (ConnectError)"
        # A URL on loopback is asked directly, and no proxy is named.
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        with key_server() as address:
            assert key_set(f"http://{address}/keys") == "k1 (EdDSA)"


def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with key_server() as address:  # it knows no CONNECT
        monkeypatch.setenv("https_proxy", f"http://{address}")
        failed = failure("https://keys.example.test/keys")
    assert "the proxy refuses (501" in str(failed)
    assert "NO_PROXY" in str(failed.mend)
