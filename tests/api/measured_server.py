"""A server that sends requests to itself and prints what was measured of them.

It is a program, because OpenTelemetry can be configured only once in a process: with the argument
`measured` in memory, with `late` only when the application has been made. Its connections to the
database go through a proxy, which cuts some of them.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
import psycopg

from support.counting_proxy import CountingProxy, proxy_for, through
from support.polling import wait_until

PROGRAM = [__file__]
TITLE = "a title that is in no span"
PATH = "/api/tasks"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


class Sent(NamedTuple):
    """A request, with the status that it has to get. `{task}` is the task of the first one."""

    method: str
    path: str
    status: int
    token: str = "good"
    body: dict[str, Any] | None = None
    if_match: str | None = None
    before: str = ""


REQUESTS = [
    Sent("POST", PATH, 201, body={"title": TITLE}),
    Sent("GET", f"{PATH}/{{task}}?owner={{task}}", 200),
    Sent("GET", PATH, 200, before="cut"),
    Sent("PATCH", f"{PATH}/{{task}}/complete", 200),
    Sent("PATCH", f"{PATH}/{{task}}/complete", 503, before="cut"),
    Sent("PUT", f"{PATH}/{{task}}", 412, body={"title": TITLE}, if_match='"other"'),
    Sent("GET", PATH, 401, token="none"),
    Sent("GET", f"{PATH}/1", 401, token="none"),
    Sent("GET", PATH, 401, token="expired"),
    Sent("GET", "/nowhere/{task}", 404),
    Sent("POST", f"{PATH}/{{task}}", 405),
    Sent("GET", f"{PATH}/{UNKNOWN}", 404),
    Sent("GET", f"{PATH}/1", 422),
    Sent("DELETE", f"{PATH}/{{task}}", 204),
    Sent("GET", "/health/ready", 200),
    Sent("GET", PATH, 503, before="rename the table"),
]


@dataclass
class Found:
    """What the process prints."""

    statuses: list[int]
    task: str
    direct: int
    observed: bool
    sdk: bool
    recording: bool
    threads: list[str]
    metrics: dict[str, Any]
    spans: list[dict[str, Any]]


def main(how: str, good: str, expired: str) -> None:
    collect = _configured() if how == "measured" else lambda: ({}, [])
    import uvicorn
    from opentelemetry import trace

    url = os.environ["DATABASE_URL"]
    proxy = proxy_for(url, CountingProxy)
    os.environ["DATABASE_URL"] = through(proxy, url)

    from taskapi.app import create_app_from_environment
    from taskapi.direct_path import DirectPath

    direct = 0
    answer = DirectPath._answer

    async def counted(*args: Any) -> None:
        nonlocal direct
        direct += 1
        await answer(*args)

    setattr(DirectPath, "_answer", counted)  # noqa: B010 - a method is not assigned to
    app = create_app_from_environment()
    if how == "late":
        collect = _configured()
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        tokens = {"good": good, "expired": expired, "none": ""}
        statuses, task = _ask(_port(server), tokens, url, proxy)
        metrics, spans = collect()
        found = Found(
            statuses=statuses,
            task=task,
            direct=direct,
            observed=app.state.services.database.observe is not None,
            sdk="opentelemetry.sdk" in sys.modules,
            recording=trace.get_tracer("test").start_span("test").is_recording(),
            threads=[thread.name for thread in threading.enumerate()],
            metrics=metrics,
            spans=spans,
        )
    finally:
        server.should_exit = True
        thread.join(30)
        proxy.close()
    sys.stdout.write(json.dumps(vars(found)))


def _port(server: Any) -> int:
    wait_until(lambda: server.started, "the start of the server", timeout=30)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def _ask(
    port: int, tokens: dict[str, str], url: str, proxy: CountingProxy
) -> tuple[list[int], str]:
    statuses, task = [], ""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200, "the keys")
        for sent in REQUESTS:
            if sent.before == "cut":
                proxy.cut_at_sync = proxy.messages["S"] + 1
            elif sent.before:
                with psycopg.connect(url) as admin:
                    admin.execute("ALTER TABLE tasks RENAME TO elsewhere")
            headers = {"Authorization": tokens[sent.token]}
            if sent.if_match is not None:
                headers["If-Match"] = sent.if_match
            answer = client.request(
                sent.method, sent.path.format(task=task), headers=headers, json=sent.body
            )
            statuses.append(answer.status_code)
            task = task or answer.json()["id"]
    return statuses, task


def _configured() -> Callable[[], tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Configure OpenTelemetry with readers in memory; return a function that reads them."""
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
    metrics.set_meter_provider(MeterProvider([reader]))
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracing)

    def collect() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        data = reader.get_metrics_data()
        if data is None:  # the SDK is disabled
            return {}, []
        measured = {
            metric.name: {
                "unit": metric.unit,
                "kind": _kind(metric.data),
                "points": [
                    {
                        "attributes": dict(point.attributes or {}),
                        "value": getattr(point, "value", getattr(point, "count", None)),
                        "bounds": list(getattr(point, "explicit_bounds", ())),
                    }
                    for point in metric.data.data_points
                ],
            }
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }
        return measured, [json.loads(span.to_json()) for span in exporter.get_finished_spans()]

    return collect


def _kind(data: Any) -> str:
    name = type(data).__name__.lower()
    if name == "sum":
        return "counter" if data.is_monotonic else "up-down counter"
    return name


if __name__ == "__main__":
    main(*sys.argv[1:])
