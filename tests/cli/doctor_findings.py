"""What `taskcli doctor` finds, by check."""

from __future__ import annotations

from typing import Any

from support.command import Cli


class Findings(dict[str, dict[str, Any]]):
    """The findings of one run of `doctor`, by check."""

    code: int

    @property
    def failed(self) -> set[str]:
        return {check for check, finding in self.items() if not finding["ok"]}


def run_doctor(cli: Cli, url: str, *arguments: str, **variables: str) -> Findings:
    strong = {"BETTER_AUTH_SECRET": "Zb8kQ1w2E3r4T5y6U7i8O9p0AsDfGhJkLm", **variables}
    done = cli("doctor", "--json", *arguments, DATABASE_URL=url, **strong)
    findings = done.json["checks"]
    assert all(set(finding) == {"check", "ok", "message", "mend"} for finding in findings)
    found = Findings({finding["check"]: finding for finding in findings})
    found.code = done.code
    assert done.json["ok"] is (not found.failed)
    assert done.code == (1 if found.failed else 0)
    return found
