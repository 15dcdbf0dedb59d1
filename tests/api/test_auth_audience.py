"""By whom and for whom a token must be, for either way; and what passes where nothing is set."""

from __future__ import annotations

from typing import Any

import pytest

from fix_api import SECRET
from fix_doors import OpenDoor, enter, refusal
from fix_keys import KeyServer
from fix_tokens import ALGORITHMS, BASE, key_signer, secret_signer
from taskapi.auth import Door
from taskapi.auth.claims import Audience

OURS = Audience("https://issuer.example", "our-api")

ACCEPTED: dict[str, dict[str, Any]] = {
    "exactly": {"iss": OURS.issuer, "aud": OURS.audience},
    "with a slash at the issuer's end": {"iss": f"{OURS.issuer}/", "aud": OURS.audience},
    "with a slash at the audience's end": {"iss": OURS.issuer, "aud": f"{OURS.audience}/"},
    "among others": {"iss": OURS.issuer, "aud": ["other", OURS.audience]},
}
REFUSED: dict[str, dict[str, Any]] = {
    "no issuer": {"iss": ..., "aud": OURS.audience},
    "another issuer": {"iss": "https://evil.example", "aud": OURS.audience},
    "no audience": {"iss": OURS.issuer, "aud": ...},
    "another audience": {"iss": OURS.issuer, "aud": "other"},
    "others": {"iss": OURS.issuer, "aud": ["other", "another"]},
    "two slashes": {"iss": f"{OURS.issuer}//", "aud": OURS.audience},
    "a part": {"iss": OURS.issuer, "aud": "our"},
    "exchanged": {"iss": OURS.audience, "aud": OURS.issuer},
}
SIGNERS = {"secret": secret_signer(), "keys": key_signer()}


@pytest.fixture
async def strict(open_door: OpenDoor, key_server: KeyServer) -> Door:
    """A door that knows by whom and for whom tokens of either way must be."""
    terms = {"of_secret": OURS, "of_keys": OURS}
    return await open_door(secrets=[SECRET], keys_url=key_server.url, **terms)


@pytest.mark.parametrize("way", SIGNERS)
@pytest.mark.parametrize("name", ACCEPTED)
async def test_the_right_names_are_accepted(name: str, way: str, strict: Door) -> None:
    assert await enter(strict, SIGNERS[way].token("alice", **ACCEPTED[name])) == "alice"


@pytest.mark.parametrize("way", SIGNERS)
@pytest.mark.parametrize("name", REFUSED)
async def test_other_names_are_refused(name: str, way: str, strict: Door) -> None:
    assert await refusal(strict, SIGNERS[way].token("alice", **REFUSED[name])) == "token_invalid"


async def test_a_slash_where_it_is_configured_is_the_same(
    open_door: OpenDoor, key_server: KeyServer
) -> None:
    door = await open_door(keys_url=key_server.url, of_keys=Audience(BASE + "/", BASE + "/"))
    assert await enter(door, key_signer().token("alice")) == "alice"
    assert await enter(door, key_signer().token("bob", iss=BASE + "/", aud=[BASE + "/"])) == "bob"


@pytest.mark.parametrize("audience", ["anything", ["any", "thing"], [], None, 7])
async def test_where_no_audience_is_set_the_secret_s_tokens_may_name_any(
    audience: object, door: Door
) -> None:
    assert await enter(door, secret_signer().token("alice", aud=audience, iss="me")) == "alice"
    assert await refusal(door, key_signer().token("alice", aud=audience)) == "token_invalid"


@pytest.mark.parametrize("claims", [{"user_id": "alice"}, {"sub": ..., "user_id": "alice"}])
@pytest.mark.parametrize("way", SIGNERS)
async def test_the_user_has_either_name_or_both(
    way: str, claims: dict[str, Any], door: Door
) -> None:
    assert await enter(door, SIGNERS[way].token("alice", **claims)) == "alice"


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "Ed25519"])
async def test_each_algorithm_is_accepted(algorithm: str, door: Door) -> None:
    signer = key_signer(algorithm) if algorithm != "Ed25519" else key_signer(alg="Ed25519")
    assert await enter(door, signer.token("alice")) == "alice"


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", ...])
@pytest.mark.parametrize("way", SIGNERS)
async def test_each_type_of_an_api_token_is_accepted(way: str, typ: object, door: Door) -> None:
    assert await enter(door, SIGNERS[way].token("alice", {"typ": typ})) == "alice"


@pytest.mark.parametrize("user", ["u", "u" * 255, "ü@例", "a b", "123", "\U0001f600", "auth0|x"])
@pytest.mark.parametrize("way", SIGNERS)
async def test_each_user_that_can_be_is_accepted(way: str, user: str, door: Door) -> None:
    assert await enter(door, SIGNERS[way].token(user)) == user
