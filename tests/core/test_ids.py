"""Task ids: new ids sort in the order of creation; derived ids depend on owner and key only."""

from __future__ import annotations

import time
from uuid import RFC_4122

from hypothesis import assume, example, given
from hypothesis import strategies as st

from taskcore.tasks.ids import derived_task_id, new_task_id

owners = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)
keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)


def test_a_new_id_is_a_uuid_7_of_now() -> None:
    before = time.time_ns() // 1_000_000
    new = new_task_id()
    after = time.time_ns() // 1_000_000
    assert (new.version, new.variant) == (7, RFC_4122)
    assert before <= new.int >> 80 <= after


def test_new_ids_sort_in_the_order_of_creation() -> None:
    made = []
    for _ in range(200):
        made.append(new_task_id())
        tick = time.time_ns()
        while time.time_ns() - tick < 1000:  # the resolution of the id's clock
            pass
    assert made == sorted(made)


def test_new_ids_of_one_tick_differ() -> None:
    assert len({new_task_id() for _ in range(10_000)}) == 10_000


@given(owners, keys)
def test_a_derived_id_is_a_uuid_8_and_always_the_same(owner: str, key: str) -> None:
    derived = derived_task_id(owner, key)
    assert (derived.version, derived.variant) == (8, RFC_4122)
    assert derived == derived_task_id(owner, key)


def test_a_derived_id_stays_the_same_in_every_release() -> None:
    """A client may retry a create after the server has been upgraded."""
    assert str(derived_task_id("user_1", "key_1")) == "0a9a999a-b46a-8ea6-82ea-11ec5c9b0922"


@given(owners, keys, owners, keys)
@example("ab", "c", "a", "bc")
@example("a", "b:c", "a:b", "c")
@example("1:a", "b", "1", ":a:b")
def test_two_owners_or_keys_never_share_a_derived_id(
    owner: str, key: str, other_owner: str, other_key: str
) -> None:
    assume((owner, key) != (other_owner, other_key))
    assert derived_task_id(owner, key) != derived_task_id(other_owner, other_key)
