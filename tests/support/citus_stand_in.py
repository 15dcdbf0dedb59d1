"""An extension named citus that stands in for the calls to Citus, and for nothing else.

Citus is not installed where these tests run. This extension has Citus's names for the functions and
catalogue tables that taskcore uses, notes each call in `stand_in.calls`, and refuses the calls that
Citus would refuse for their order. Every table stays where it is: no second node, no distributed
plan and none of Citus's own errors is here. What needs those is verified on a real cluster.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taskcore.embedded import place
from taskcore.embedded.lock import locked

_CONTROL = """
comment = 'stands in for the calls to Citus'
default_version = '1'
relocatable = false
schema = pg_catalog
"""

_SQL = r"""
CREATE SCHEMA stand_in;
GRANT USAGE ON SCHEMA stand_in TO PUBLIC;
CREATE TABLE stand_in.calls (number int GENERATED ALWAYS AS IDENTITY, call text NOT NULL);

CREATE TABLE stand_in.pg_dist_partition (
    logicalrelid regclass PRIMARY KEY, partmethod "char" NOT NULL, partkey text,
    colocationid int NOT NULL DEFAULT 1, repmodel "char" NOT NULL);
CREATE TABLE stand_in.pg_dist_node (
    nodename text NOT NULL, nodeport int NOT NULL, isactive bool NOT NULL DEFAULT true,
    noderole text NOT NULL DEFAULT 'primary', shouldhaveshards bool NOT NULL DEFAULT true);
INSERT INTO stand_in.pg_dist_node VALUES ('one', 5432), ('two', 5432);
INSERT INTO stand_in.pg_dist_node VALUES ('coordinator', 5432, true, 'primary', false);
ALTER TABLE stand_in.pg_dist_partition SET SCHEMA pg_catalog;
ALTER TABLE stand_in.pg_dist_node SET SCHEMA pg_catalog;
GRANT SELECT ON pg_catalog.pg_dist_partition, pg_catalog.pg_dist_node TO PUBLIC;

CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_dist_partition VALUES (table_name, 'n', NULL, 1, 't');
    INSERT INTO stand_in.calls (call) VALUES (format('reference %s', table_name));
END $$;

CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    local regclass := (
        SELECT k.confrelid FROM pg_constraint k
         WHERE k.conrelid = table_name AND k.contype = 'f' AND NOT EXISTS (
               SELECT FROM pg_dist_partition d WHERE d.logicalrelid = k.confrelid) LIMIT 1);
BEGIN
    IF local IS NOT NULL THEN
        RAISE EXCEPTION 'referenced table % must be a distributed table or a reference table',
            local;
    END IF;
    INSERT INTO pg_dist_partition SELECT table_name, 'h',
        format('{VAR :varno 1 :varattno %s :vartype 25}', a.attnum), 2, 's'
        FROM pg_attribute a WHERE a.attrelid = table_name AND a.attname = distribution_column;
    INSERT INTO stand_in.calls (call)
        VALUES (format('distribute %s by %s', table_name, distribution_column));
END $$;

CREATE FUNCTION truncate_local_data_after_distributing_table(function_table regclass)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = function_table) THEN
        RAISE EXCEPTION 'the table % is not distributed', function_table;
    END IF;
    INSERT INTO stand_in.calls (call) VALUES (format('truncate %s', function_table));
END $$;

CREATE FUNCTION citus_table_size(relation regclass) RETURNS bigint LANGUAGE sql
    RETURN 10000000000 + pg_table_size(relation);
CREATE FUNCTION citus_total_relation_size(relation regclass) RETURNS bigint LANGUAGE sql
    RETURN 20000000000 + pg_total_relation_size(relation);

CREATE FUNCTION citus_check_connection_to_node(nodename text, nodeport int DEFAULT 5432)
RETURNS bool LANGUAGE sql RETURN nodename NOT LIKE 'away%';
"""


@contextmanager
def binaries(version: int) -> Iterator[None]:
    """Let every embedded PostgreSQL that is started meanwhile know the extension.

    The files of an extension lie beside the server's. So the server gets a copy of its binaries,
    which stays for later runs, as the copy of the embedded PostgreSQL does that runs as root.
    """
    with pytest.MonkeyPatch.context() as patch:
        copied = _copied(version)
        patch.setattr(place, "wheel", lambda _: copied)
        yield


def _copied(version: int) -> Path:
    content = hashlib.sha256(f"{_CONTROL}{_SQL}".encode()).hexdigest()[:12]
    base = (
        place.BASE if os.geteuid() == 0 else Path(tempfile.gettempdir(), f"taskcore-{os.getuid()}")
    )
    shipped, home = place.wheel(version), base / f"citus-stand-in-{content}"
    with locked(home, 0o755), pytest.MonkeyPatch.context() as moved:
        moved.setattr(place, "BASE", home)
        copied = place.copy_of(shipped, version)
        extensions = copied.parent / "share" / "postgresql" / "extension"
        for name, text in (("citus--1.sql", _SQL), ("citus.control", _CONTROL)):
            (extensions / name).write_text(text)
    return copied
