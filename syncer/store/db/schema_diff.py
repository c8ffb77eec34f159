"""Compares the tables of a file with those that this version creates: columns, constraints and indexes.

What people added is ignored. `migrations.py` restores missing indexes; a table can only be repaired by a person, or
from a backup.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from syncer.store.db.read_only import Reader, tuples
from syncer.store.db.tables import metadata


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The parts of one table, in a form that can be compared."""

    columns: Mapping[str, str] = field(default_factory=dict)  #: name -> type, default, and so on
    rules: frozenset[str] = frozenset()  #: constraints of the whole table


@dataclass(frozen=True, slots=True)
class SchemaDifferences:
    """How a file differs from what is expected."""

    problems: tuple[str, ...] = ()  #: what only a person or a backup can repair
    indexes: Mapping[str, str] = field(default_factory=dict)  #: missing or different ones -> SQL
    unique: tuple[str, ...] = ()  #: people's own unique indexes, which may refuse upstream's rows

    def in_words(self) -> list[str]:
        """What is wrong, each with what to do about it."""
        if not self.indexes:
            return list(self.problems)
        names = ", ".join(self.indexes)
        text = f"indexes are missing or altered ({names}): `syncer db upgrade` puts them back"
        return [*self.problems, text]


def compare(conn: Reader) -> SchemaDifferences:
    """Compare the schema of the file with the expected one. Cheap if the same schema was compared before."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL"
    return _compare(tuple(tuples(conn, query)))


@cache
def _expected() -> tuple[dict[str, TableSchema], dict[str, tuple[str, str]]]:
    """The tables, and by index its table and SQL."""
    dialect = sqlite.dialect()
    tables = {
        name: str(CreateTable(table).compile(dialect=dialect)) for name, table in metadata.tables.items()
    }
    indexes = {
        str(index.name): (table.name, str(CreateIndex(index).compile(dialect=dialect)).strip())
        for table in metadata.tables.values()
        for index in table.indexes
    }
    return dict(_shapes(tables)), indexes


@cache
def _compare(schema: tuple[tuple[str, str, str, str], ...]) -> SchemaDifferences:
    tables, indexes = _expected()
    live = {name: sql for kind, name, _, sql in schema if kind == "table" and name in tables}
    shapes = dict(_shapes(live))
    problems: list[str] = []
    for name, wanted in tables.items():
        if name not in live:
            problems.append(f"the table {name} is missing: restore a backup")
        elif wrong := list(_differences(shapes[name], wanted)):
            problems.append(
                f"the table {name} is not as syncer made it ({'; '.join(wrong)}): {_advice(name, shapes[name], wanted)}"
            )
    there = {name: _plain(sql) for kind, name, _, sql in schema if kind == "index"}
    lost = {
        name: sql
        for name, (table, sql) in indexes.items()
        if table in live and there.get(name) != _plain(sql)
    }
    own = [
        f"{name} on {table}"
        for kind, name, table, sql in schema
        if kind == "index"
        and table in tables
        and name not in indexes
        and _plain(sql).startswith("create unique")
    ]
    return SchemaDifferences(tuple(problems), {} if problems else lost, tuple(own))


def _differences(found: TableSchema, wanted: TableSchema) -> Iterator[str]:
    for column, what in wanted.columns.items():
        if column not in found.columns:
            yield f"the column {column} is missing"
        elif found.columns[column] != what:
            yield f"the column {column} is {found.columns[column]} instead of {what}"
    for rule in sorted(wanted.rules - found.rules):
        yield f"without {rule}"


def _advice(name: str, found: TableSchema, wanted: TableSchema) -> str:
    missing = [column for column in wanted.columns if column not in found.columns]
    own = [column for column in found.columns if column not in wanted.columns]
    if len(missing) == 1 and own and found.rules >= wanted.rules:
        return (
            f"if {' or '.join(own)} is that column, renamed, `ALTER TABLE {name} RENAME COLUMN {own[0]} TO {missing[0]}` "
            "fixes it; else restore a backup"
        )
    return "restore a backup"


def _shapes(tables: Mapping[str, str]) -> Iterator[tuple[str, TableSchema]]:
    """Let SQLite parse the statements, in a separate database."""
    with contextlib.closing(sqlite3.connect(":memory:")) as scratch:
        for name, sql in tables.items():
            try:
                scratch.execute(sql)
            except sqlite3.Error as error:
                yield name, TableSchema(rules=frozenset([f"a definition that can be read ({error})"]))
                continue
            yield name, TableSchema(_columns(scratch, name), frozenset(_rules(scratch, name, sql)))


def _columns(scratch: sqlite3.Connection, table: str) -> dict[str, str]:
    out = {}
    for _, name, kind, required, default, key in scratch.execute(f"PRAGMA table_info({table})"):
        parts = [kind or "of no type"]
        parts += ["PRIMARY KEY"] if key else []
        parts += ["NOT NULL"] if required else []
        parts += [f"DEFAULT {default}"] if default is not None else []
        out[name] = " ".join(parts)
    return out


def _rules(scratch: sqlite3.Connection, table: str, sql: str) -> Iterator[str]:
    for _, index, unique, origin, _ in scratch.execute(f"PRAGMA index_list({table})").fetchall():
        if unique and origin != "c":
            columns = [row[2] for row in scratch.execute(f"PRAGMA index_info({index})")]
            yield f"UNIQUE ({', '.join(columns)})"
    for row in scratch.execute(f"PRAGMA foreign_key_list({table})"):
        yield f"FOREIGN KEY ({row[3]}) REFERENCES {row[2]}"
    yield from _checks(sql)
    words = _plain(sql)
    if words.rpartition(")")[2].strip() == "strict":
        yield "STRICT"
    if "autoincrement" in words:
        yield "AUTOINCREMENT"


def _checks(sql: str) -> Iterable[str]:
    """The CHECKs of a table, which no PRAGMA lists."""
    for start in re.finditer(r"\bCHECK\s*\(", sql, re.IGNORECASE):
        depth, end = 1, start.end()
        while depth and end < len(sql):
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        yield f"CHECK ({' '.join(sql[start.end() : end - 1].split())})"


def _plain(sql: str) -> str:
    """A statement without differences that mean nothing: whitespace, quotes around names, case."""
    return " ".join(sql.replace('"', "").replace("IF NOT EXISTS ", "").lower().split())
