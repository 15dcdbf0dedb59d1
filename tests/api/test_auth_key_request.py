"""The request for a key set: what it returns, how much it takes, and how long it waits."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from api.jwks_server import JwksServer
from api.loop_clock import Clock
from taskapi.auth import key_request
from taskapi.auth.key_set import UnusableKeySet

LARGEST = 256 * 1024


async def downloaded(url: str) -> bytes:
    async with key_request.client(url) as http:
        return await key_request.download(http, url)


async def test_the_document_is_returned_as_it_is(jwks_server: JwksServer) -> None:
    assert await downloaded(jwks_server.url) == jwks_server.document
    assert jwks_server.requests == ["/api/auth/jwks"]


@pytest.mark.parametrize(
    ("behaves", "status", "location"),
    [
        ("201", 201, None),
        ("redirect", 302, "/moved"),
        ("permanent redirect", 308, "/moved"),
        ("404", 404, None),
        ("500", 500, None),
    ],
)
async def test_another_status_is_named_and_no_redirect_followed(
    behaves: str, status: int, location: str | None, jwks_server: JwksServer
) -> None:
    jwks_server.behaves = behaves
    with pytest.raises(key_request.WrongStatus, match=f"^status {status}$") as refused:
        await downloaded(jwks_server.url)
    assert (refused.value.status, refused.value.location) == (status, location)
    assert jwks_server.requests == ["/api/auth/jwks"]


@pytest.mark.parametrize("size", [LARGEST - 1, LARGEST])
async def test_a_document_may_have_256_kib(size: int, jwks_server: JwksServer) -> None:
    """The control of the larger ones."""
    jwks_server.keys = [{"pad": "x" * (size - len('{"keys": [{"pad": ""}]}'))}]
    assert len(jwks_server.document) == size
    assert await downloaded(jwks_server.url) == jwks_server.document


@pytest.mark.parametrize("behaves", ["a byte too large", "10 MB"])
async def test_a_larger_document_is_refused(behaves: str, jwks_server: JwksServer) -> None:
    jwks_server.behaves = behaves
    with pytest.raises(UnusableKeySet, match=r"^it is too large$"):
        await downloaded(jwks_server.url)


@pytest.mark.parametrize("behaves", ["hangs", "hangs in the middle"])
async def test_the_answer_is_waited_for_for_five_seconds(
    behaves: str, jwks_server: JwksServer, clock: Clock
) -> None:
    clock.stop()
    jwks_server.behaves = behaves
    jwks_server.hang()
    fetching = asyncio.create_task(downloaded(jwks_server.url))
    await clock.wait_until(lambda: jwks_server.requests)
    await clock.forward(4.99)
    await clock.forward(0)
    assert not fetching.done()
    await clock.forward(0.02)
    await clock.forward(0)
    assert fetching.done()
    assert isinstance(fetching.exception(), TimeoutError | httpx.TimeoutException)
