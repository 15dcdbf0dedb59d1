"""A receiver of OTLP over HTTP, as a collector is one, which keeps what it is sent."""

from __future__ import annotations

from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    name: str
    trace: str
    id: bytes
    parent: bytes
    instance: str


class Receiver:
    """Takes spans and metrics on a port of its own, until the end of the block."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        # The names of metrics, by the process that has sent them.
        self.metrics: dict[str, set[str]] = {}
        self.services: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver._take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Write nothing to standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def instances(self, name: str) -> set[str]:
        """The processes that have sent a span of this name."""
        return {span.instance for span in list(self.spans) if span.name == name}

    def _take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                instance = self._instance(sent.resource)
                for scope in sent.scope_spans:
                    self.spans += [
                        Span(
                            one.name, one.trace_id.hex(), one.span_id, one.parent_span_id, instance
                        )
                        for one in scope.spans
                    ]
        elif path == "/v1/metrics":
            found: dict[str, set[str]] = defaultdict(set)
            for sent in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                names = {metric.name for scope in sent.scope_metrics for metric in scope.metrics}
                found[self._instance(sent.resource)] |= names
            for instance, names in found.items():
                self.metrics[instance] = self.metrics.get(instance, set()) | names

    def _instance(self, resource: Any) -> str:
        attributes = {pair.key: pair.value.string_value for pair in resource.attributes}
        self.services.add(attributes["service.name"])
        return str(attributes["service.instance.id"])
