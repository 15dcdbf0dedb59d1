"""Whether telemetry is on, asked once when the application starts, and what is traced then."""

from __future__ import annotations

import os
from functools import partial

from opentelemetry import metrics, trace

from taskapi.services import Services

from . import gauges
from .operations import OperationTelemetry


def is_configured() -> bool:
    """Whether an SDK has been set up: until then, the API's own providers are in place."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    tracing, metering = trace.get_tracer_provider(), metrics.get_meter_provider()
    return not (
        type(tracing).__module__.startswith("opentelemetry.trace")
        and type(metering).__module__.startswith("opentelemetry.metrics")
    )


def begin(services: Services) -> None:
    """Trace and measure what these services do."""
    observer = OperationTelemetry(services.settings.database_url.get_secret_value())
    services.database.observe = observer
    services.readiness.observe(partial(observer, pool=gauges.READINESS_POOL))
    gauges.observe_pool(services.database)
    gauges.observe_authenticator(services.authenticator)
