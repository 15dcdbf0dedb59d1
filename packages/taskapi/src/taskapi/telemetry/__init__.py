"""Telemetry through OpenTelemetry's API, which does nothing without an SDK.

FastAPI itself traces and times each request. `operations` adds a span and metrics for each
operation, `gauges` the state of pool and keys, `counters` the errors and other rare events, and
`paths` takes the ids out of FastAPI's spans. `startup` asks once whether there is an SDK.
"""
