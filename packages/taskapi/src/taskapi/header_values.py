"""The values of a request header, looked up in the scope.

Starlette's `request.headers` is an object that is made for each request, and encodes the name and
decodes every header to search it.
"""

from __future__ import annotations

from starlette.types import Scope


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header whose name is given in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
