"""Building blocks of the tables: STRICT, in SQLite's own types, with CHECKs against invalid values."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

metadata = MetaData()


def table(
    name: str,
    *parts: Column[object] | UniqueConstraint | CheckConstraint | Index,
    autoincrement: bool = True,
) -> Table:
    """A STRICT table; `autoincrement` prevents ids from being reused."""
    return Table(name, metadata, *parts, sqlite_autoincrement=autoincrement, sqlite_strict=True)


def id_() -> Column[object]:
    """The row id."""
    return Column("id", Integer, primary_key=True)


def text_(name: str, *, null: bool = True, default: str | None = None) -> Column[object]:
    """A text column; `null` allows NULL."""
    return Column(name, Text, nullable=null, server_default=default)


def int_(name: str, *, null: bool = True, default: str | None = None) -> Column[object]:
    """An integer column; `null` allows NULL."""
    return Column(name, Integer, nullable=null, server_default=default)


def one_of(column: str, *words: str) -> CheckConstraint:
    """Only these words, or NULL if the column allows it."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})")


def yes_no(column: str) -> CheckConstraint:
    """Only 0 and 1."""
    return CheckConstraint(f"{column} IN (0, 1)")


def mirror_columns() -> list[Column[object]]:
    """The columns that every mirrored table has after the vendor's columns."""
    return [
        text_("first_seen_at"),
        text_("last_changed_at"),
        text_("deleted_at"),
        text_("raw"),
    ]
