"""That a weak key does not count; the control shows that only its weakness matters."""

from __future__ import annotations

from typing import Any

import pytest

from api.tokens import as_json, jwk
from taskapi.auth import key_set
from taskapi.auth.key_set import parse

GOOD = jwk("ES256")


def assert_weak(key: dict[str, Any]) -> None:
    """The key does not count, and the one beside it does; the control is the set unchecked."""
    content = as_json({"keys": [key, GOOD]})
    assert set(parse(content)) == {GOOD["kid"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_set, "is_weak", lambda _: False)
        assert set(parse(content)) == {GOOD["kid"], "bad"}
