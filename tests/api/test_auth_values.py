"""What was read from a token, a key set or the settings cannot be changed afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from api.tokens import as_json, jwk, secret_signer
from taskapi.auth.claims import RequiredClaims
from taskapi.auth.key_set import parse
from taskapi.auth.token import read, well_formed

MAKE: dict[str, Callable[[], Any]] = {
    "token": lambda: read(well_formed(secret_signer().token("alice").encode())),
    "key": lambda: parse(as_json({"keys": [jwk("EdDSA")]}))["EdDSA-0"],
    "required claims": lambda: RequiredClaims("issuer", "audience"),
}
FIELDS = [
    ("token", "algorithm"),
    ("token", "claims"),
    ("key", "algorithms"),
    ("key", "public"),
    ("required claims", "issuer"),
    ("required claims", "audience"),
]


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_a_verified_value_cannot_be_changed(kind: str, field: str) -> None:
    """The control: a changed copy can be made."""
    value = MAKE[kind]()
    with pytest.raises(FrozenInstanceError):
        setattr(value, field, None)
    assert getattr(replace(value, **{field: None}), field) is None
