"""Which well-formed public keys are weak: a token could be signed without their private key.

The libraries accept these keys. Everything here is arithmetic on a key's public numbers.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_SHORTEST_RSA = 2048
_SMALL_PRIMES = [p for p in range(2, 168) if all(p % divisor for divisor in range(2, p))]

# The faulty generator of CVE-2017-15361 (ROCA) takes primes k * M + 65537**a mod M, where M is a
# product of small primes. So each of its moduli is a power of 65537 modulo each of those primes.
# For 17 of them not every number is one; another modulus fits all 17 with a chance of 2**-28.
_POWERS = {p: frozenset(pow(65537, k, p) for k in range(p - 1)) for p in _SMALL_PRIMES}

# Ed25519: the points (x, y) with -x**2 + y**2 = 1 + D * x**2 * y**2, modulo P.
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P


def is_weak(key: RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey) -> bool:
    """Whether the private key may be found from the public one, or is not needed."""
    if isinstance(key, RSAPublicKey):
        return key.key_size < _SHORTEST_RSA or _is_weak_modulus(key.public_numbers().n)
    if isinstance(key, Ed25519PublicKey):
        return _is_weak_point(key.public_bytes_raw())
    return False  # an EC key is on its curve, and the order of that curve is prime


def _is_weak_modulus(n: int) -> bool:
    if any(n % p == 0 for p in _SMALL_PRIMES):
        return True
    return all(n % p in powers for p, powers in _POWERS.items())


def _is_weak_point(encoded: bytes) -> bool:
    """Whether it is of small order, not on the curve, or a second encoding of a point."""
    y = int.from_bytes(encoded, "little") & ~(1 << 255)
    if y >= _P:
        return True
    yy = y * y % _P
    xx = (yy - 1) * pow(_D * yy + 1, -1, _P) % _P  # x squared
    if pow(xx, (_P - 1) // 2, _P) != 1:
        # x is 0, of which one point has order 1 and one has order 2; or there is no x.
        return True
    # Points of order 4 have y = 0. The double of a point has y = (yy + xx) / (2 - yy + xx), and is
    # of order 4 if the point is of order 8. There is no other order up to the cofactor, 8.
    return y == 0 or yy + xx == _P
