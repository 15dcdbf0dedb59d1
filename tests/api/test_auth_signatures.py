"""A signature that is cut, extended, changed or copied is refused, with each algorithm."""

from __future__ import annotations

import hashlib
from functools import partial

import pytest

from api.authenticators import SignatureFault, assert_fault_is_refused
from api.tokens import ALGORITHMS, Signer, key_signer, secret_signer
from taskapi.auth import Authenticator

SIGNERS = {"HS256": secret_signer(), **{name: key_signer(name) for name in ALGORITHMS}}
ANY: dict[str, SignatureFault] = {
    "one byte less": lambda _, good: good[:-1],
    "first byte less": lambda _, good: good[1:],
    "half": lambda _, good: good[: len(good) // 2],
    "one byte": lambda _, good: good[:1],
    "a zero after": lambda _, good: good + b"\0",
    "a zero before": lambda _, good: b"\0" + good,
    "twice": lambda _, good: good + good,
    "backwards": lambda _, good: good[::-1],
    "zeros": lambda _, good: bytes(len(good)),
    "ones": lambda _, good: b"\xff" * len(good),
    "first bit": lambda _, good: bytes([good[0] ^ 0x80]) + good[1:],
    "last bit": lambda _, good: good[:-1] + bytes([good[-1] ^ 1]),
    "hash of the text": lambda text, _: hashlib.sha256(text).digest(),
    "text itself": lambda text, _: text,
}


@pytest.mark.parametrize("fault", ANY)
@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_a_changed_signature_is_refused(
    algorithm: str, fault: str, authenticator: Authenticator
) -> None:
    await assert_fault_is_refused(authenticator, SIGNERS[algorithm], ANY[fault])


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_the_signature_of_another_token_is_refused(
    algorithm: str, authenticator: Authenticator
) -> None:
    signer = SIGNERS[algorithm]
    await assert_fault_is_refused(authenticator, signer, lambda text, _: signer.sign(text + b"x"))
    await assert_fault_is_refused(
        authenticator, signer, lambda text, _: signer.sign(text.partition(b".")[2])
    )


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_the_signature_of_another_algorithm_is_refused(
    algorithm: str, authenticator: Authenticator
) -> None:
    for other in [signer for name, signer in SIGNERS.items() if name != algorithm]:
        await assert_fault_is_refused(authenticator, SIGNERS[algorithm], partial(_signed_by, other))


def _signed_by(signer: Signer, text: bytes, _: bytes) -> bytes:
    return signer.sign(text)
