"""Metrics of this service through OpenTelemetry's API, which does nothing without an SDK.

FastAPI itself traces and times each request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Observation

from taskcore import AsyncDatabase

from .problems import Problem

Observations: TypeAlias = Iterator[Observation]

_meter = metrics.get_meter("taskapi")
_problems = _meter.create_counter(
    "taskapi.problems", description="Answers that are errors, by their code."
)
_refusals = _meter.create_counter(
    "taskapi.authentication.failures", description="Requests without a valid token, by reason."
)


def is_configured() -> bool:
    """Whether an SDK has been set up: until then, the API's own providers are in place."""
    tracing, metering = trace.get_tracer_provider(), metrics.get_meter_provider()
    return not (
        type(tracing).__module__.startswith("opentelemetry.trace")
        and type(metering).__module__.startswith("opentelemetry.metrics")
    )


def count_problem(problem: Problem) -> None:
    _problems.add(1, {"code": problem.kind.code})
    if problem.kind.status == 401:
        _refusals.add(1, {"reason": problem.kind.code})


def observe_pool(database: AsyncDatabase) -> None:
    """Report the pool's counters when metrics are collected; this costs nothing per request."""

    def reads(stat: str, scale: float = 1) -> list[Callable[[CallbackOptions], Observations]]:
        def read(_: CallbackOptions) -> Observations:
            if database.is_open:
                yield Observation(database.stats().get(stat, 0) * scale)

        return [read]

    counter, gauge = _meter.create_observable_counter, _meter.create_observable_gauge
    counter("taskapi.pool.waits", reads("requests_queued"), unit="{request}")
    counter("taskapi.pool.wait.time", reads("requests_wait_ms", 0.001), unit="s")
    counter("taskapi.pool.timeouts", reads("requests_errors"), unit="{request}")
    gauge("taskapi.pool.size", reads("pool_size"), unit="{connection}")
    gauge("taskapi.pool.idle", reads("pool_available"), unit="{connection}")
