"""The figures of the metrics and health pages, read in one snapshot. They contain no personal data."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from syncer.core.model import State
from syncer.store.db.read_only import Reader, first, placeholders, records, tuples
from syncer.store.read import audio_queries, outbox, publish_queries

#: The row counts of a run.
COUNTED = ("seen", "added", "changed", "removed")

#: The key in a job's notes under which the sums of deleted runs are kept.
FORGOTTEN = "forgotten_runs"

#: Seconds since the epoch of a stored time, to the second.
_EPOCH = "CAST(strftime('%s', {0}) AS INTEGER)"


@dataclass(frozen=True, slots=True)
class JobHealth:
    """A job in the view `sync_health`."""

    job: str
    account: str
    provider: str
    last_ok: int | None  #: epoch seconds
    age_s: int | None
    every_s: int
    stale: bool
    failures: int
    paused: bool


@dataclass(slots=True)
class Totals:
    """Sums over all runs of each job. They are updated with each scrape, which only reads the new runs.

    Runs that retention deletes remain counted: their sums are kept in the job's notes.
    """

    sums: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    outcomes: dict[tuple[str, str, str], int] = field(default_factory=dict)
    last: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)  #: outcome, seconds
    _upto: int = 0
    _begun: bool = False

    def read(self, conn: Reader) -> None:
        """Add the runs that have ended since the last call."""
        if not self._begun:
            self._read_forgotten(conn)
            self._begun = True
        running = first(conn, "SELECT min(id) FROM sync_runs WHERE finished_at IS NULL")
        end = running or (first(conn, "SELECT max(id) FROM sync_runs") or 0) + 1
        for job, account, ended, seconds, *counts in tuples(
            conn,
            "SELECT job, account, outcome, (julianday(finished_at) - julianday(started_at)) * 86400, "
            f"{', '.join(COUNTED)} FROM sync_runs WHERE id > ? AND id < ? ORDER BY id",
            self._upto,
            end,
        ):
            self._add((job, account), dict(zip(COUNTED, counts, strict=True)))
            outcome = ended or "failed"
            self.outcomes[job, account, outcome] = self.outcomes.get((job, account, outcome), 0) + 1
            self.last[job, account] = (outcome, max(0.0, seconds or 0.0))
        self._upto = max(self._upto, end - 1)

    def _read_forgotten(self, conn: Reader) -> None:
        query = "SELECT job, account, notes FROM sync_jobs WHERE notes IS NOT NULL"
        for job, account, notes in tuples(conn, query):
            kept = json.loads(notes).get(FORGOTTEN, {})
            self._add((job, account), {name: int(kept.get(name, 0)) for name in COUNTED})
            for outcome, count in kept.get("outcomes", {}).items():
                self.outcomes[job, account, outcome] = int(count)

    def _add(self, key: tuple[str, str], counts: dict[str, int]) -> None:
        into = self.sums.setdefault(key, dict.fromkeys(COUNTED, 0))
        for name, count in counts.items():
            into[name] += count


@dataclass(frozen=True, slots=True)
class Figures:
    """The data of one scrape."""

    jobs: tuple[JobHealth, ...]
    queue: dict[tuple[str, str], int]  #: (account, state) -> changes; every state of every account
    oldest: dict[str, float]  #: account -> age of its oldest unsent change, in seconds
    held: dict[tuple[str, str], int]  #: (job, account) -> rows that wait for a person
    set_aside: dict[tuple[str, str], int]  #: (job, account) -> rows that could not be parsed
    callbacks: tuple[int, float]  #: numbers that wait for a call back, and the longest wait in seconds
    audio: dict[
        tuple[str, str], tuple[int, int]
    ]  #: (account, state) -> number of recordings, and bytes of their files
    outbox: dict[str, dict[str, int]]  #: target -> state -> notifications
    publish_lags: dict[str, float]  #: target -> age of the oldest change missing in its copy, in seconds
    violations: dict[tuple[str, str], int]  #: (job, account) -> runs that wrote although nothing had changed


def read_jobs(conn: Reader) -> tuple[JobHealth, ...]:
    """Every enabled job."""
    rows = records(
        conn,
        f"SELECT h.job, h.account, j.provider, {_EPOCH.format('h.last_ok_at')} AS last_ok, "
        "h.age_s, h.every_s, h.stale, h.failures, "
        "h.paused_until IS NOT NULL AS paused "
        "FROM sync_health h JOIN sync_jobs j ON j.job = h.job AND j.account = h.account "
        "ORDER BY h.account, h.job",
    )
    flags = ("stale", "paused")
    return tuple(JobHealth(**row | {name: bool(row[name]) for name in flags}) for row in rows)


def read_figures(conn: Reader, totals: Totals) -> Figures:
    """Read the figures, and update `totals`."""
    totals.read(conn)
    jobs = read_jobs(conn)
    accounts = [str(name) for (name,) in tuples(conn, "SELECT name FROM telecmi_accounts")]
    counts = {(account, state.value): 0 for account in accounts for state in State}
    counts |= _counts(conn, "SELECT account, state, count(*) FROM change_queue GROUP BY account, state")
    oldest: dict[str, float] = dict.fromkeys(accounts, 0.0)
    unsent = (State.QUEUED.value, State.SENDING.value, State.UNKNOWN.value)
    for account, age in tuples(
        conn,
        "SELECT account, (julianday('now') - julianday(min(created_at))) * 86400 "
        f"FROM change_queue WHERE state IN ({placeholders(unsent)}) GROUP BY account",
        *unsent,
    ):
        oldest[str(account)] = max(0.0, float(age or 0.0))
    none = {(job.job, job.account): 0 for job in jobs}
    held = none | _counts(
        conn, "SELECT job, account, sum(rows) FROM held WHERE decided_at IS NULL GROUP BY job, account"
    )
    aside = none | _counts(conn, "SELECT job, account, count(*) FROM set_aside GROUP BY job, account")
    violations = dict(none)
    for job, account, notes in tuples(conn, "SELECT job, account, notes FROM sync_jobs"):
        if (job, account) in none and notes:
            violations[job, account] = int(json.loads(notes).get("quiescence_violations", 0))
    (waiting,) = tuples(
        conn,
        "SELECT count(*), COALESCE((julianday('now') - julianday(min(first_at))) * 86400, 0) "
        "FROM callback_numbers WHERE first_at IS NOT NULL",
    )
    callbacks = (int(waiting[0]), max(0.0, float(waiting[1])))
    return Figures(
        jobs,
        counts,
        oldest,
        held,
        aside,
        callbacks,
        audio_queries.totals(conn),
        outbox.counts(conn),
        publish_queries.lags(conn),
        violations,
    )


def _counts(conn: Reader, query: str) -> dict[tuple[str, str], int]:
    return {(str(a), str(b)): int(n) for a, b, n in tuples(conn, query)}


def file_sizes(database: Path) -> Iterator[tuple[str, str, float]]:
    """(metric, description, bytes): the database file, its write-ahead log, the free space on its disk."""
    wal = database.with_name(f"{database.name}-wal")
    yield "database_bytes", "Size of the database file", _size(database)
    yield "wal_bytes", "Size of the database's write-ahead log", _size(wal)
    with contextlib.suppress(OSError):
        yield (
            "disk_free_bytes",
            "Free space on the database's disk",
            float(shutil.disk_usage(database.parent).free),
        )


def _size(path: Path) -> float:
    try:
        return float(path.stat().st_size)
    except OSError:
        return 0.0


def stale_reasons(jobs: tuple[JobHealth, ...]) -> list[str]:
    """Why the mirror is not healthy, as sentences. Empty if it is healthy."""
    out = []
    for job in (one for one in jobs if one.stale):
        name = f"{job.job} of {job.provider}.{job.account}"
        if job.last_ok is None:
            out.append(f"{name} has not succeeded yet")
        else:
            out.append(f"{name} last succeeded {job.age_s} s ago, due every {job.every_s} s")
    return out


def as_json(job: JobHealth) -> dict[str, Any]:
    """A job for `/healthz`."""
    row = asdict(job)
    del row["last_ok"]
    return row
