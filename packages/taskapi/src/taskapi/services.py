"""What one process keeps for all its requests, as one typed object on the application's state."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.applications import Starlette

from taskcore import AsyncDatabase

from .auth import Authenticator
from .readiness import Readiness
from .settings import Settings


@dataclass(slots=True)
class Services:
    """Made by `create_app`; what has connections is opened by the lifespan."""

    settings: Settings
    authenticator: Authenticator
    database: AsyncDatabase
    readiness: Readiness
    # True from SIGTERM on: readiness fails, and each answer closes its connection.
    draining: bool = False
    # Held by the one very large list that is being read and encoded.
    very_large_list: asyncio.Lock = field(default_factory=asyncio.Lock)


def services_of(app: Starlette) -> Services:
    """The services of this application."""
    services: Services = app.state.services
    return services
