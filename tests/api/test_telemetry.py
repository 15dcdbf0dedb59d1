"""Metrics: none until an OpenTelemetry SDK is configured, and then those of taskapi.

The server runs in a process of its own, which is this file, because OpenTelemetry can be configured
only once in a process. It sends requests to itself and prints what was measured of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.api_server import SECRET, token
from support.pgbouncer import SERVER_SETTINGS
from support.polling import wait_until


def bearer(user: str, lifetime: float = 600) -> str:
    return f"Bearer {token(user, lifetime=lifetime)}"


def report(url: str, user: str, how: str) -> dict[str, Any]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        "DATABASE_URL": url,
        "BETTER_AUTH_SECRET": SECRET,
        "TASKAPI_POOL_SIZE": "3",
        **SERVER_SETTINGS,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, str(Path(__file__)), how, bearer(user), bearer(user, lifetime=-600)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["statuses"] == [200, 401, 401, 401, 404, 404, 422]
    return found


def test_without_an_sdk_nothing_is_measured(served_url: str, alice: str) -> None:
    found = report(served_url, alice, "plain")
    assert found["sdk"] is False
    assert found["recording"] is False
    assert found["direct"] == 6, "the control: without it, all but the unknown path go directly"
    assert [name for name in found["threads"] if "otel" in name.lower()] == []


def test_with_an_sdk_the_metrics_are_measured(served_url: str, alice: str) -> None:
    found = report(served_url, alice, "measured")
    assert found["sdk"] is True  # the control of the test before
    metrics = found["metrics"]
    problems = {point["code"]: point["value"] for point in metrics["taskapi.problems"]}
    assert problems == {
        "token_missing": 2,
        "token_expired": 1,
        "route_not_found": 1,
        "task_not_found": 1,
        "validation_failed": 1,
    }
    failures = metrics["taskapi.authentication.failures"]
    assert {point["reason"]: point["value"] for point in failures} == {
        "token_missing": 2,
        "token_expired": 1,
    }
    (size,), (idle,) = metrics["taskapi.pool.size"], metrics["taskapi.pool.idle"]
    assert 1 <= idle["value"] <= size["value"] <= 3
    assert {"GET /api/tasks", "GET /api/tasks/{id}"} <= set(found["spans"])
    assert found["direct"] == 0, "everything goes through FastAPI, which makes the spans"
    for name in ("taskapi.pool.waits", "taskapi.pool.wait.time", "taskapi.pool.timeouts"):
        assert [point["value"] >= 0 for point in metrics[name]] == [True]


# --- the process ----------------------------------------------------------------------------------


def main(how: str, good: str, expired: str) -> None:
    collect = _configured() if how == "measured" else dict
    import uvicorn
    from opentelemetry import trace

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
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        statuses = _ask(_port(server), good, expired)
        found = {
            "statuses": statuses,
            "direct": direct,
            "sdk": "opentelemetry.sdk" in sys.modules,
            "recording": trace.get_tracer("test").start_span("test").is_recording(),
            "threads": [thread.name for thread in threading.enumerate()],
            **collect(),
        }
    finally:
        server.should_exit = True
        thread.join(30)
    sys.stdout.write(json.dumps(found))


def _port(server: Any) -> int:
    wait_until(lambda: server.started, "the start of the server", timeout=30)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def _ask(port: int, good: str, expired: str) -> list[int]:
    import httpx

    unknown_id = "00000000-0000-4000-8000-000000000000"
    requests = [
        ("/api/tasks", good),
        ("/api/tasks", ""),
        ("/api/tasks/1", ""),
        ("/api/tasks", expired),
        ("/nowhere", good),
        (f"/api/tasks/{unknown_id}", good),
        ("/api/tasks/1", good),
    ]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        return [
            client.get(path, headers={"Authorization": credentials}).status_code
            for path, credentials in requests
        ]


def _configured() -> Callable[[], dict[str, Any]]:
    """Configure OpenTelemetry with readers in memory; return a function that reads them."""
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    reader, spans = InMemoryMetricReader(), InMemorySpanExporter()
    metrics.set_meter_provider(MeterProvider([reader]))
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(tracing)

    def collect() -> dict[str, Any]:
        data = reader.get_metrics_data()
        assert data is not None
        found: dict[str, list[dict[str, Any]]] = {}
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name.startswith("taskapi."):
                        found[metric.name] = [
                            {**dict(point.attributes or {}), "value": getattr(point, "value", None)}
                            for point in metric.data.data_points
                        ]
        return {"metrics": found, "spans": [span.name for span in spans.get_finished_spans()]}

    return collect


if __name__ == "__main__":
    main(*sys.argv[1:])
