"""The span and the metrics of each operation, by the semantic conventions for databases.

Nothing here sees an owner, an id or a title: a run's record has none, and of the database's URL
only host, port and database are used. A miss is an outcome and no error: only a run that the
database could not complete has an `error.type` and a span with the status ERROR.
"""

from __future__ import annotations

from functools import partial

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

import taskcore
from taskapi import problems
from taskcore import OperationRefused, RunRecord, TaskcoreError
from taskcore.execution.observation import Ended
from taskcore.models import SCHEMA, Task
from taskcore.urls import place_of

from .gauges import POOL, POOL_NAME

# The conventions' advice for db.client.operation.duration.
_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
# All others ask for something else than tasks.
_ON_TASKS = {
    name
    for name in taskcore.__all__
    if getattr(taskcore, name).__module__ == taskcore.get_task.__module__
}
_FAILED = ("unavailable", "outcome_unknown", "fault")


class OperationTelemetry:
    """An observer of the drivers for this database; `pool` is the name of a driver's pool."""

    def __init__(self, url: str) -> None:
        meter = metrics.get_meter("taskapi")
        self._tracer = trace.get_tracer("taskapi")
        self._durations = meter.create_histogram(
            "db.client.operation.duration",
            "s",
            "Duration of operations, the wait for a connection included.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._waits = meter.create_histogram(
            "db.client.connection.wait_time",
            "s",
            "Time that operations waited for a connection.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._misses = meter.create_counter(
            "taskapi.operation.misses", "{operation}", "Operations that found no row, by reason."
        )
        self._retries = meter.create_counter(
            "taskapi.operation.retries", "{retry}", "Queries that were sent again, by reason."
        )
        self._database = _database(url)

    def __call__(self, operation: str, *, pool: str = POOL) -> Ended:
        attributes = {**self._database, "db.operation.name": operation}
        name = operation
        if operation in _ON_TASKS:
            table = str(Task.__tablename__)
            name = f"{operation} {table}"
            attributes["db.collection.name"] = table
        span = self._tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes={**attributes, "db.query.summary": name}
        )
        return partial(self._ended, span, attributes, pool)

    def _ended(
        self, span: Span, attributes: dict[str, AttributeValue], pool: str, record: RunRecord
    ) -> None:
        told = {**attributes, "taskcore.outcome": record.outcome, **_failure(record)}
        context = trace.set_span_in_context(span)  # an exemplar of a metric names this span
        self._durations.record(record.duration, told, context)
        if record.round_trips:
            self._waits.record(record.waited, {POOL_NAME: pool}, context)
        operation = {"db.operation.name": record.operation}
        for reason in record.retries:
            self._retries.add(1, {**operation, "reason": reason}, context)
        if isinstance(record.error, OperationRefused):
            code = problems.of_error(record.error).kind.code
            self._misses.add(1, {**operation, "reason": code}, context)
            span.set_attribute("taskcore.miss.reason", code)
        span.set_attributes(told)
        span.set_attribute("taskcore.round_trips", record.round_trips)
        span.set_attribute("taskcore.retries", len(record.retries))
        span.set_attribute("taskcore.wait_time", record.waited)
        if record.outcome in _FAILED:
            span.set_status(StatusCode.ERROR)
        span.end()


def _failure(record: RunRecord) -> dict[str, AttributeValue]:
    """What kind of error it was: never its message."""
    error = record.error
    if error is None or record.outcome not in _FAILED:
        return {}
    sqlstate = (
        getattr(error.__cause__, "sqlstate", None) if isinstance(error, TaskcoreError) else None
    )
    if sqlstate is None:
        return {"error.type": type(error).__name__}
    return {"error.type": sqlstate, "db.response.status_code": sqlstate}


def _database(url: str) -> dict[str, AttributeValue]:
    """Which database it is, as far as the URL alone says it."""
    place = place_of(url)
    found: dict[str, AttributeValue | None] = {
        "db.system.name": "postgresql",
        "db.namespace": place.database and f"{place.database}|{SCHEMA}",
        "server.address": place.host,
        "server.port": place.port,
    }
    return {name: value for name, value in found.items() if value is not None}
