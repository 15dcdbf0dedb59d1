"""The request as an endpoint sees it: with its user and the database."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Receive, Scope

from taskcore import AsyncDatabase

from .services import services_of

USER = "taskapi.user"
"""The key of the user id in a request's scope; set once the token is verified."""


class TaskRequest(Request):
    """A request whose token is verified before an endpoint gets it.

    FastAPI recognises subclasses of Request, so this parameter leaves no trace in OpenAPI.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self.services = services_of(scope["app"])

    @property
    def user(self) -> str:
        """The user id of the token, once that is verified."""
        user: str = self.scope[USER]
        return user

    @property
    def hide_foreign(self) -> bool:
        """Whether a task of another user counts as one that does not exist."""
        return self.services.settings.hide_foreign_tasks

    @property
    def database(self) -> AsyncDatabase:
        return self.services.database
