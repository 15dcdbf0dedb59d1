"""schemathesis sends what the OpenAPI document allows; every answer must be one that it describes.

It runs with a token and without, with single requests and along the document's links.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import settings

from support.api_server import Api, token

pytestmark = pytest.mark.long

Json: TypeAlias = dict[str, Any]
Run: TypeAlias = Callable[..., Json]

HEALTH = {"GET /health/live", "GET /health/ready"}
TASKS = {
    "DELETE /api/tasks/{id}",
    "GET /api/tasks",
    "GET /api/tasks/{id}",
    "PATCH /api/tasks/{id}/complete",
    "POST /api/tasks",
    "PUT /api/tasks/{id}",
}
# The statuses of a request that the document allows: a made-up ETag is seldom the task's (412), and
# hardly any made-up id is a task's (404).
ANSWERED = ["2xx", "304", "404", "412"]

# A title is trimmed before its length is checked, which maxLength cannot express. So the hook
# removes titles that would be trimmed.
HOOKS = """
import schemathesis

@schemathesis.hook
def filter_body(context, body):
    title = body.get("title") if isinstance(body, dict) else None
    return not isinstance(title, str) or title == title.strip()
"""


@pytest.fixture
def run(api: Api, tmp_path: Path) -> Run:
    """Return a function that runs schemathesis, which must find nothing, and returns its report."""

    def run(*phases: str, user: str | None, examples: int) -> Json:
        answered = ANSWERED if user is not None else ["2xx", "401"]
        (tmp_path / "trimmed.py").write_text(HOOKS)
        (tmp_path / "schemathesis.toml").write_text(
            'hooks = "trimmed.py"\n'
            f"generation.max-examples = {examples}\n"
            f"checks.positive_data_acceptance.expected-statuses = {answered}\n"
            "phases.stateful.inference.algorithms = []\n"
            "phases.stateful.max-steps = 12\n"
        )
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "--no-color", "run"),
            *(f"{api.base}/openapi.json", "--checks", "all", "--seed", "1"),
            *("--phases", ",".join(phases)),
            *("--report-json-path", "run.json", "--report-ndjson-path", "events.ndjson"),
        ]
        if user is not None:
            command += ["--header", f"Authorization: Bearer {token(user)}"]
        ended = subprocess.run(
            command, cwd=tmp_path, timeout=90, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        report: Json = json.loads((tmp_path / "run.json").read_text())
        assert report["complete"] and not report["failures"] and not report["errors"]
        assert {report["phases"][phase]["status"] for phase in phases} == {"success"}
        return report

    return run


@pytest.fixture
def examples() -> int:
    """How many examples of each operation are sent."""
    return settings().max_examples // 10


def covers_every_operation(report: Json) -> bool:
    count = report["operations"]
    return {count[name] for name in ("total", "selected", "tested")} == {len(TASKS | HEALTH)}


def test_schemathesis_finds_nothing_with_a_token(run: Run, examples: int, alice: str) -> None:
    report = run("examples", "coverage", "fuzzing", user=alice, examples=examples)
    assert covers_every_operation(report)
    accepted = {
        operation
        for operation, phases in report["valid_rates"].items()
        if any(phase["accepted"] for phase in phases.values())
    }
    assert accepted == TASKS | HEALTH
    assert report["warnings"]["missing_auth"] == []


def test_schemathesis_finds_nothing_without_a_token(run: Run, examples: int) -> None:
    report = run("examples", "coverage", "fuzzing", user=None, examples=examples)
    assert covers_every_operation(report)
    assert report["valid_rates"].keys() == HEALTH
    assert set(report["warnings"]["missing_auth"]) == TASKS


def test_schemathesis_finds_nothing_along_the_links(run: Run, alice: str, tmp_path: Path) -> None:
    run("stateful", user=alice, examples=20)
    followed: set[tuple[str, str]] = set()
    for line in (tmp_path / "events.ndjson").read_text().splitlines():
        scenario = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for name, case in scenario.get("cases", {}).items():
            answer = scenario["interactions"].get(name, {}).get("response") or {}
            if "transition" in case and answer.get("status_code") in (200, 204):
                made_by, _, leads_to = case["transition"]["id"].split(" -> ")
                followed.add((made_by, leads_to))
    ends = {"GET /api/tasks", "DELETE /api/tasks/{id}"}
    assert {made_by for made_by, _ in followed} == TASKS - ends
    assert {leads_to for _, leads_to in followed} == TASKS - {"GET /api/tasks", "POST /api/tasks"}
