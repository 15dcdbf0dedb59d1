"""The document without a server: no database, no secret, no setting of the environment's."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI

from taskapi.app import create_app
from taskapi.settings import Settings


def application() -> FastAPI:
    """An application that is never started, and so opens nothing and lets nobody in."""
    placeholders = {"DATABASE_URL": "postgresql://nowhere", "BETTER_AUTH_SECRET": "nobody's " * 4}
    return create_app(Settings.model_validate(placeholders))


def document() -> dict[str, Any]:
    """What a server answers at /openapi.json."""
    return application().openapi()


def text() -> str:
    """The same, as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
