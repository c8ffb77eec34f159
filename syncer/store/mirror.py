"""The statements of the plain mirrors: rows that only ever come from the vendor.

What is to be done with each row is decided in `core/rows.py`; this module loads, compares in
batches, and writes only rows that differ.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, text, update

from syncer.core.model import Note, Row, Value
from syncer.core.rows import MANY, Bits, Change, Decision, Insert, Remove, Same, Stored, decide_row
from syncer.store import bulk, log
from syncer.store.looking import fetch, raw
from syncer.store.queue import chunks
from syncer.store.tables import Mirror, telecmi_notes


@dataclass(slots=True)
class Tracker:
    """What one listing has shown so far of one mirror; bits and counts, no rows."""

    mirror: Mirror
    account: str
    ignored: frozenset[str] = frozenset()
    at: str = ""
    run: int = 0
    seen: Bits = field(default_factory=Bits)
    exact: Bits = field(default_factory=Bits)  #: rows that were shown just as the mirror has them
    #: Identities that were sifted out and are still to be written: what comes of them again comes after.
    unwritten: set[str] = field(default_factory=set)
    #: Nothing of what came last was known, and sifting would be in vain. Ends with a block that holds others.
    fresh: bool = False
    distinct: int = 0
    rows: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    volatile: Counter[str] = field(default_factory=Counter)  #: vendor fields that alone differed
    quiet: int = 0  #: rows of which only `raw` or a stamp was stored
    waiting: int = 0  #: rows put off until the listing is whole
    vanishing: set[int] = field(default_factory=set)  #: rows that the vendor says are deleted
    forgotten: Callable[[str | None], bool] = field(default=lambda _: False)


def fit(mirror: Mirror, values: Mapping[str, Any]) -> dict[str, Value]:
    """The vendor's values in the types of the columns; a number that is none becomes NULL."""
    numbers, fitted = mirror.numbers, {}
    for name in mirror.content:
        value = values.get(name)
        if value is not None:
            if name in numbers:
                value = _number(value)
            elif type(value) is not str:
                value = str(value)
        fitted[name] = value
    return fitted


