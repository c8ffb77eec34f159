"""The history of one person: everything that any table knows about them, as events in order of time.

`people` finds the person, `callers` says where the name comes from, `story_words` puts events into words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from syncer.core.model import State
from syncer.store.db.call_views import calls_sql
from syncer.store.db.read_only import Reader, Record, first, records
from syncer.store.read import callers, status_queries
from syncer.store.read.callers import NameSource
from syncer.store.read.people import Person

#: Tables with contacts.
_CONTACTS = ("telecmi_contacts", "telecmi_user_contacts", "smartflo_contacts")

#: The log of a row. An entry that an import wrote has its batch, format and author.
_LOG = """
SELECT l.at, l.kind, l.field, l.old, l.new, l.origin, l.actor, b.id AS batch, b.format, b."by" AS who
FROM change_log l
LEFT JOIN import_spans s ON l.origin = 'local' AND l.seq BETWEEN s.first_seq AND s.last_seq
LEFT JOIN import_batches b ON b.id = s.batch
WHERE l.table_name = ? AND l.row_id = ? ORDER BY l.seq"""


@dataclass(frozen=True, slots=True)
class Story:
    """What the mirror knows about a person."""

    number: str | None  #: in E.164
    contact: int | None  #: the row of `telecmi_contacts`
    name: str | None
    sources: list[NameSource]  #: all live rows with the number, in order of precedence
    events: list[dict[str, Any]]  #: each with `at` (UTC text) and `kind`, in order of time

    @property
    def name_from(self) -> str | None:
        """The table that the name comes from."""
        found = callers.named(self.sources)
        return found.table if found else None


def load(conn: Reader, person: Person, jobs: Mapping[str, str]) -> Story:
    """Everything known about a person. `jobs` maps tables to the jobs that fill them."""
    number = person.number
    sources = callers.sources(conn, number) if number else []
    rows = _rows(conn, person)
    contact = person.contact or next((one.row for one in sources if one.table == "telecmi_contacts"), None)
    found = callers.named(sources)
    if not found and person.row is not None and person.name:
        # No live row has the number, or it cannot be read: the row's own name is the only one.
        found = NameSource(
            person.table.partition("_")[0], person.account or "", person.name, None, person.table, person.row
        )
        sources = [found]
    events: list[dict[str, Any]] = []
    for row in rows:
        events += _row_events(conn, row, jobs)
        events += _hold_events(conn, row)
        if row["table"] == "telecmi_contacts":
            events += _change_events(conn, row)
        if row["table"] == "telecmi_user_contacts":
            events += _note_events(conn, row)
    if number:
        events += _call_events(conn, number)
        events += _voicemail_events(conn, number)
        events += _mark_events(conn, number)
    events.sort(key=lambda event: event["at"])  # stable: events of the same time keep this order
    return Story(number, contact, found.name if found else None, sources, events)


def _rows(conn: Reader, person: Person) -> list[Record]:
    """The rows of the person in all tables of contacts, including tombstones."""
    out: list[Record] = []
    for table in _CONTACTS:
        own = person.row if person.table == table else None
        out += records(
            conn,
            f"SELECT '{table}' AS \"table\", id AS row, account, first_seen_at, deleted_at FROM {table} "
            "WHERE phone_e164 = ? UNION SELECT ?, id, account, first_seen_at, deleted_at FROM "
            f"{table} WHERE id = ? ORDER BY 2",
            person.number,
            table,
            own,
        )
    return out


def _event(at: str | None, kind: str, row: Record, **more: object) -> dict[str, Any]:
    return {
        "at": at or "",
        "kind": kind,
        "table": row["table"],
        "row": row["row"],
        "account": row["account"],
        **more,
    }


# -- the row itself --------------------------------------------------------------------------------------


def _row_events(conn: Reader, row: Record, jobs: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """When the row was first seen, and each change in the log."""
    log = records(conn, _LOG, row["table"], row["row"])
    if not any(entry["kind"] == "insert" for entry in log):  # older than the log
        yield _event(
            row["first_seen_at"], "first-seen", row, **_listing(conn, row, row["first_seen_at"], jobs)
        )
    for entry in log:
        who = {name: entry[name] for name in ("actor", "batch", "format")}
        who["by"] = entry["who"] or entry["origin"]
        match entry["kind"]:
            case "insert" if entry["origin"] == "upstream":
                yield _event(entry["at"], "first-seen", row, **_listing(conn, row, entry["at"], jobs))
            case "insert":
                yield _event(entry["at"], "added", row, **who)
            case "delete":
                yield _event(entry["at"], "removed", row, **who)
            case _ if entry["field"] == "deleted_at" and not entry["new"]:
                yield _event(entry["at"], "restored", row, **who)
            case _:
                changed = {name: entry[name] for name in ("field", "old", "new")}
                yield _event(entry["at"], "edited", row, **who, **changed)


def _listing(conn: Reader, row: Record, at: str | None, jobs: Mapping[str, str]) -> dict[str, Any]:
    """The listing that brought a row: its job, and the run at that time if it is still on record."""
    job = jobs.get(row["table"])
    query = (
        "SELECT id FROM sync_runs WHERE job = ? AND account = ? AND started_at <= ? "
        "AND (finished_at >= ? OR finished_at IS NULL) ORDER BY id DESC LIMIT 1"
    )
    return {"by": "upstream", "job": job, "run": first(conn, query, job, row["account"], at, at)}


def _hold_events(conn: Reader, row: Record) -> Iterator[dict[str, Any]]:
    """Holds on the row, decisions about them, and listings without the row."""
    for held in records(
        conn,
        "SELECT h.id, h.reason, h.created_at, h.decided_at, h.decision, h.decided_by, r.field FROM held h "
        "JOIN held_rows r ON r.held_id = h.id WHERE r.table_name = ? AND r.row_id = ? ORDER BY h.id",
        row["table"],
        row["row"],
    ):
        about = {"held": held["id"], "field": held["field"] or None}
        yield _event(held["created_at"], "held", row, reason=held["reason"], **about)
        if held["decided_at"]:
            yield _event(
                held["decided_at"],
                "decided",
                row,
                decision=held["decision"],
                decided_by=held["decided_by"],
                **about,
            )
    absent = "SELECT noted_at FROM absences WHERE table_name = ? AND row_id = ?"
    for absence in records(conn, absent, row["table"], row["row"]):
        yield _event(absence["noted_at"], "not-listed", row)


# -- on its way upstream ---------------------------------------------------------------------------------


def _change_events(conn: Reader, row: Record) -> Iterator[dict[str, Any]]:
    """Each change of the queue: queued, sent, and its outcome."""
    for change in status_queries.list_changes(conn, contact=row["row"], settled=True):
        about = {"change": change["id"], "operation": change["operation"]}
        yield _event(change["created_at"], "queued", row, found_by=change["found_by"], **about)
        sent = records(
            conn,
            "SELECT sent_at, operation, fields, answer FROM push_intents WHERE change_id = ? ORDER BY id",
            change["id"],
        )
        if change["sent_at"] and all(one["sent_at"] != change["sent_at"] for one in sent):
            # Its intent was deleted when both sides agreed.
            sent.append({"sent_at": change["sent_at"], "fields": change["fields"], "answer": None})
        for one in sent:
            fields = json.loads(one["fields"]) if one["fields"] else {}
            yield _event(one["sent_at"], "sent", row, fields=fields, answer=one["answer"], **about)
        state = State(change["state"])
        if state is not State.QUEUED or change["last_error"]:
            clashes = status_queries.clashes_of(change) or None
            at = change["settled_at"] or _noticed(conn, change) or change["created_at"]
            # `settled_at` may be the time at which the push began, and must not come before the request.
            at = max(at, change["sent_at"] or at)
            decided = {"decided_by": change["decided_by"]} if change["decided_by"] else {}
            yield _event(
                at, state.value, row, reason=change["last_error"], clashes=clashes, **decided, **about
            )


def _noticed(conn: Reader, change: Record) -> str | None:
    """When the daemon first reported that an open change waits for a person."""
    query = "SELECT max(at) FROM reported WHERE kind = ? AND id = ?"
    at: str | None = first(conn, query, change["state"], change["id"])
    return at


# -- what happened with the number -----------------------------------------------------------------------


def _note_events(conn: Reader, row: Record) -> Iterator[dict[str, Any]]:
    query = "SELECT msg, date, agent, first_seen_at FROM telecmi_notes WHERE contact_row = ? ORDER BY id"
    for note in records(conn, query, row["row"]):
        text = {"note": note["msg"], "agent": note["agent"] or None, "date": note["date"]}
        yield _event(note["first_seen_at"], "note", row, **text)


def _call_events(conn: Reader, number: str) -> Iterator[dict[str, Any]]:
    calls = (
        'SELECT source_table AS "table", source_id AS row, account, direction, outcome, started_at, duration_s, agent '
        f"FROM ({calls_sql(names=False)}) WHERE phone_e164 = ? ORDER BY started_at"
    )
    for call in records(conn, calls, number):
        details = {name: call[name] for name in ("direction", "outcome", "duration_s", "agent")}
        yield _event(call["started_at"], "call", call, **details)


def _voicemail_events(conn: Reader, number: str) -> Iterator[dict[str, Any]]:
    query = (
        "SELECT 'telecmi_voicemails' AS \"table\", v.id AS row, v.account, v.received_at, v.first_seen_at, a.state "
        "FROM telecmi_voicemails v LEFT JOIN voicemail_audio a ON a.voicemail = v.id "
        "WHERE v.phone_e164 = ? ORDER BY v.received_at, v.id"
    )
    for one in records(conn, query, number):
        known = {"dated": one["received_at"] is not None, "recording": one["state"]}
        yield _event(one["received_at"] or one["first_seen_at"], "voicemail", one, **known)


def _mark_events(conn: Reader, number: str) -> Iterator[dict[str, Any]]:
    query = (
        'SELECT \'callback_marks\' AS "table", id AS row, NULL AS account, note, "by", marked_at, reopens '
        "FROM callback_marks WHERE phone_e164 = ? ORDER BY id"
    )
    for mark in records(conn, query, number):
        kind = "reopened" if mark["reopens"] else "called-back"
        yield _event(mark["marked_at"], kind, mark, by=mark["by"], note=mark["note"])
