"""The fixtures are small plugins beside this file; how long hypothesis searches is set here."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "fix_api",
    "fix_locks",
    "fix_postgres",
    "fix_sessions",
    "fix_users",
    "fix_ways",
    "fix_wire",
]

# One step here is a round trip to a real database: the time of one example says nothing.
_slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", _slow, max_examples=100)
settings.register_profile("quick", _slow, max_examples=20)
settings.load_profile(os.environ.get("TASKCORE_TEST_PROFILE", "ci"))
