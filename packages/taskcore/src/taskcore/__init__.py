"""Tasks that belong to one user each: models, operations and the database that runs them."""

from .database import AsyncDatabase, Database
from .effects import Op
from .errors import (
    ConnectionLost,
    DatabaseClosed,
    DatabaseFault,
    DatabaseNotReady,
    DatabaseUnavailable,
    DeadlineExceeded,
    InvalidInput,
    NoConnection,
    NotTaskOwner,
    RowRefused,
    SchemaError,
    SessionRefused,
    StaleTask,
    TaskcoreError,
    TaskMissed,
    TaskNotFound,
    UnknownUser,
)
from .models import Task, User
from .operations import (
    create_task,
    delete_task,
    get_task,
    list_tasks,
    set_task_completed,
    toggle_task,
    update_task,
)
from .schemas import TaskCreate, TaskCreated, TaskRead, TaskUpdate
from .session import run_in

__all__ = [
    "AsyncDatabase",
    "ConnectionLost",
    "Database",
    "DatabaseClosed",
    "DatabaseFault",
    "DatabaseNotReady",
    "DatabaseUnavailable",
    "DeadlineExceeded",
    "InvalidInput",
    "NoConnection",
    "NotTaskOwner",
    "Op",
    "RowRefused",
    "SchemaError",
    "SessionRefused",
    "StaleTask",
    "Task",
    "TaskCreate",
    "TaskCreated",
    "TaskMissed",
    "TaskNotFound",
    "TaskRead",
    "TaskUpdate",
    "TaskcoreError",
    "UnknownUser",
    "User",
    "create_task",
    "delete_task",
    "get_task",
    "list_tasks",
    "run_in",
    "set_task_completed",
    "toggle_task",
    "update_task",
]
