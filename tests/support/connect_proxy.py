"""An HTTP proxy on loopback: it records the requests, and tunnels to one port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class ConnectProxy:
    """Takes CONNECT for any host, and connects to `port` of this machine; refuses the rest."""

    def __init__(self, port: int) -> None:
        self.requests: list[str] = []
        """Method and target of each request."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                proxy.requests.append(f"CONNECT {self.path}")
                with socket.create_connection(("127.0.0.1", port)) as upstream:
                    self.send_response(200)
                    self.end_headers()
                    back = Thread(target=_copy, args=[upstream, self.connection])
                    back.start()
                    _copy(self.connection, upstream)
                    back.join()
                self.close_connection = True

            def do_GET(self) -> None:
                proxy.requests.append(f"GET {self.path}")
                self.send_error(502)

            def log_message(self, format: str, *args: object) -> None:
                """Not to standard error."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def connect_proxy(port: int) -> Iterator[ConnectProxy]:
    """A proxy that tunnels to this port, until the block ends."""
    proxy = ConnectProxy(port)
    with proxy.server:
        thread = Thread(target=proxy.server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield proxy
        finally:
            proxy.server.shutdown()
            thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
