"""What is read when metrics are collected: the pool's sizes, the keys and the remembered tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from taskapi.auth import Authenticator
from taskcore import AsyncDatabase

Read: TypeAlias = Callable[[CallbackOptions], Iterator[Observation]]

# Readiness has a pool of its own, of one connection, of which only the waits are reported.
POOL, READINESS_POOL = "taskapi", "readiness"
POOL_NAME = "db.client.connection.pool.name"
_POOL = {POOL_NAME: POOL}
_STATE = "db.client.connection.state"


def observe_pool(database: AsyncDatabase) -> None:
    """Report the pool by the names of the database semantic conventions."""

    def reads(*values: str) -> list[Read]:
        def read(_: CallbackOptions) -> Iterator[Observation]:
            if database.is_open:
                stats = database.stats()
                for value in values:
                    yield Observation(stats[value], _POOL)

        return [read]

    def by_state(_: CallbackOptions) -> Iterator[Observation]:
        if database.is_open:
            stats = database.stats()
            idle = stats["pool_available"]
            yield Observation(idle, {**_POOL, _STATE: "idle"})
            yield Observation(stats["pool_size"] - idle, {**_POOL, _STATE: "used"})

    meter = metrics.get_meter("taskapi")
    counter, up_down = meter.create_observable_counter, meter.create_observable_up_down_counter
    connection = "db.client.connection"
    up_down(f"{connection}.count", [by_state], "{connection}", "Open connections, by state.")
    up_down(f"{connection}.max", reads("pool_max"), "{connection}", "Connections that may be open.")
    up_down(
        f"{connection}.pending_requests",
        reads("requests_waiting"),
        "{request}",
        "Operations that wait for a connection now.",
    )
    counter(
        f"{connection}.timeouts",
        reads("requests_errors"),
        "{timeout}",
        "Operations that had no connection in time.",
    )
    counter(
        "taskapi.connection.failures",
        reads("connections_errors"),
        "{attempt}",
        "Attempts to connect that failed.",
    )


def observe_authenticator(authenticator: Authenticator) -> None:
    """Report the remembered tokens and, where there is a key set, its keys and their age."""

    def remembered(_: CallbackOptions) -> Iterator[Observation]:
        yield Observation(authenticator.remembered)

    def count(_: CallbackOptions) -> Iterator[Observation]:
        if authenticator.jwks is not None:
            yield Observation(authenticator.jwks.count)

    def age(_: CallbackOptions) -> Iterator[Observation]:
        if authenticator.jwks is not None and (seconds := authenticator.jwks.age) is not None:
            yield Observation(seconds)

    gauge = metrics.get_meter("taskapi").create_observable_gauge
    gauge("taskapi.tokens.remembered", [remembered], "{token}", "Verified tokens in memory.")
    gauge("taskapi.keys.count", [count], "{key}", "Keys that tokens can be verified with.")
    gauge("taskapi.keys.age", [age], "s", "Time since the key set was fetched.")
