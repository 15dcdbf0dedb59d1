"""What an HTTP client sees of a failing JWKS endpoint: nothing, or a 503 with Retry-After."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import httpx
import pytest

from api.jwks_server import JwksServer
from api.refused_tokens import bearer
from api.tokens import ALGORITHMS, BASE, Signer, jwk, key_signer
from support.api_server import Serve, token
from support.http_contract import problem
from support.polling import wait_until
from support.ports import bound_socket, port_of


def listed(http: httpx.Client, text: str) -> httpx.Response:
    return http.get("/api/tasks", headers=list(bearer(text).headers))


def wait_until_ready(http: httpx.Client) -> None:
    wait_until(lambda: http.get("/health/ready").status_code == 200, "readiness")


def test_without_any_key_the_answer_is_503_until_the_first_fetch(serve: Serve, alice: str) -> None:
    good = key_signer().token(alice)
    with bound_socket() as bound, ExitStack() as stack:
        url = f"http://127.0.0.1:{port_of(bound)}/api/auth/jwks"
        http = stack.enter_context(
            stack.enter_context(serve(BETTER_AUTH_URL=BASE, JWKS_URL=url)).client()
        )
        for _ in range(3):
            response = listed(http, good)
            problem(response, "keys_unavailable")
            assert int(response.headers["retry-after"]) > 0
            assert "www-authenticate" not in response.headers
        unready = http.get("/health/ready")
        assert (unready.status_code, unready.json()["checks"]["keys"]) == (503, "unavailable")
        assert http.get("/health/live").status_code == 200
        # A token that no key could verify is refused, and the shared secret's are accepted.
        problem(listed(http, good + "="), "token_malformed")
        problem(listed(http, key_signer(alg="none").token(alice)), "token_invalid")
        assert listed(http, token(alice)).status_code == 200
        with closing(JwksServer([jwk("EdDSA")], bound)):
            wait_until_ready(http)
            assert listed(http, good).status_code == 200
        # The endpoint stops again, and known keys are used.
        assert listed(http, key_signer().token(alice)).status_code == 200
        assert http.get("/health/ready").status_code == 200


def test_keys_are_rotated_without_a_refused_request(
    serve: Serve, jwks_server: JwksServer, alice: str
) -> None:
    def all_pass(*signers: Signer) -> None:
        for number in range(5):
            for signer in signers:
                assert listed(http, signer.token(alice, jti=number)).status_code == 200

    old, new = key_signer(), key_signer("EdDSA", 1)
    with (
        serve(BETTER_AUTH_SECRET="", BETTER_AUTH_URL=BASE, JWKS_URL=jwks_server.url) as api,
        api.client() as http,
    ):
        all_pass(old)
        problem(listed(http, token(alice)), "token_invalid")
        jwks_server.keys.append(jwk("EdDSA", 1))
        all_pass(new, old)
        assert len(jwks_server.requests) == 2


@pytest.mark.parametrize("how", ["hangs", "hangs in the middle"])
def test_a_token_of_a_known_key_is_no_5xx_while_the_endpoint_hangs(
    how: str, serve: Serve, jwks_server: JwksServer, alice: str
) -> None:
    with (
        serve(BETTER_AUTH_SECRET="", BETTER_AUTH_URL=BASE, JWKS_URL=jwks_server.url) as api,
        api.client() as http,
        ThreadPoolExecutor(4) as pool,
    ):
        wait_until_ready(http)
        jwks_server.behaves = how
        jwks_server.hang()
        invented = [
            pool.submit(listed, http, key_signer(kid=f"no {n}").token(alice)) for n in range(4)
        ]
        for number in range(5):
            for algorithm in ALGORITHMS:
                signer = key_signer(algorithm)
                assert listed(http, signer.token(alice, jti=number)).status_code == 200
        jwks_server.behaves = "ok"
        jwks_server.go_on()
        for waiting in invented:
            problem(waiting.result(30), "token_invalid")
        # A token that comes during a fetch may cause one more.
        assert len(jwks_server.requests) in (2, 3)


def test_no_part_of_a_key_set_or_token_is_logged(
    serve: Serve, jwks_server: JwksServer, alice: str
) -> None:
    """The log says that a fetch failed, and has a line for each request."""
    secret, previous = "s3cret-" * 6, "previ0us-" * 6
    signers = [key_signer(), key_signer("EdDSA", 1), key_signer("ES256", 7)]
    jwks_server.behaves = "HTML"
    settings = {"BETTER_AUTH_SECRET": secret, "BETTER_AUTH_SECRET_PREVIOUS": previous}
    with (
        serve(**settings, BETTER_AUTH_URL=BASE, JWKS_URL=jwks_server.url) as api,
        api.client() as http,
    ):
        sent = [signer.token(alice) for signer in signers]
        sent += [token(alice, secret=secret), token(alice, secret="x" * 40), f"{sent[0]}="]
        assert [listed(http, text).status_code for text in sent] == [503, 503, 503, 200, 401, 401]
        assert api.stop() == 0
    log = api.log.read_text()
    assert log.count('"/api/tasks"') == len(sent)
    assert "the keys could not be fetched" in log
    parts = [part for text in sent for part in text.split(".")]
    for hidden in (*parts, secret, previous, jwk("EdDSA")["x"], "doctype"):
        assert hidden not in log
