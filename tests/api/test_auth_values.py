"""What was read from a token, a key set or the settings cannot be changed afterwards."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from api.tokens import as_json, jwk, secret_signer
from taskapi.auth.claims import RequiredClaims
from taskapi.auth.key_set import parse
from taskapi.auth.token import read, well_formed

TOKEN = read(well_formed(secret_signer().token("alice").encode()))
KEY = parse(as_json({"keys": [jwk("EdDSA")]}))["EdDSA-0"]
VALUES = [
    (TOKEN, "algorithm"),
    (TOKEN, "claims"),
    (KEY, "algorithms"),
    (KEY, "public"),
    (RequiredClaims("issuer", "audience"), "issuer"),
    (RequiredClaims("issuer", "audience"), "audience"),
]


@pytest.mark.parametrize(("value", "name"), VALUES, ids=[name for _, name in VALUES])
def test_a_verified_value_cannot_be_changed(value: Any, name: str) -> None:
    """The control: a changed copy can be made."""
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, None)
    assert getattr(replace(value, **{name: None}), name) is None
