"""RSA: a number below the modulus; padding, hash and length of the salt as the algorithm says."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from api.authenticators import SignatureFault, assert_fault_is_refused, identify
from api.tokens import b64, key_signer, private_key
from taskapi.auth import Authenticator


def rsa(algorithm: str, padded: padding.AsymmetricPadding, digest: Any) -> SignatureFault:
    return lambda text, _: private_key(algorithm).sign(text, padded, digest)


def plus_modulus(algorithm: str, _: bytes, good: bytes) -> bytes:
    number: int = int.from_bytes(good) + private_key(algorithm).public_key().public_numbers().n
    return number.to_bytes((number.bit_length() + 7) // 8)


def negated(algorithm: str, _: bytes, good: bytes) -> bytes:
    modulus: int = private_key(algorithm).public_key().public_numbers().n
    return (modulus - int.from_bytes(good)).to_bytes(len(good))


def pss(salt: int, mask: Any = hashes.SHA256) -> padding.PSS:
    return padding.PSS(padding.MGF1(mask()), salt)


PKCS1 = padding.PKCS1v15()
RSA: dict[str, dict[str, SignatureFault]] = {
    algorithm: {
        "plus the modulus": partial(plus_modulus, algorithm),
        "negated": partial(negated, algorithm),
        "one": lambda _, good: b"\1".rjust(len(good), b"\0"),
        "hash of SHA-1": rsa(algorithm, padded(hashes.SHA1), hashes.SHA1()),
        "hash of SHA-384": rsa(algorithm, padded(hashes.SHA384), hashes.SHA384()),
        "hash of SHA-512": rsa(algorithm, padded(hashes.SHA512), hashes.SHA512()),
    }
    for algorithm, padded in (
        ("RS256", lambda _: PKCS1),
        ("PS256", lambda mask: pss(32, mask)),
    )
}
RSA["RS256"]["padding of PSS"] = rsa("RS256", pss(32), hashes.SHA256())
RSA["PS256"] |= {
    "padding of PKCS #1": rsa("PS256", PKCS1, hashes.SHA256()),
    "no salt": rsa("PS256", pss(0), hashes.SHA256()),
    "salt of 20 bytes": rsa("PS256", pss(20), hashes.SHA256()),
    "longest salt": rsa("PS256", pss(222), hashes.SHA256()),
    "mask of SHA-1": rsa("PS256", pss(32, hashes.SHA1), hashes.SHA256()),
}


@pytest.mark.parametrize(
    ("algorithm", "name"), [(algorithm, name) for algorithm in RSA for name in RSA[algorithm]]
)
async def test_a_wrong_number_padding_hash_or_salt_is_refused(
    algorithm: str, name: str, authenticator: Authenticator
) -> None:
    await assert_fault_is_refused(authenticator, key_signer(algorithm), RSA[algorithm][name])


@pytest.mark.parametrize("algorithm", RSA)
async def test_the_right_padding_hash_and_salt_are_accepted(
    algorithm: str, authenticator: Authenticator
) -> None:
    """The control: the faults above are made with the right key."""
    right = rsa(algorithm, PKCS1 if algorithm == "RS256" else pss(32), hashes.SHA256())
    signer = key_signer(algorithm)
    head = signer.token("alice").rpartition(".")[0]
    assert await identify(authenticator, f"{head}.{b64(right(head.encode(), b''))}") == "alice"
