"""The fixtures are small plugins beside this file; how long hypothesis searches is set here."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "fix_api",
    "fix_better_auth",
    "fix_blocked",
    "fix_bola",
    "fix_cli",
    "fix_clock",
    "fix_contract",
    "fix_crowd",
    "fix_doors",
    "fix_faults",
    "fix_fleet",
    "fix_keys",
    "fix_load",
    "fix_locks",
    "fix_openapi",
    "fix_pooler",
    "fix_postgres",
    "fix_revisions",
    "fix_mortal",
    "fix_replica",
    "fix_schema",
    "fix_sessions",
    "fix_stopping",
    "fix_telling",
    "fix_traffic",
    "fix_users",
    "fix_ways",
    "fix_wire",
    "fix_siege",  # after what it imports
]
# Some import others, which pytest would then find loaded before it could rewrite their assertions.
pytest.register_assert_rewrite(*pytest_plugins)

# One step here is a round trip to a real database: the time of one example says nothing.
_slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", _slow, max_examples=100)
settings.register_profile("full", _slow, max_examples=100)
settings.register_profile("quick", _slow, max_examples=20)
settings.load_profile(os.environ.get("TASKCORE_TEST_PROFILE", "ci"))
