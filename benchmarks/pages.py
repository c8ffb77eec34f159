"""The measured half of the row `storing`: pages that are parsed already, into the mirror and into plain SQLite.

Runs in a process of its own. HTTP and parsing are left out: the account's client is one that has the pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from benchmarks import people
from benchmarks.bench import DIRECTORY, directory_only
from benchmarks.office import unpaced
from syncer.clock import SystemClock
from syncer.core.model import DirectoryContact, Page, Row
from syncer.remote.telecmi import Telecmi
from syncer.sync import env as environment
from syncer.sync import jobs

#: Rows of a page, and of a transaction of the plain writer.
PAGE, BATCH = 100, 1000

COLUMNS = (
    "account", "contact_id", "phone_no", "phone_e164", "first_name", "last_name", "email_id", "company",
    "job_title", "first_seen_at", "last_changed_at", "raw",
)  # fmt: skip


def parsed(number: int) -> Row:
    """A listed contact as the adapter understands it."""
    raw = people.directory_row(number, 0)
    values = json.loads(raw)
    return Row(values["contact_id"], values | {"phone_e164": f"+{values['phone_no']}"}, raw)


class Pages:
    """A client that has every page already."""

    def __init__(self, contacts: int) -> None:
        rows = [parsed(number) for number in range(contacts)]
        self.rows = rows
        self._pages = [
            Page(
                tuple(rows[start : start + PAGE]),
                digest=str(start),
                total=contacts,
                cursor=str(start + PAGE) if start + PAGE < contacts else None,
            )
            for start in range(0, contacts, PAGE)
        ]

    async def fetch_directory_page(self, cursor: str | None, limit: int = PAGE) -> Page:
        """The page that begins there."""
        del limit
        return self._pages[int(cursor or 0) // PAGE]

    async def fetch_contact(self, contact_id: str) -> DirectoryContact | None:
        """Nobody is missing, so nobody is asked for."""
        raise AssertionError(contact_id)


def ours(folder: Path, pages: Pages) -> Iterator[float]:
    """Seconds of a first pull of these pages, then of a second one."""
    settings = unpaced(directory_only(1), folder)
    db = jobs.open_database(settings)
    env = environment.build(settings, db, SystemClock())
    source = env.sources["telecmi.main"]
    env.sources = {"telecmi.main": dataclasses.replace(source, client=cast("Telecmi", pages))}
    (spec,) = jobs.select(jobs.specs(settings), DIRECTORY, None)
    for _ in range(2):
        gc.collect()
        began = time.perf_counter()
        run = asyncio.run(jobs.run_job(env, spec))
        yield time.perf_counter() - began
        assert run.outcome == "ok", run.problem
    db.close()


def plain(folder: Path, rows: Sequence[Row]) -> Iterator[float]:
    """Seconds of the same rows by executemany into the same table without triggers, then of an upsert."""
    with contextlib.closing(sqlite3.connect(folder / "mirror.db")) as conn:
        query = (
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'telecmi_contacts' AND type != 'trigger' AND sql"
        )
        made = [row[0] for row in conn.execute(f"{query} IS NOT NULL ORDER BY type DESC")]
    values = [
        ("main", row.key, *(row.values[name] for name in COLUMNS[2:9]), "2026-11-21", "2026-11-21", row.raw)
        for row in rows
    ]
    insert = f"INSERT INTO telecmi_contacts ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    taken = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[2:])
    upsert = f"{insert} ON CONFLICT (account, contact_id) DO UPDATE SET {taken}"
    with contextlib.closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        for statement in made:
            conn.execute(statement)
        for statement in (insert, upsert):
            gc.collect()
            began = time.perf_counter()
            for start in range(0, len(values), BATCH):
                conn.execute("BEGIN IMMEDIATE")
                conn.executemany(statement, values[start : start + BATCH])
                conn.execute("COMMIT")
            yield time.perf_counter() - began


def storing(orders: dict[str, Any]) -> dict[str, float]:
    """Both, one after the other."""
    folder = Path(orders["folder"])
    pages = Pages(orders["contacts"])
    gc.freeze()  # a million objects that no measurement made are no burden of any
    first, again = ours(folder, pages)
    plain_first, plain_again = plain(folder, pages.rows)
    return {"first": first, "again": again, "plain": plain_first, "plain_again": plain_again}
