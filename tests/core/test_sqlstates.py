"""Each SQLSTATE has one class of error, and its outcome is never unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskcore import (
    ConnectionLost,
    DatabaseFault,
    DatabaseUnavailable,
    DeadlineExceeded,
    PermissionMissing,
    RowRefused,
    SessionRefused,
    TaskcoreError,
    UnknownUser,
)
from taskcore.errors import SchemaMissing, TenantRoleMissing, TenantRoleRefused
from taskcore.execution.sqlstates import error_for

STATEMENT: dict[str, type[TaskcoreError]] = {
    "23503": UnknownUser,
    "42501": PermissionMissing,  # a GRANT is missing
    "42P01": SchemaMissing,
    "42703": SchemaMissing,
    "42883": SchemaMissing,
    "3F000": SchemaMissing,
    "25P01": SessionRefused,
    "25P02": SessionRefused,
    "57014": DeadlineExceeded,
    "55P03": DeadlineExceeded,
    "25P03": ConnectionLost,
    "57P01": ConnectionLost,  # terminated by an administrator
    "57P02": ConnectionLost,  # crash of another backend
    "57P03": ConnectionLost,  # starting up or shutting down
    "08006": ConnectionLost,
    "08P01": ConnectionLost,
    "25006": DatabaseUnavailable,
    "40001": DatabaseUnavailable,
    "40P01": DatabaseUnavailable,
    "53100": DatabaseUnavailable,  # disk full
    "53300": DatabaseUnavailable,  # too many connections
    "58030": DatabaseUnavailable,  # I/O error
    "22023": DatabaseFault,
    "23505": DatabaseFault,
    "23514": DatabaseFault,
    "XX000": DatabaseFault,
}


@pytest.mark.parametrize("sqlstate", STATEMENT)
def test_an_sqlstate_of_a_statement_has_one_class(sqlstate: str) -> None:
    assert type(error_for(sqlstate)) is STATEMENT[sqlstate]


def test_a_row_that_the_policy_refuses_is_recognised_by_the_source_function() -> None:
    """A missing GRANT is 42501 too; messages are translated, the name of the function is not."""
    assert type(error_for("42501", source_function="ExecWithCheckOptions")) is RowRefused
    for other in ("aclcheck_error", "", None):
        assert type(error_for("42501", source_function=other)) is PermissionMissing


def test_two_sqlstates_have_another_class_in_the_binding() -> None:
    bound = {sqlstate: type(error_for(sqlstate, binding=True)) for sqlstate in STATEMENT}
    assert bound == {**STATEMENT, "22023": TenantRoleMissing, "42501": TenantRoleRefused}


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=5, max_size=5), st.booleans())
def test_a_refused_statement_has_a_known_outcome(sqlstate: str, binding: bool) -> None:
    error = error_for(sqlstate, binding=binding)
    assert not getattr(error, "outcome_unknown", False)
    assert str(error) == type(error).__doc__
