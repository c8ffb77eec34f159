"""Bytes that a pull writes when little or nothing changed upstream."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from benchmarks import people
from benchmarks.bench import DIRECTORY, Bench, directory_only, succeeded
from benchmarks.report import Line, Sample
from benchmarks.upstream import Upstream
from benchmarks.usage import written

NOTE = (
    "bytes written to files (wchar of /proc/self/io): database, WAL, the checkpoint at the end, lock files and log "
    "lines"
)


def quiet(bench: Bench) -> Iterator[Line]:
    """A second pull without changes, then pulls in which one contact in a thousand changed."""
    still, still_wall, still_cpu, moved, bare, adjacent = [], [], [], [], [], []
    changed = 0
    with bench.room() as room, Upstream(directory=bench.contacts) as upstream:
        orders = bench.office(room, directory_only(upstream.port), contacts=bench.contacts)
        for n in range(bench.rounds):
            result = succeeded(bench.child("sync", **orders, jobs=DIRECTORY))
            still.append(result["written"] / 1000)
            still_wall.append(result["wall"])
            still_cpu.append(result["cpu"])
            upstream.control(revision=n + 1)
            result = succeeded(bench.child("sync", **orders, jobs=DIRECTORY))
            changed = result["runs"][0]["changed"]
            assert changed == bench.contacts // 1000, result["runs"]
            moved.append(result["written"] / 1000 / changed)
            bare.append(_barest(bench, room, n + 1) / 1000 / changed)
            # Every second hundred: contacts edited here would miss the change of a later revision.
            upstream.control(start=2 * n * changed, bulk=changed)
            result = succeeded(bench.child("sync", **orders, jobs=DIRECTORY))
            assert result["runs"][0]["changed"] == changed, result["runs"]
            adjacent.append(result["written"] / 1000 / changed)
    of = f"{bench.contacts:,} contacts"
    yield Line(
        f"{of}, nothing changed: bytes written",
        Sample.of(still, "kB"),
        limit=20,
        judged="ours",
        notes=(NOTE,),
    )
    yield Line("its wall time, no latency", Sample.of(still_wall))
    yield Line("its CPU time", Sample.of(still_cpu))
    what = f"{changed} of {of} changed"
    by_hand = "one transaction of plain UPDATEs"
    yield Line(f"{what}, adjacent: bytes written per contact", Sample.of(adjacent, "kB"))
    what = f"{what}, scattered: bytes written per contact"
    yield Line(what, Sample.of(moved, "kB"), by_hand, Sample.of(bare, "kB"), limit=12, judged="ours")


def _barest(bench: Bench, room: Path, revision: int) -> int:
    """Bytes that the same changes take by hand: row, base and log entry, in one transaction without triggers."""
    path = room / "bare.db"
    shutil.copy(bench.mirror(bench.contacts), path)
    changes = []
    for number in people.changed_by(revision, bench.contacts):
        before, after = people.fields(number, revision - 1), people.fields(number, revision)
        (name,) = (name for name in after if after[name] != before[name])
        raw = people.directory_row(number, revision)
        changes.append((name, before[name], after[name], raw, people.contact_id(number)))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as conn:
        triggers = conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        conn.execute("BEGIN IMMEDIATE")
        for (trigger,) in triggers:
            conn.execute(f"DROP TRIGGER {trigger}")
        conn.execute("COMMIT")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        begun = written()
        conn.execute("BEGIN IMMEDIATE")
        for name, old, new, raw, identity in changes:
            (row,) = conn.execute(
                f"UPDATE telecmi_contacts SET {name} = ?, raw = ?, last_changed_at = '2026-11-21T09:30:00.000Z' "
                "WHERE account = 'main' AND contact_id = ? RETURNING id",
                (new, raw, identity),
            ).fetchall()
            conn.execute(f"UPDATE contact_base SET {name} = ? WHERE row_id = ?", (new, row[0]))
            conn.execute(
                "INSERT INTO change_log (at, table_name, row_id, kind, field, old, new, origin) "
                "VALUES ('2026-11-21T09:30:00.000Z', 'telecmi_contacts', ?, 'update', ?, ?, ?, 'upstream')",
                (row[0], name, old, new),
            )
        conn.execute("COMMIT")
    spent = written() - begun
    path.unlink()
    return spent
