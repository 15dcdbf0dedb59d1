"""The idiom: FastAPI with a SQLModel Session per request, as in the popular template.

Sync endpoints, a security dependency that decodes the token and looks the user up, the check of
the owner after loading, commit and refresh, response models.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlmodel import Session, col, create_engine, select

from bench.peers.idiom.models import Task, TaskCreate, TaskPublic, TaskUpdate, User

_SECRET = os.environ["BETTER_AUTH_SECRET"]

engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1),
    pool_size=int(os.environ["POOL_SIZE"]),
    max_overflow=0,
)
app = FastAPI()
bearer = HTTPBearer()


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]
TokenDep = Annotated[HTTPAuthorizationCredentials, Depends(bearer)]


def get_current_user(session: SessionDep, token: TokenDep) -> User:
    try:
        payload = jwt.decode(token.credentials, _SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "Could not validate credentials") from None
    user = session.get(User, payload["sub"])
    if user is None:
        raise HTTPException(401, "User not found")
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


def _own(session: Session, user: User, id: UUID) -> Task:
    task = session.get(Task, id)
    if task is None:
        raise HTTPException(404, "Task not found")
    if task.user_id != user.id:
        raise HTTPException(403, "Not enough permissions")
    return task


def _saved(session: Session, task: Task) -> Task:
    session.add(task)
    session.commit()
    session.refresh(task)
    return task


@app.get("/api/tasks", response_model=list[TaskPublic])
def list_tasks(session: SessionDep, user: CurrentUser) -> Sequence[Task]:
    newest = (col(Task.created_at).desc(), col(Task.id).desc())
    return session.exec(select(Task).where(Task.user_id == user.id).order_by(*newest)).all()


@app.post("/api/tasks", response_model=TaskPublic, status_code=201)
def create_task(session: SessionDep, user: CurrentUser, new: TaskCreate) -> Task:
    return _saved(session, Task.model_validate(new, update={"user_id": user.id}))


@app.get("/api/tasks/{id}", response_model=TaskPublic)
def get_task(session: SessionDep, user: CurrentUser, id: UUID) -> Task:
    return _own(session, user, id)


@app.put("/api/tasks/{id}", response_model=TaskPublic)
def update_task(session: SessionDep, user: CurrentUser, id: UUID, change: TaskUpdate) -> Task:
    task = _own(session, user, id)
    task.sqlmodel_update(change.model_dump(exclude_unset=True))
    task.updated_at = datetime.now(UTC)
    return _saved(session, task)


@app.patch("/api/tasks/{id}/complete", response_model=TaskPublic)
def complete_task(session: SessionDep, user: CurrentUser, id: UUID) -> Task:
    task = _own(session, user, id)
    task.completed = not task.completed
    task.updated_at = datetime.now(UTC)
    return _saved(session, task)


@app.delete("/api/tasks/{id}", status_code=204)
def delete_task(session: SessionDep, user: CurrentUser, id: UUID) -> None:
    session.delete(_own(session, user, id))
    session.commit()
