"""Made-up users and tasks; the same seed always gives the same data, in whole or in part.

A task's id ends with its number, so the tasks of a batch are neighbours in the primary key's index
and a batch can be counted there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from random import Random
from uuid import UUID

PREFIX = "seed-"
BATCH = 20_000
_BLOCK = 2_000

# What each line of `Dataset.blocks` has, in this order; columns left out take their default.
COLUMNS = ("id", "user_id", "title", "description", "completed", "created_at", "updated_at")

_FIRST = [
    "Ada", "Alan", "Barbara", "Donald", "Edsger", "Frances", "Grace", "Hedy",
    "John", "Katherine", "Ken", "Linus", "Margaret", "Niklaus", "Radia", "Tim",
]  # fmt: skip
_LAST = [
    "Abbott", "Becker", "Castillo", "Dubois", "Eriksen", "Fischer", "Garcia", "Hughes",
    "Ivanova", "Jansen", "Kowalski", "Larsen", "Moreau", "Novak", "Okafor", "Popescu",
]  # fmt: skip
_ACTIVITIES = (
    "Answer Anna's invitation", "Ask for a quote", "Back up the laptop", "Bake bread",
    "Book train tickets", "Buy a birthday present", "Buy oat milk", "Call the dentist",
    "Call the landlord", "Cancel the subscription", "Change the tyres", "Check the insurance",
    "Clean the kitchen", "File the tax return", "Finish the quarterly report", "Fix the bicycle",
    "Hang up the shelf", "Invite the neighbours", "Order new running shoes", "Pay the rent",
    "Pick up the parcel", "Plan the holidays", "Prepare the slides for Monday", "Print the tickets",
    "Renew the passport", "Return the library books", "Review the contract", "Send the invoice",
    "Sort the photos", "Update the website", "Water the plants", "Write to the bank",
)  # fmt: skip
_TIMES = (
    "", "", "", "", "", "", " today", " this week", " before noon", " on Monday", " after work",
    " – important", " with Lena", " for the team", " (second try)", " after lunch",
)  # fmt: skip
_NOTES = (
    "Ask for the receipt.", "See the e-mail from Tuesday.", "Not before the 15th.", "Bring cash.",
    "Lena knows more about it.", "The number is on the fridge.", "Should take ten minutes.",
    "Compare at least two offers.",
)  # fmt: skip
_TITLES = [activity + time for activity, time in product(_ACTIVITIES, _TIMES)]
_DESCRIPTIONS = [*_NOTES, *["\\N"] * 24]  # null, except for one task in four
_DAYS = [str(date(2024, 1, 1) + timedelta(days)) for days in range(1024)]
_MINUTES = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(1440)]


@dataclass(frozen=True)
class Dataset:
    """This many users, and this many tasks of all of them together."""

    seed: int
    users: int
    tasks: int

    def user_rows(self) -> Iterator[tuple[str, str, str]]:
        """The users: id, e-mail, name."""
        for number in range(self.users):
            first, last = _FIRST[number % 16], _LAST[number // 16 % 16]
            user = f"{PREFIX}{self.seed}-{number}"
            yield user, f"{user}@example.com", f"{first} {last}"

    def batches(self) -> Iterator[range]:
        """The numbers of the tasks; each range is added in one transaction."""
        for start in range(0, self.tasks, BATCH):
            yield range(start, min(start + BATCH, self.tasks))

    def task_id(self, number: int) -> UUID:
        return UUID(f"{self._id_start}{number:012x}")

    def blocks(self, batch: range) -> Iterator[bytes]:
        """The tasks of a batch in COPY's text format, with COLUMNS."""
        # Not for secrets: the seeded generator gives the same data on every run.
        random = Random(f"{self.seed}:{batch.start}")  # noqa: S311
        start, users, user = self._id_start, self.users, f"{PREFIX}{self.seed}"
        for first in range(batch.start, batch.stop, _BLOCK):
            rows = []
            for number in range(first, min(first + _BLOCK, batch.stop)):
                bits = random.getrandbits(96)
                share = bits & 0xFFFFF  # squared below, so that few users have many tasks
                day = bits >> 20 & 511
                done = bits >> 29 & 1
                moment = f" {_MINUTES[(bits >> 30 & 2047) % 1440]}:{(bits >> 41 & 63) % 60:02}+00"
                rows.append(
                    f"{start}{number:012x}\t{user}-{users * share * share >> 40}\t"
                    f"{_TITLES[(bits >> 47) & 511]}\t{_DESCRIPTIONS[bits >> 58 & 31]}\t"
                    f"{'ft'[done]}\t{_DAYS[day]}{moment}\t"
                    f"{_DAYS[day + (bits >> 63 & 31) * done]}{moment}\n"
                )
            yield "".join(rows).encode()

    @property
    def _id_start(self) -> str:
        """An id up to the task's number: a UUIDv8 whose first digits depend on the seed."""
        digest = hashlib.sha256(f"taskcli seed {self.seed}".encode()).hexdigest()
        return f"{digest[:8]}-{digest[8:12]}-8{digest[12:15]}-8000-"
