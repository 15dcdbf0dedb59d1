"""Counters of rare events, called where these happen; without an SDK a call does nothing."""

from __future__ import annotations

from typing import Literal

from opentelemetry import metrics

from taskapi.problems import Problem

_meter = metrics.get_meter("taskapi")
_problems = _meter.create_counter(
    "taskapi.problems", "{problem}", "Answers that are errors, by their code."
)
_refusals = _meter.create_counter(
    "taskapi.authentication.failures", "{request}", "Requests without a valid token, by reason."
)
_verified_tokens = _meter.create_counter(
    "taskapi.tokens.verified", "{token}", "Valid tokens that were not remembered."
)
_key_fetches = _meter.create_counter(
    "taskapi.keys.fetches", "{fetch}", "Fetches of the key set, by result."
)


def count_problem(problem: Problem) -> None:
    _problems.add(1, {"code": problem.kind.code})
    if problem.kind.status == 401:
        _refusals.add(1, {"reason": problem.kind.code})


def count_verified_token() -> None:
    _verified_tokens.add(1)


def count_key_fetch(result: Literal["ok", "empty", "failed"]) -> None:
    """`empty` is a set without a usable key."""
    _key_fetches.add(1, {"result": result})
