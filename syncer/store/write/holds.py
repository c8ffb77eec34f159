"""The statements of `held` (what a safety limit stopped, and what people decided) and of `absences`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from syncer.store.db import statements
from syncer.store.db.read_only import raw, tuples
from syncer.store.db.tables import absences, held, held_rows


@dataclass(frozen=True, slots=True)
class Decided:
    """People's decisions about rows of one table: (row id, column or "")."""

    approved: frozenset[tuple[int, str]]
    rejected: frozenset[tuple[int, str]]


def decided(conn: Connection, job: str, account: str, table: str) -> Decided:
    """All decisions that may still apply."""
    query = (
        select(held.c.decision, held_rows.c.row_id, held_rows.c.field)
        .join(held_rows, held_rows.c.held_id == held.c.id)
        .where(
            held.c.job == job,
            held.c.account == account,
            held_rows.c.table_name == table,
            held.c.decision.in_(["approved", "rejected"]),
            held_rows.c.settled == 0,
        )
    )
    rows = conn.execute(query).all()
    approved = frozenset((row.row_id, row.field) for row in rows if row.decision == "approved")
    rejected = frozenset((row.row_id, row.field) for row in rows if row.decision == "rejected")
    return Decided(approved, rejected)


def kept_blanks(conn: Connection, table: str, rows: Iterable[int]) -> dict[int, set[str]]:
    """The columns of rows that may not turn blank, because a person has not decided yet or has rejected it."""
    kept: dict[int, set[str]] = {}
    for row_id, column in tuples(conn, _KEPT, table, json.dumps(list(rows))):
        kept.setdefault(row_id, set()).add(column)
    return kept


_KEPT = """
    SELECT r.row_id, r.field FROM held h JOIN held_rows r ON r.held_id = h.id
    WHERE (h.decided_at IS NULL OR h.decision = 'rejected') AND r.settled = 0 AND r.table_name = ?
        AND r.field <> ''
        AND r.row_id IN (SELECT value FROM json_each(?))"""


def open_hold(conn: Connection, job: str, account: str) -> int | None:
    """The id of the open hold, if there is one."""
    return conn.execute(
        select(held.c.id).where(held.c.job == job, held.c.account == account, held.c.decided_at.is_(None))
    ).scalar()


def open_rows(conn: Connection, job: str, account: str, table: str) -> frozenset[tuple[int, str]]:
    """The rows of a table in the open hold: (row id, column or "")."""
    query = (
        select(held_rows.c.row_id, held_rows.c.field)
        .join(held, held_rows.c.held_id == held.c.id)
        .where(
            held.c.job == job,
            held.c.account == account,
            held.c.decided_at.is_(None),
            held_rows.c.table_name == table,
        )
    )
    return frozenset((row.row_id, row.field) for row in conn.execute(query))


def update_open(
    conn: Connection,
    job: str,
    account: str,
    table: str,
    rows: Iterable[tuple[int, str]],
    reason: str,
    at: str,
) -> int | None:
    """Set the rows of a table in the open hold. Its rows of other tables stay.

    Opens a hold if there is none, and closes one that has no rows left. Returns its id, or None if the table has
    no rows in it. `reason` "" keeps the old reason.
    """
    listed = sorted(set(rows))
    number = open_hold(conn, job, account)
    if number is None:
        if not listed:
            return None
        new = insert(held).values(job=job, account=account, reason=reason, rows=len(listed), created_at=at)
        number = int(conn.execute(new.returning(held.c.id)).scalar_one())
    elif open_rows(conn, job, account, table) == set(listed):
        return number if listed else None
    mine = held_rows.c.table_name == table
    count = select(func.count()).select_from(held_rows).where(held_rows.c.held_id == number, ~mine)
    others = int(conn.execute(count).scalar_one())
    if not listed and not others:  # its rows stay on record
        statements.update_row(conn, held, number, {"decided_at": at, "decision": "superseded"})
        return None
    conn.execute(delete(held_rows).where(held_rows.c.held_id == number, mine))
    columns = ("held_id", "table_name", "row_id", "field")
    statements.insert_rows(conn, held_rows, columns, [(number, table, *one) for one in listed])
    values: dict[str, object] = {"rows": others + len(listed)}
    if reason:
        before = reason_of(conn, number)
        values["reason"] = f"{before}; {reason}" if others and reason not in before else reason
    statements.update_row(conn, held, number, values)
    return number if listed else None


def recount(conn: Connection) -> None:
    """Update the counts of open holds after rows were deleted from the database, and close those without rows."""
    listed = select(func.count()).where(held_rows.c.held_id == held.c.id).scalar_subquery()
    conn.execute(update(held).where(held.c.decided_at.is_(None), held.c.rows != listed).values(rows=listed))
    conn.execute(
        update(held)
        .where(held.c.decided_at.is_(None), held.c.rows == 0)
        .values(decided_at=held.c.created_at, decision="superseded")
    )


def reason_of(conn: Connection, number: int) -> str:
    """Why a hold waits."""
    return str(conn.execute(select(held.c.reason).where(held.c.id == number)).scalar_one())


def forget_decisions(
    conn: Connection, job: str, account: str, table: str, settled: Iterable[tuple[int, str]]
) -> None:
    """Mark decisions about rows as used, because the listing shows them again or they were removed.

    They stay on record, so that they can still be shown.
    """
    statement = """
        UPDATE held_rows SET settled = 1 WHERE table_name = ? AND row_id = ? AND field = ? AND held_id IN (
            SELECT id FROM held WHERE job = ? AND account = ? AND decision IN ('approved', 'rejected'))"""
    raw(conn).executemany(statement, [(table, *one, job, account) for one in settled])


def decide(conn: Connection, number: int, decision: str, at: str, by: str | None = None) -> str | None:
    """Record a decision. Returns the earlier decision, None if there was none, or "" for an unknown hold."""
    row = conn.execute(select(held.c.decided_at, held.c.decision).where(held.c.id == number)).first()
    if row is None:
        return ""
    if row.decided_at is not None:
        return str(row.decision)
    decided = {"decided_at": at, "decision": decision, "decided_by": by}
    statements.update_row(conn, held, number, decided)
    return None


# -- rows that one complete listing did not show ------------------------------------------------------


def noted_absences(conn: Connection, table: str) -> set[int]:
    """Rows of a table that one complete listing did not show."""
    return set(conn.execute(select(absences.c.row_id).where(absences.c.table_name == table)).scalars())


def note_absences(conn: Connection, table: str, rows: Iterable[int], at: str) -> None:
    """Record rows that were missing for the first time."""
    columns = ("table_name", "row_id", "noted_at")
    statements.insert_rows(conn, absences, columns, [(table, row_id, at) for row_id in rows])


def clear_absences(conn: Connection, table: str, rows: Iterable[int]) -> None:
    """Delete absences of rows that were shown again, or are settled."""
    statement = "DELETE FROM absences WHERE table_name = ? AND row_id = ?"
    raw(conn).executemany(statement, [(table, row_id) for row_id in rows])
