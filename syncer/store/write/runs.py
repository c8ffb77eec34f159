"""The statements for jobs, their runs, windows, and rows that were set aside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from syncer.core.model import SetAside
from syncer.core.windows import Verified
from syncer.store.db import statements
from syncer.store.db.read_only import chunks, tuples
from syncer.store.db.tables import set_aside, sync_jobs, sync_runs, telecmi_accounts, windows

#: How many rows that could not be parsed are kept per job and account.
MOST_SET_ASIDE = 1000


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job of an account, as the config has it."""

    job: str
    account: str
    provider: str
    enabled: bool
    every_s: int


@dataclass(slots=True)
class JobState:
    """The state of a job between its runs: columns of `sync_jobs`."""

    last_ok_at: str | None = None
    last_complete_at: str | None = None
    cursor: str | None = None
    last_full_at: str | None = None
    paused_until: str | None = None
    failures: int = 0
    notes: dict[str, Any] = field(default_factory=dict)


def register(conn: Connection, jobs: Sequence[JobRow], accounts: Sequence[tuple[str, bool, bool]]) -> None:
    """Store the jobs and TeleCMI accounts (name, mirrors the directory, may delete) of the config.

    The state of existing jobs is kept. Jobs that are no longer in the config are disabled.
    """
    there = _stored_jobs(conn)
    for one in jobs:
        if there.pop((one.job, one.account), None) != one:
            values = {"provider": one.provider, "enabled": int(one.enabled), "every_s": one.every_s}
            conn.execute(
                upsert(sync_jobs)
                .values(job=one.job, account=one.account, **values)
                .on_conflict_do_update(index_elements=["job", "account"], set_=values)
            )
    for job, account in there:
        conn.execute(
            update(sync_jobs).where(_is_job(job, account), sync_jobs.c.enabled == 1).values(enabled=0)
        )
    if _stored_accounts(conn) != set(accounts):
        conn.execute(delete(telecmi_accounts))
        statements.insert_rows(conn, telecmi_accounts, ("name", "contacts", "deletes"), sorted(accounts))


def is_registered(
    conn: Connection, jobs: Sequence[JobRow], accounts: Sequence[tuple[str, bool, bool]]
) -> bool:
    """Whether `register` would change nothing."""
    wanted = {(one.job, one.account): one for one in jobs}
    there = {key: one for key, one in _stored_jobs(conn).items() if one.enabled or key in wanted}
    return there == wanted and _stored_accounts(conn) == set(accounts)


def _stored_jobs(conn: Connection) -> dict[tuple[str, str], JobRow]:
    rows = tuples(conn, "SELECT job, account, provider, enabled, every_s FROM sync_jobs")
    return {
        (job, account): JobRow(job, account, provider, bool(enabled), every_s)
        for job, account, provider, enabled, every_s in rows
    }


def _stored_accounts(conn: Connection) -> set[tuple[str, bool, bool]]:
    rows = tuples(conn, "SELECT name, contacts, deletes FROM telecmi_accounts")
    return {(name, bool(contacts), bool(deletes)) for name, contacts, deletes in rows}


def _is_job(job: str, account: str) -> ColumnElement[bool]:
    return and_(sync_jobs.c.job == job, sync_jobs.c.account == account)


def load_job(conn: Connection, job: str, account: str) -> JobState:
    """The state of a job."""
    columns = [sync_jobs.c[one.name] for one in fields(JobState)]
    row = conn.execute(select(*columns).where(_is_job(job, account))).first()
    if row is None:
        return JobState()
    return JobState(**row._asdict() | {"notes": json.loads(row.notes or "{}")})


def save_job(conn: Connection, job: str, account: str, state: JobState) -> None:
    """Store the state of a job. Empty notes are left out."""
    notes = {name: note for name, note in state.notes.items() if note not in ({}, [])}
    values = asdict(state) | {"notes": json.dumps(notes, sort_keys=True) if notes else None}
    conn.execute(update(sync_jobs).where(_is_job(job, account)).values(values))


