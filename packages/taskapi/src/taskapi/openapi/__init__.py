"""The OpenAPI document: FastAPI's, completed with what the endpoints' signatures do not say."""

from .document import DESCRIPTION, VERSION, install

__all__ = ["DESCRIPTION", "VERSION", "install"]
