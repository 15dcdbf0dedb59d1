"""Ed25519: S is below the order of the group, and R is no point of small order."""

from __future__ import annotations

import hashlib

import pytest

from api.authenticators import SignatureFault, assert_fault_is_refused, identify
from api.tokens import b64, key_signer, private_key
from taskapi.auth import Authenticator

ORDER = 2**252 + 27742317777372353535851937790883648493


def s_plus_order(_: bytes, good: bytes) -> bytes:
    s = int.from_bytes(good[32:], "little") + ORDER
    return good[:32] + s.to_bytes(32, "little")


def small_order(point: str) -> SignatureFault:
    """Replace R by a point of small order."""
    return lambda _, good: bytes.fromhex(point) + good[32:]


FAULTS: dict[str, SignatureFault] = {
    "S + L": s_plus_order,
    "S = 0": lambda _, good: good[:32] + bytes(32),
    "S = L": lambda _, good: good[:32] + ORDER.to_bytes(32, "little"),
    "R = 0": lambda _, good: bytes(32) + good[32:],
    "R is the identity, S = 0": lambda _, good: b"\1" + bytes(63),
    "R of order 1": small_order("01" + "00" * 31),
    "R of order 2": small_order("ec" + "ff" * 30 + "7f"),
    "R of order 4": small_order("00" * 32),
    "R of order 8": small_order("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "R not canonical": small_order("ee" + "ff" * 30 + "7f"),
    "of the hash": lambda text, _: private_key("EdDSA").sign(hashlib.sha512(text).digest()),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_signature_with_a_wrong_r_or_s_is_refused(
    name: str, authenticator: Authenticator
) -> None:
    await assert_fault_is_refused(authenticator, key_signer(), FAULTS[name])


async def test_a_correct_signature_of_the_same_key_is_accepted(
    authenticator: Authenticator,
) -> None:
    """The control: the faults above are made with the right key."""
    head = key_signer().token("alice").rpartition(".")[0]
    signature = private_key("EdDSA").sign(head.encode())
    assert int.from_bytes(signature[32:], "little") < ORDER
    assert await identify(authenticator, f"{head}.{b64(signature)}") == "alice"
