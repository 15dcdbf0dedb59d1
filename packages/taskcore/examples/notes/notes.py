"""A service of its own beside taskcore: notes on tasks."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Text, and_
from sqlmodel import Field, Session, SQLModel, col, select

from taskcore import Task, User, bind_owner, run_in, set_task_completed

tasks, users = Task.__table__, User.__table__


class Note(SQLModel, table=True):
    __tablename__ = "notes"
    # Composite: a note belongs to the user whose task it is on.
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(
            ["user_id", "task_id"], [tasks.c.user_id, tasks.c.id], ondelete="CASCADE"
        ),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: str = Field(
        sa_column=Column(Text, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False)
    )
    task_id: UUID
    text: str = Field(sa_type=Text)


def add_note(session: Session, owner: str, task_id: UUID, text: str) -> None:
    with bind_owner(session, owner):
        session.add(Note(user_id=owner, task_id=task_id, text=text))
    session.commit()


def notes_with_titles(session: Session, owner: str) -> list[tuple[str, str]]:
    its_task = and_(col(Note.user_id) == Task.user_id, col(Note.task_id) == Task.id)
    with bind_owner(session, owner):
        return list(session.exec(select(Task.title, Note.text).join(Task, its_task)))


def finish(session: Session, owner: str, task_id: UUID, text: str) -> None:
    """Complete a task and note why: both are committed, or neither is."""
    with bind_owner(session, owner):
        run_in(session, set_task_completed(owner, task_id, True))
        session.add(Note(user_id=owner, task_id=task_id, text=text))
    session.commit()
