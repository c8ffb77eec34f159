"""The triggers and views of a file, compared with those that it should have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from sqlalchemy import Connection

Kind: TypeAlias = Literal["trigger", "view"]


def existing(conn: Connection, kind: Kind) -> dict[str, str]:
    """All triggers or views of the file: name -> SQL."""
    query = f"SELECT name, sql FROM sqlite_master WHERE type = '{kind}'"
    return dict(conn.exec_driver_sql(query).all())


def differing(conn: Connection, kind: Kind, expected: Mapping[str, str]) -> list[str]:
    """Names of those that are missing or different."""
    there = existing(conn, kind)
    return [name for name, sql in expected.items() if there.get(name) != sql]


def ensure(conn: Connection, kind: Kind, expected: Mapping[str, str]) -> list[str]:
    """Create those that are missing or different. Returns their names."""
    names = differing(conn, kind, expected)
    for name in names:
        conn.exec_driver_sql(f"DROP {kind} IF EXISTS {name}")
        conn.exec_driver_sql(expected[name])
    return names
