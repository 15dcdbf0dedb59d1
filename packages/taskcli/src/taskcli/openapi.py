"""`taskcli openapi`: the contract as a document."""

from __future__ import annotations

from . import output


def openapi() -> None:
    """Print the OpenAPI document of the API.

    It depends on no setting and no database.
    """
    from taskapi.app import create_app
    from taskapi.settings import Settings

    settings = Settings.model_validate(
        {"DATABASE_URL": "postgresql://nowhere", "BETTER_AUTH_SECRET": "it opens nothing: " * 2}
    )
    output.document(create_app(settings).openapi())
