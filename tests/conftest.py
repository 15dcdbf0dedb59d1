"""The fixtures are small plugins beside this file; how long hypothesis searches is set here."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["fix_api", "fix_locks", "fix_postgres", "fix_users", "fix_wire"]

# One step here is a round trip to a real database: the time of one example says nothing.
_slow = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", max_examples=100, **_slow)
settings.register_profile("quick", max_examples=20, **_slow)
settings.load_profile(os.environ.get("TASKCORE_TEST_PROFILE", "ci"))
