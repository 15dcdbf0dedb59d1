"""ECDSA: both numbers in range, in the fixed length of JWS, with the hash of the algorithm."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from api.authenticators import SignatureFault, assert_fault_is_refused, identify
from api.tokens import b64, key_signer, private_key
from taskapi.auth import Authenticator

ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES512": int(
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
        "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        16,
    ),
}
OTHER_HASHES = [hashes.SHA1(), hashes.SHA384(), hashes.SHA224(), hashes.SHA3_256()]


def pair(algorithm: str, change: Callable[[int, int, int], tuple[int, int]]) -> SignatureFault:
    """Change the two numbers of an ECDSA signature, and write them in the fixed length of JWS."""
    order = ORDERS[algorithm]
    size = (order.bit_length() + 7) // 8

    def fault(_: bytes, good: bytes) -> bytes:
        r, s = int.from_bytes(good[:size]), int.from_bytes(good[size:])
        return b"".join(part.to_bytes(size) for part in change(r, s, order))

    return fault


def as_der(_: bytes, good: bytes) -> bytes:
    half = len(good) // 2
    return encode_dss_signature(int.from_bytes(good[:half]), int.from_bytes(good[half:]))


def in_jws(algorithm: str, der: bytes) -> bytes:
    size = (ORDERS[algorithm].bit_length() + 7) // 8
    return b"".join(part.to_bytes(size) for part in decode_dss_signature(der))


PAIRS: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "r = 0": lambda r, s, n: (0, s),
    "s = 0": lambda r, s, n: (r, 0),
    "r = s = 0": lambda r, s, n: (0, 0),
    "r = s = 1": lambda r, s, n: (1, 1),
    "r = n": lambda r, s, n: (n, s),
    "s = n": lambda r, s, n: (r, n),
    "r = s = n": lambda r, s, n: (n, n),
    "r = n - 1": lambda r, s, n: (n - 1, s),
    "r = 0, s = 1": lambda r, s, n: (0, 1),
    "r = 1, s = 0": lambda r, s, n: (1, 0),
    "exchanged": lambda r, s, n: (s, r),
    "r negated": lambda r, s, n: (n - r, s),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("algorithm", ORDERS)
async def test_numbers_out_of_range_or_exchanged_are_refused(
    algorithm: str, name: str, authenticator: Authenticator
) -> None:
    await assert_fault_is_refused(
        authenticator, key_signer(algorithm), pair(algorithm, PAIRS[name])
    )


@pytest.mark.parametrize("algorithm", ORDERS)
async def test_a_signature_in_der_is_refused(algorithm: str, authenticator: Authenticator) -> None:
    await assert_fault_is_refused(authenticator, key_signer(algorithm), as_der)


@pytest.mark.parametrize("digest", OTHER_HASHES, ids=lambda digest: digest.name)
@pytest.mark.parametrize("algorithm", ORDERS)
async def test_another_hash_is_refused(
    algorithm: str, digest: hashes.HashAlgorithm, authenticator: Authenticator
) -> None:
    def fault(text: bytes, _: bytes) -> bytes:
        return in_jws(algorithm, private_key(algorithm).sign(text, ec.ECDSA(digest)))

    await assert_fault_is_refused(authenticator, key_signer(algorithm), fault)


@pytest.mark.parametrize("algorithm", ORDERS)
async def test_unchanged_numbers_are_accepted(algorithm: str, authenticator: Authenticator) -> None:
    """The control: decoding a signature and encoding it again does not make it invalid."""
    signer = key_signer(algorithm)
    head, _, _ = signer.token("alice").rpartition(".")
    digest = hashes.SHA256() if algorithm == "ES256" else hashes.SHA512()
    der = private_key(algorithm).sign(head.encode(), ec.ECDSA(digest))
    same = pair(algorithm, lambda r, s, n: (r, s))(b"", in_jws(algorithm, der))
    assert await identify(authenticator, f"{head}.{b64(same)}") == "alice"
