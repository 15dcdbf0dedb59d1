"""The OpenAPI document: what FastAPI reads off the endpoints, made as exact as the contract."""

from __future__ import annotations

from .document import DESCRIPTION, VERSION, install

__all__ = ["DESCRIPTION", "VERSION", "install"]