def _number(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < 2**63 else None


@cache
def _loading(mirror: Mirror) -> str:
    columns = ", ".join(("id", mirror.key, "raw", "deleted_at", *mirror.content))
    # any number of keys in one parameter, so that SQLite reads the statement but once
    known = f"account = ? AND {mirror.key} IN (SELECT value FROM json_each(?))"
    return f"SELECT {columns} FROM {mirror.name} WHERE {known}"


def _load(conn: Connection, mirror: Mirror, account: str, keys: Iterable[str]) -> dict[str, Stored]:
    out = {}
    for block in chunks(keys):
        for row_id, key, json_, deleted_at, *values in fetch(
            conn, _loading(mirror), account, json.dumps(block)
        ):
            content = dict(zip(mirror.content, values, strict=True))
            out[key] = Stored(row_id, content, json_, deleted_at is not None)
    return out


def _decide(tracker: Tracker, stored: Stored | None, row: Row) -> Decision:
    mirror = tracker.mirror
    fitted = Row(row.key, fit(mirror, row.values), row.raw, row.deleted_at, row.stamp, row.notes)
    return decide_row(stored, fitted, content=mirror.content, stamps=mirror.stamps, ignored=tracker.ignored)


@cache
def _standing(mirror: Mirror) -> str:
    known = f"account = ? AND {mirror.key} IN (SELECT value FROM json_each(?))"
    return f"SELECT {mirror.key}, id, raw, deleted_at FROM {mirror.name} WHERE {known}"


class _Standing(NamedTuple):
    """How a row stands here."""

    id: int
    raw: str | None
    deleted_at: str | None


def sift(conn: Connection, tracker: Tracker, rows: Sequence[Row]) -> list[Row]:
    """Those of the rows that differ from the mirror; the others are marked as seen, and done with."""
    if tracker.fresh:
        return list(rows)
    mirror, there = tracker.mirror, _standing_rows(conn, tracker, rows)
    doubtful = [
        row.key
        for row in rows
        if (one := there.get(row.key)) is not None
        and (one.raw != row.raw or one.deleted_at is not None or row.deleted_at)
    ]
    stored = _load(conn, mirror, tracker.account, doubtful) if doubtful else {}
    differing = []
    for row in rows:
        one = there.get(row.key)
        if one is None and (row.deleted_at or tracker.forgotten(_phone(row))):
            tracker.rows += 1
            tracker.distinct += 1
        elif (
            one is None
            or row.key in tracker.unwritten
            or one.id in tracker.seen
            or (row.key in stored and not isinstance(_decide(tracker, stored[row.key], row), Same))
        ):
            differing.append(row)
            tracker.unwritten.add(row.key)
        else:
            tracker.rows += 1
            tracker.distinct += 1
            tracker.seen.add(one.id)
            tracker.exact.add(one.id)
    tracker.fresh = not there and len(rows) >= MANY
    return differing


def _standing_rows(conn: Connection, tracker: Tracker, rows: Sequence[Row]) -> dict[str, _Standing]:
    there: dict[str, _Standing] = {}
    mirror = tracker.mirror
    for block in chunks([row.key for row in rows]):
        standing = fetch(conn, _standing(mirror), tracker.account, json.dumps(block))
        there |= {key: _Standing(*one) for key, *one in standing}
    return there


@dataclass(frozen=True, slots=True)
class Judged:
    """What a block of rows comes to, as far as it can be told without holding anybody up."""

    rows: Sequence[Row]
    stored: dict[str, Stored]  #: how those of them stand that the mirror has
    new: list[Row]  #: those that are new, and come once
    values: list[tuple[Any, ...]]  #: what is written of these, in the order of `_columns`


def judge(conn: Connection, tracker: Tracker, rows: Sequence[Row]) -> Judged:
    """Say which rows are new. Reads, and writes nothing: what it says holds for this snapshot."""
    mirror, at, account = tracker.mirror, tracker.at, tracker.account
    stored = _load(conn, mirror, account, [row.key for row in rows])
    times = Counter(row.key for row in rows)
    new = [
        row
        for row in rows
        if row.key not in stored and times[row.key] == 1 and not row.deleted_at
        if not tracker.forgotten(_phone(row))
    ]
    values = [(account, row.key, *fit(mirror, row.values).values(), at, at, row.raw) for row in new]
    return Judged(rows, stored, new, values)


def take(conn: Connection, tracker: Tracker, made: Judged) -> None:
    """Write what is new or differs.

    Put off until the listing is whole are rows that would blank a column, rows that the vendor calls
    deleted, and older versions of a row that comes twice.
    """
    mirror, stored = tracker.mirror, made.stored
    tracker.unwritten.difference_update([row.key for row in made.rows])
    tracker.fresh = tracker.fresh and len(made.new) == len(made.rows)
    _insert_new(conn, tracker, made)
    inserted = {row.key for row in made.new}
    for row in made.rows:
        if row.key in inserted:
            continue
        tracker.rows += 1
        there = stored.get(row.key)
        if tracker.forgotten(_phone(row)):
            tracker.distinct += 1
            continue
        decision = _decide(tracker, there, row)
        if there is not None and not tracker.seen.add(there.id):
            _take_again(conn, tracker, row, there, decision)
            stored |= _load(conn, mirror, tracker.account, [row.key])
            tracker.exact.add(there.id)
            continue
        tracker.distinct += 1
        older = _is_older(mirror, row, there) and isinstance(decision, Change)
        if older:
            put_off(conn, tracker, row)
        else:
            _carry_out(conn, tracker, row, decision, final=False)
        if not isinstance(decision, Same):
            stored |= _load(conn, mirror, tracker.account, [row.key])
        if row.key in stored:
            tracker.seen.add(stored[row.key].id)
            if not older:
                tracker.exact.add(stored[row.key].id)


@cache
def _columns(mirror: Mirror) -> tuple[str, ...]:
    """The columns of a new row."""
    return ("account", mirror.key, *mirror.content, "first_seen_at", "last_changed_at", "raw")


def _insert_new(conn: Connection, tracker: Tracker, made: Judged) -> None:
    """Write the new rows of a block, most of a first pull, at once."""
    if not made.new:
        return
    ids = bulk.insert_new(conn, tracker.mirror.table, _columns(tracker.mirror), made.values, tracker.at)
    _insert_notes(conn, tracker, ids, made.new)
    for row_id in ids:
        tracker.seen.add(row_id)
        tracker.exact.add(row_id)
    tracker.rows += len(ids)
    tracker.distinct += len(ids)
    tracker.added += len(ids)


def _insert_notes(conn: Connection, tracker: Tracker, ids: range, rows: Sequence[Row]) -> None:
    """Write the notes of new rows, of which none is there yet."""
    values = [
        (tracker.account, row_id, note.msg, note.date, note.agent, tracker.at)
        for row_id, row in zip(ids, rows, strict=True)
        if row.notes
        for note in dict.fromkeys(row.notes)
    ]
    columns = ("account", "contact_row", "msg", "date", "agent", "first_seen_at")
    if values:
        bulk.insert_new(conn, telecmi_notes, columns, values, tracker.at)


def _phone(row: Row) -> str | None:
    phone = row.values.get("phone_e164")
    return phone if isinstance(phone, str) else None


def _is_older(mirror: Mirror, row: Row, there: Stored | None) -> bool:
    """Whether a row may be the older one of two with the same identity."""
    if there is None or mirror.newest_by is None or there.deleted:
        return False
    mine, theirs = there.values.get(mirror.newest_by), fit(mirror, row.values).get(mirror.newest_by)
    return isinstance(mine, int) and (not isinstance(theirs, int) or theirs < mine)


def _take_again(conn: Connection, tracker: Tracker, row: Row, there: Stored, decision: Decision) -> None:
    """An identity that came before in this listing."""
    if isinstance(decision, Same) and not tracker.exact.add(there.id):
        return  # the very same row again: it moved while we read
    if tracker.mirror.newest_by is not None:
        tracker.distinct += 1  # two rows of one number: both count, the newest shows
        if _is_older(tracker.mirror, row, there):
            return
        if tracker.waiting:
            conn.execute(
                text("DELETE FROM temp.put_off WHERE run = :run AND key = :key"),
                {"run": tracker.run, "key": row.key},
            )
    _carry_out(conn, tracker, row, decision, final=False)


def _carry_out(conn: Connection, tracker: Tracker, row: Row, decision: Decision, *, final: bool) -> None:
    mirror, at = tracker.mirror, tracker.at
    table = mirror.table
    if isinstance(decision, Insert):
        values = fit(mirror, row.values)
        result = conn.execute(
            insert(table)
            .values(
                account=tracker.account,
                first_seen_at=at,
                last_changed_at=at,
                raw=row.raw,
                **{mirror.key: row.key},
                **values,
            )
            .returning(table.c.id)
        )
        row_id = int(result.scalar_one())
        log.inserted(conn, mirror.name, row_id, at)
        save_notes(conn, tracker, row_id, row.notes)
        tracker.added += 1
    elif isinstance(decision, Remove):
        tracker.vanishing.add(decision.id)
    elif isinstance(decision, Change):
        if decision.blanks and not final:
            put_off(conn, tracker, row)
            return
        values = fit(mirror, row.values) | {"raw": row.raw}
        if decision.changes or decision.restores:
            values |= {"last_changed_at": at, "deleted_at": None}
            told = dict(decision.changes)
            if decision.restores:
                before = conn.execute(select(table.c.deleted_at).where(table.c.id == decision.id)).scalar()
                told["deleted_at"] = (before, None)
            log.changed(conn, mirror.name, decision.id, told, at, "upstream")
            tracker.changed += 1
        else:
            tracker.quiet += 1
            for name in decision.volatile:
                if len(decision.volatile) == 1:
                    tracker.volatile[name] += 1
        conn.execute(update(table).where(table.c.id == decision.id).values(**values))
        save_notes(conn, tracker, decision.id, row.notes)


def save_notes(conn: Connection, tracker: Tracker, row_id: int, notes: Iterable[Note]) -> None:
    """Append the notes that are not there yet; notes are never taken away."""
    notes = list(notes)
    if not notes:
        return
    columns = telecmi_notes.c
    there = {
        (row.msg, row.date, row.agent)
        for row in conn.execute(select(telecmi_notes).where(columns.contact_row == row_id))
    }
    for note in notes:
        if (note.msg, note.date, note.agent) in there:
            continue
        there.add((note.msg, note.date, note.agent))
        result = conn.execute(
            insert(telecmi_notes)
            .values(
                account=tracker.account,
                contact_row=row_id,
                msg=note.msg,
                date=note.date,
                agent=note.agent,
                first_seen_at=tracker.at,
            )
            .returning(columns.id)
        )
        log.inserted(conn, "telecmi_notes", int(result.scalar_one()), tracker.at)


# -- what waits for the whole listing ---------------------------------------------------------------


def put_off(conn: Connection, tracker: Tracker, row: Row) -> None:
    """Keep a row until the listing is whole, in a scratch table in the memory of this connection."""
    raw(conn).execute(
        "CREATE TEMP TABLE IF NOT EXISTS put_off (run INTEGER, key TEXT, payload TEXT, PRIMARY KEY (run, key))"
    )
    tracker.waiting += 1
    payload = json.dumps(
        {
            "values": dict(row.values),
            "raw": row.raw,
            "stamp": row.stamp,
            "notes": [[n.msg, n.date, n.agent] for n in row.notes],
        }
    )
    conn.execute(
        text("INSERT OR REPLACE INTO temp.put_off (run, key, payload) VALUES (:run, :key, :payload)"),
        {"run": tracker.run, "key": row.key, "payload": payload},
    )


def load_put_off(conn: Connection, run: int) -> list[Row]:
    """The rows kept back in this run."""
    out = []
    for key, payload in conn.execute(
        text("SELECT key, payload FROM temp.put_off WHERE run = :run ORDER BY key"), {"run": run}
    ):
        kept = json.loads(payload)
        notes = tuple(Note(*note) for note in kept["notes"])
        out.append(Row(key, kept["values"], kept["raw"], None, kept["stamp"], notes))
    return out


def blanks_put_off(conn: Connection, tracker: Tracker) -> list[tuple[int, str]]:
    """What the rows kept back would blank: (row id, column)."""
    rows = load_put_off(conn, tracker.run)
    stored = _load(conn, tracker.mirror, tracker.account, [row.key for row in rows])
    out = []
    for row in rows:
        there = stored.get(row.key)
        decision = _decide(tracker, there, row)
        if there is not None and isinstance(decision, Change):
            out += [(there.id, column) for column in decision.blanks]
    return out


def drop_put_off(conn: Connection, run: int) -> None:
    """Forget what was kept back."""
    conn.execute(text("DELETE FROM temp.put_off WHERE run = :run"), {"run": run})


def settle_put_off(conn: Connection, tracker: Tracker, allowed: Callable[[int, str], bool]) -> None:
    """Write the rows kept back, but for the blanks that are not `allowed` (row id, column)."""
    if not tracker.waiting:
        return  # not even the scratch table is there, where nothing had to be written
    mirror = tracker.mirror
    rows = load_put_off(conn, tracker.run)
    stored = _load(conn, mirror, tracker.account, [row.key for row in rows])
    for row in rows:
        there = stored.get(row.key)
        decision = _decide(tracker, there, row)
        if isinstance(decision, Change) and there is not None:
            refused = [c for c in decision.blanks if not allowed(there.id, c)]
            if refused:
                values = dict(row.values) | {c: there.values.get(c) for c in refused}
                if "phone_number" in refused or "mobile" in refused:
                    values["phone_e164"] = there.values.get("phone_e164")
                # raw stays the old one, so that the next listing sees the difference again
                row = Row(row.key, values, there.raw or row.raw, None, row.stamp, row.notes)
                decision = _decide(tracker, Stored(there.id, there.values, None, there.deleted), row)
                if isinstance(decision, Change) and not decision.changes:
                    continue
        _carry_out(conn, tracker, row, decision, final=True)
    drop_put_off(conn, tracker.run)


def no_blanks(row_id: int, column: str) -> bool:
    """Nothing may turn blank."""
    del row_id, column
    return False
