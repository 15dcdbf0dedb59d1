"""`taskcli openapi`: the API's OpenAPI document."""

from __future__ import annotations

from . import output


def openapi() -> None:
    """Print the OpenAPI document of the API.

    It needs no settings and no database.
    """
    from taskapi.openapi.standalone import document

    output.document(document())
