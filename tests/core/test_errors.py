"""What the database says becomes an error of ours, with the driver's as its cause and none of its text."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from fix_ways import Run, Way
from psycopg import sql
from taskcore import (
    DatabaseFault,
    DatabaseUnavailable,
    Op,
    TaskCreate,
    TaskcoreError,
    TaskNotFound,
    UnknownUser,
    create_task,
    embedded,
    get_task,
    list_tasks,
    schema,
    toggle_task,
)
from taskcore.effects import Effect, Row, Statement, rows
from taskcore.errors import SchemaMissing, TenantRoleMissing, TenantRoleRefused