def start_run(conn: Connection, job: str, account: str, at: str) -> int:
    """Insert a run and return its id."""
    result = conn.execute(
        insert(sync_runs).values(job=job, account=account, started_at=at).returning(sync_runs.c.id)
    )
    return int(result.scalar_one())


def finish_run(conn: Connection, run: int, at: str, **columns: object) -> None:
    """Record the end of a run."""
    statements.update_row(conn, sync_runs, run, {"finished_at": at, **columns})


def drop_idle_run(conn: Connection, job: str, account: str, before: int) -> None:
    """Delete the run before this one if it found nothing to do either."""
    c = sync_runs.c
    last = select(func.max(c.id)).where(c.job == job, c.account == account, c.id < before).scalar_subquery()
    idle = (c.outcome == "ok", c.seen == 0, c.changed == 0, c.removed == 0)
    conn.execute(delete(sync_runs).where(c.id == last, *idle))


def close_broken_runs(conn: Connection, job: str, account: str, at: str) -> None:
    """Mark runs that a killed process left open as failed. The caller must hold the job's lock."""
    conn.execute(
        update(sync_runs)
        .where(sync_runs.c.job == job, sync_runs.c.account == account, sync_runs.c.finished_at.is_(None))
        .values(finished_at=at, outcome="failed", error="the program stopped before the run ended")
    )


def digest_of(row: SetAside) -> str:
    """Identifies a row that could not be parsed."""
    return hashlib.sha256(row.raw.encode("utf-8", "surrogatepass")).hexdigest()


def save_set_aside(conn: Connection, job: str, account: str, rows: Iterable[SetAside], at: str) -> int:
    """Store rows that could not be parsed, each once. Returns how many were new."""
    new = 0
    for row in rows:
        digest = digest_of(row)
        there = conn.execute(
            select(set_aside.c.id, set_aside.c.last_seen_at).where(
                set_aside.c.job == job, set_aside.c.account == account, set_aside.c.digest == digest
            )
        ).first()
        if there is None:
            new += 1
            conn.execute(
                insert(set_aside).values(
                    job=job,
                    account=account,
                    digest=digest,
                    reason=row.reason,
                    raw=row.raw,
                    first_seen_at=at,
                    last_seen_at=at,
                )
            )
        elif there.last_seen_at[:13] != at[:13]:  # hourly, so that a row that stays rarely costs a write
            conn.execute(update(set_aside).where(set_aside.c.id == there.id).values(last_seen_at=at))
    return new


def drop_set_aside(conn: Connection, job: str, account: str, seen: Collection[str] | None) -> None:
    """Delete rows that a proven listing no longer showed; `seen` has its digests, or is None if nothing is proven.

    Only the newest rows are kept, so that one that differs on each read does not fill the disk.
    """
    c = set_aside.c
    mine = (c.job == job) & (c.account == account)
    there = conn.execute(select(c.id, c.digest).where(mine).order_by(c.id.desc())).all()
    gone = [
        row.id
        for n, row in enumerate(there)
        if n >= MOST_SET_ASIDE or (seen is not None and row.digest not in seen)
    ]
    for block in chunks(gone):
        conn.execute(delete(set_aside).where(c.id.in_(block)))


def save_window(
    conn: Connection, account: str, name: str, window: Verified, replaces: Iterable[int], rows: int
) -> None:
    """Record that a span of a list was read completely. It replaces those that start at `replaces`."""
    drop_windows(conn, account, name, replaces)
    values = {"end_ms": window.end, "verified_ms": window.at, "rows": rows}
    conn.execute(
        upsert(windows)
        .values(account=account, list=name, start_ms=window.start, **values)
        .on_conflict_do_update(
            index_elements=["account", "list", "start_ms"],
            set_=values,
            where=windows.c.end_ms <= window.end,
        )
    )


def drop_windows(conn: Connection, account: str, name: str, starts: Iterable[int] | None = None) -> None:
    """Delete the spans of a list that start at `starts`, or all of them."""
    mine = (windows.c.account == account) & (windows.c.list == name)
    these = mine if starts is None else mine & windows.c.start_ms.in_(list(starts))
    conn.execute(delete(windows).where(these))
