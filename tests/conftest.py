"""The fixtures that several folders use, as plugins; how long hypothesis searches is set here.

What only one folder uses is in that folder's conftest.py.
"""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import HealthCheck, settings

# First, because the plugins import modules that their assertions are rewritten in as well.
pytest.register_assert_rewrite("support", "api", "core", "faults")

pytest_plugins = [
    "support.api_server",
    "support.command",
    "support.counting_proxy",
    "support.crossing_proxy",
    "support.distributed",
    "support.drivers",
    "support.figures",
    "support.hostile_login",
    "support.killable_postgres",
    "support.pgbouncer",
    "support.postgres",
    "support.row_locks",
    "support.schema_dump",
    "support.users",
]

# Under nohup it is ignored, also by every process that is started here.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# One step here is a round trip to a real database: the time of one example says nothing.
_slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", _slow, max_examples=100)
settings.register_profile("full", _slow, max_examples=100)
settings.register_profile("quick", _slow, max_examples=20)
settings.load_profile(os.environ.get("TASKCORE_TEST_PROFILE", "ci"))


@pytest.fixture(scope="session", autouse=True)
def _one_tls_context() -> Iterator[None]:
    """httpx makes a TLS context for each client; to read the certificates of all authorities takes
    24 ms of CPU, which was a third of what the tests took themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


# A shell starts its background processes with SIGINT ignored, and every process that a test starts
# would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
