"""The binding and the statements of the operations, for the measurements with plain psycopg."""

from __future__ import annotations

from typing import LiteralString

BIND: LiteralString = (
    "SELECT set_config('role', 'taskcore_tenant', true), "
    "set_config('taskcore.user_id', %s, true), set_config('statement_timeout', '5000', true)"
)
_COLUMNS: LiteralString = "id, user_id, title, description, completed, created_at, updated_at"
_CHANGED: LiteralString = (
    "updated_at = greatest(now(), updated_at + interval '1 microsecond') "
    "WHERE user_id = %(owner)s AND id = %(id)s RETURNING " + _COLUMNS
)
LIST: LiteralString = (
    "SELECT " + _COLUMNS + " FROM public.tasks WHERE user_id = %(owner)s "
    "ORDER BY created_at DESC, id DESC"
)
GET: LiteralString = (
    "SELECT " + _COLUMNS + " FROM public.tasks WHERE user_id = %(owner)s AND id = %(id)s"
)
CREATE: LiteralString = (
    "INSERT INTO public.tasks (user_id, id, title, description) "
    "VALUES (%(owner)s, %(id)s, %(title)s, %(description)s) RETURNING " + _COLUMNS
)
UPDATE: LiteralString = (
    "UPDATE public.tasks SET title = coalesce(%(title)s, title), "
    "description = coalesce(%(description)s, description), "
    "completed = coalesce(%(completed)s, completed), " + _CHANGED
)
TOGGLE: LiteralString = "UPDATE public.tasks SET completed = NOT completed, " + _CHANGED
DELETE: LiteralString = (
    "DELETE FROM public.tasks WHERE user_id = %(owner)s AND id = %(id)s RETURNING id"
)
