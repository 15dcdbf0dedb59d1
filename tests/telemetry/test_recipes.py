"""The recipes of packages/taskapi/README.md, as they stand there, with OpenTelemetry's programs."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import httpx
import psutil
import pytest
from packaging.requirements import Requirement

from api.jwks_server import JwksServer
from api.tokens import BASE, jwk, key_signer
from support.api_server import SECRET
from support.counting_proxy import CountingProxy
from support.page_blocks import blocks, section
from support.polling import wait_until
from support.ports import listening_socket, port_of
from telemetry.receiver import Receiver

ROOT = Path(__file__).parents[2]
PAGE = section((ROOT / "packages" / "taskapi" / "README.md").read_text(), "Telemetry")
COMMANDS = [line for block in blocks(PAGE, "sh") for line in block.splitlines()]
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Served(NamedTuple):
    """A server under `opentelemetry-instrument`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str, user: str = "", **headers: str) -> int:
        if user:
            headers["Authorization"] = f"Bearer {key_signer().token(user)}"
        url = f"http://127.0.0.1:{self.port}{path}"
        return httpx.get(url, headers=headers, timeout=30).status_code

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with suppress(httpx.TransportError):
            return self.get("/health/ready") == 200
        return False


@contextmanager
def served(recipe: str, url: str, place: Path, **replaced: str) -> Iterator[Served]:
    """The command of the page that has this option, with some values of the test's."""
    (line,) = [c for c in COMMANDS if c.startswith("opentelemetry-instrument") and recipe in c]
    for before, value in replaced.items():
        option = f"--{before} "
        assert option in line
        line = re.sub(rf"{option}\S+", option + value, line)
    scripts = Path(sys.executable).parent
    program, *arguments = shlex.split(line)
    log = place / "log"
    with ExitStack() as stack:
        keys = JwksServer([jwk("EdDSA")])
        stack.callback(keys.close)
        listener = stack.enter_context(listening_socket())
        output = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            [scripts / program, *arguments, "--fd", str(listener.fileno())],
            env={
                **{name: value for name, value in os.environ.items() if name[:5] != "OTEL_"},
                "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
                "DATABASE_URL": url,
                "BETTER_AUTH_SECRET": SECRET,
                "BETTER_AUTH_URL": BASE,
                "JWKS_URL": keys.url,
                "TASKAPI_DRAIN_SECONDS": "0",
                # Half a second instead of five: a test waits for spans.
                "OTEL_BSP_SCHEDULE_DELAY": "500",
            },
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            cwd=place,
        )
        try:
            running = Served(process, port_of(listener), log)
            wait_until(running.is_ready, "an answer")
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)


def test_what_the_page_installs_is_what_is_installed_here() -> None:
    wanted = {
        name
        for line in COMMANDS
        if line.startswith("pip install ")
        for name in shlex.split(line.removeprefix("pip install "))
    }
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert wanted == {Requirement(line).name for line in groups["telemetry"]}
    assert [name for name in wanted if not version(name)] == []


# --- Prometheus -----------------------------------------------------------------------------------


def listed_metrics() -> dict[str, tuple[str, str]]:
    """Kind and unit of each metric in the page's table."""
    row = re.compile(r"^\| `([\w.]+)` \| ([\w -]+) \| `([^`]+)` \|", re.MULTILINE)
    return {name: (kind, unit) for name, kind, unit in row.findall(PAGE)}


def prometheus_name(name: str, kind: str, unit: str) -> str:
    """The name that the page's rule gives."""
    suffix = ("_seconds" if unit == "s" else "") + ("_total" if kind == "counter" else "")
    return name.replace(".", "_") + suffix


def listening_ports(process: subprocess.Popen[bytes]) -> set[int]:
    found = psutil.Process(process.pid).net_connections("tcp")
    return {one.laddr.port for one in found if one.status == psutil.CONN_LISTEN}


def test_prometheus_scrapes_every_metric_of_the_table(
    counting_proxy: CountingProxy, counted_url: str, tmp_path: Path, alice: str
) -> None:
    with served(
        "--metrics_exporter prometheus", counted_url, tmp_path, exporter_prometheus_port="0"
    ) as server:
        (port,) = listening_ports(server.process) - {server.port}
        assert server.get("/api/tasks", alice) == 200
        counting_proxy.cut_at_sync = counting_proxy.messages["S"] + 1
        assert server.get("/api/tasks", alice) == 200
        assert server.get(f"/api/tasks/{uuid4()}", alice) == 404
        assert server.get("/api/tasks") == 401
        scraped = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    families = dict(re.findall(r"^# TYPE (\w+) (\w+)$", scraped, re.MULTILINE))
    ours = {name for name in families if not name.startswith(("python_", "process_", "target_"))}
    listed = listed_metrics()
    assert len(listed) == 18
    assert ours == {prometheus_name(name, *of) for name, of in listed.items()}
    for name in re.findall(r"`(\w+_\w+)`", PAGE.partition("scrapes")[2].partition("\n\n")[0]):
        assert re.search(rf"^{name}{{.*}} [\d.]+$", scraped, re.MULTILINE), name
    assert re.search(
        r'^taskapi_operation_misses_total\{db_operation_name="get_task",.*'
        r'reason="task_not_found"\} 1\.0$',
        scraped,
        re.MULTILINE,
    )
    assert alice not in scraped
    assert server.process.returncode == 0


# --- OTLP -----------------------------------------------------------------------------------------


def test_each_worker_sends_its_spans_and_metrics(
    served_url: str, tmp_path: Path, alice: str
) -> None:
    with Receiver() as receiver:
        with served(
            "--exporter_otlp_endpoint", served_url, tmp_path, exporter_otlp_endpoint=receiver.url
        ) as server:
            workers = psutil.Process(server.process.pid).children()

            def both_have_sent() -> bool:
                traced = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
                assert server.get("/api/tasks", alice, **traced) == 200
                return len(receiver.instances("list_tasks tasks")) == 2

            wait_until(both_have_sent, "spans of both workers")
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0
        assert len(workers) == 2
        spans = [span for span in receiver.spans if span.name == "list_tasks tasks"]
        assert {span.trace for span in spans} == {TRACE}
        requests = {span.id for span in receiver.spans if span.name == "GET /api/tasks"}
        assert {span.parent for span in spans} <= requests
        # Sent at the end of each worker; the supervisor has nothing to send.
        assert receiver.services == {"taskapi"}
        assert receiver.metrics.keys() == receiver.instances("list_tasks tasks")
        for names in receiver.metrics.values():
            assert {"db.client.operation.duration", "http.server.request.duration"} <= names


@pytest.mark.parametrize("recipe", ["--metrics_exporter prometheus", "--exporter_otlp_endpoint"])
def test_a_recipe_is_in_the_page_once(recipe: str) -> None:
    assert len([line for line in COMMANDS if recipe in line]) == 1
