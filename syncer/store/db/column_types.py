"""Building blocks of the tables: STRICT, in SQLite's own types, with CHECKs against what a stray write may leave."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

metadata = MetaData()


def table(
    name: str,
    *parts: Column[object] | UniqueConstraint | CheckConstraint | Index,
    autoincrement: bool = True,
) -> Table:
    """A STRICT table of ours; `autoincrement` keeps ids from being given out twice."""
    return Table(name, metadata, *parts, sqlite_autoincrement=autoincrement, sqlite_strict=True)


def id_() -> Column[object]:
    """A row's own number."""
    return Column("id", Integer, primary_key=True)


def text_(name: str, *, null: bool = True, default: str | None = None) -> Column[object]:
    """Text; `null` says whether it may be missing."""
    return Column(name, Text, nullable=null, server_default=default)


def int_(name: str, *, null: bool = True, default: str | None = None) -> Column[object]:
    """A whole number, likewise."""
    return Column(name, Integer, nullable=null, server_default=default)


def one_of(column: str, *words: str) -> CheckConstraint:
    """Nothing but these words, or NULL where the column allows it."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})")


def yes_no(column: str) -> CheckConstraint:
    """Nothing but 0 and 1."""
    return CheckConstraint(f"{column} IN (0, 1)")


def mirror_columns() -> list[Column[object]]:
    """What every mirrored table has beside the vendor's columns."""
    return [
        text_("first_seen_at"),
        text_("last_changed_at"),
        text_("deleted_at"),
        text_("raw"),
    ]
