"""The document without a server: it needs no database, no secret and no environment."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI

from taskapi.app import create_app
from taskapi.settings import Settings


def application() -> FastAPI:
    """An application that is never started, and so connects to nothing."""
    placeholders = {"DATABASE_URL": "postgresql://unused", "BETTER_AUTH_SECRET": "unused " * 5}
    return create_app(Settings.model_validate(placeholders))


def document() -> dict[str, Any]:
    """The document that a server answers with at /openapi.json."""
    return application().openapi()


def text() -> str:
    """The document as the text of packages/taskapi/openapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
