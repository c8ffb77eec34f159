"""The triggers that queue every edit of `telecmi_contacts`, by any client, and the list of all triggers.

They are plain SQL without JSON or custom functions, so they work in `sqlite3 -safe`, with `trusted_schema=OFF` and in
GUI clients. They recognize the program's own writes by the guard row, which is set inside the same IMMEDIATE
transaction: other connections see 0, and a crash rolls it back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from syncer.core.model import FIELDS
from syncer.store.db import callback_triggers, objects, outbox_triggers, publish_triggers, read_only_triggers
from syncer.store.db.guard_sql import ENTER, ID_ROOM, LEAVE, NOW, PEOPLE
from syncer.store.db.tables import metadata, telecmi_contacts

_ADVICE = (
    "editable are phone_no, first_name, last_name, email_id, company, job_title, "
    "and deleted_at back to NULL; DELETE removes a contact"
)

#: Columns that people may not change -> what the refusal says.
_FIXED = {
    "account": f"telecmi_contacts.account is read-only once the row exists; {_ADVICE}",
    "contact_id": f"telecmi_contacts.contact_id is read-only, the directory gives it; {_ADVICE}",
    "phone_e164": f"telecmi_contacts.phone_e164 is read-only, edit phone_no instead; {_ADVICE}",
    "first_seen_at": f"telecmi_contacts.first_seen_at is read-only; {_ADVICE}",
    "last_changed_at": f"telecmi_contacts.last_changed_at is read-only; {_ADVICE}",
    "raw": f"telecmi_contacts.raw is read-only; {_ADVICE}",
}

#: Columns that are NULL if empty: a client's '' is changed to NULL.
_NULLABLE = ("contact_id", "phone_e164", "first_seen_at", "last_changed_at", "deleted_at", "raw")

#: Matches a character outside ASCII. Most values have none and need no further check.
_FOREIGN = "'*[^' || char(1) || '-' || char(127) || ']*'"

#: Matches the control characters of Latin-1, and U+FFFD, which replaces a lost character.
_CONTROL = "'*[' || char(128) || '-' || char(159) || char(65533) || ']*'"

#: Length of a well-formed UTF-8 sequence -> how it may start, in hex (Unicode Standard, table 3-7).
_SEQUENCES = {
    1: ("[0-7]?*",),
    2: ("C[2-9A-F][89AB]?*", "D?[89AB]?*"),
    3: ("E0[AB]?[89AB]?*", "E[1-9ABCEF][89AB]?[89AB]?*", "ED[89]?[89AB]?*"),
    4: ("F0[9AB]?[89AB]?[89AB]?", "F[1-3][89AB]?[89AB]?[89AB]?", "F48?[89AB]?[89AB]?"),
}

_LAST_SEQ = "(SELECT max(seq) FROM change_log)"


def _refuse(condition: str, message: str) -> str:
    quoted = message.replace("'", "''")
    return f"SELECT RAISE(ABORT, '{quoted}') WHERE {condition};"


def _set(value: str) -> str:
    """SQL for a value, with NULL as ''."""
    return f"COALESCE({value}, '') <> ''"


def _differs(column: str) -> str:
    return f"COALESCE(NEW.{column}, '') <> COALESCE(OLD.{column}, '')"


_EDITED = "(" + " OR ".join(_differs(name) for name in FIELDS) + ")"
_REVIVED = f"(OLD.deleted_at IS NOT NULL AND NOT {_set('NEW.deleted_at')})"
_PASSED_OVER = f"(OLD.deleted_at IS NOT NULL AND {_set('NEW.deleted_at')})"

_KNOWN = "EXISTS (SELECT 1 FROM contact_base b WHERE b.row_id = NEW.id AND b.source = 'directory')"


def _enqueue(approved: str = "0") -> str:
    """Queue a change, or update the row's waiting one. `approved` is 1 for a contact that is restored."""
    return f"""
    UPDATE change_queue SET state = 'queued', fields = NULL, edit_seq = {_LAST_SEQ},
      attempts = CASE state WHEN 'queued' THEN attempts ELSE 0 END,
      approved = CASE state WHEN 'queued' THEN approved ELSE 0 END,
      next_attempt_at = NULL, last_error = NULL, settled_at = NULL
    WHERE id = (
      SELECT id FROM change_queue
      WHERE contact_row = NEW.id AND operation <> 'delete' AND state IN ('queued', 'rejected')
      ORDER BY state = 'queued' DESC, id DESC LIMIT 1);
    INSERT INTO change_queue (account, contact_row, operation, state, edit_seq, created_at, approved)
    SELECT (SELECT account FROM telecmi_contacts WHERE id = NEW.id), NEW.id,
      CASE WHEN {_KNOWN} THEN 'update' ELSE 'add' END, 'queued', {_LAST_SEQ}, {NOW}, {approved}
    WHERE NOT EXISTS (
      SELECT 1 FROM change_queue
      WHERE contact_row = NEW.id AND operation <> 'delete' AND state = 'queued');"""


def _log_field(name: str) -> str:
    return f"""
    INSERT INTO change_log (at, table_name, row_id, kind, field, old, new, origin)
    SELECT {NOW}, 'telecmi_contacts', NEW.id, 'update', '{name}', NULLIF(OLD.{name}, ''),
      NULLIF(NEW.{name}, ''), 'local'
    WHERE {_differs(name)};"""


def _log_row(kind: str, row: str) -> str:
    return f"""
    INSERT INTO change_log (at, table_name, row_id, kind, origin)
    VALUES ({NOW}, 'telecmi_contacts', {row}.id, '{kind}', 'local');"""


def not_text(name: str) -> str:
    """The condition that NEW.name is not UTF-8, or contains a NUL or another control character.

    SQLite accepts any bytes as text and decodes invalid ones to something, so its own functions cannot detect
    them. The bytes are checked sequence by sequence.
    """
    start = "hex(substr(b, at, 4))"
    step = " ".join(
        f"WHEN {start} GLOB '{pattern}' THEN {length}"
        for length, patterns in _SEQUENCES.items()
        for pattern in patterns
    )
    walk = (
        f"WITH RECURSIVE value(b) AS (SELECT CAST(NEW.{name} AS BLOB)), walk(at) AS (SELECT 1 UNION ALL "
        f"SELECT at + CASE {step} END FROM walk, value WHERE at <= length(b)) "
        "SELECT 1 FROM walk WHERE at IS NULL"
    )
    suspect = f"NEW.{name} GLOB {_FOREIGN} AND EXISTS ({walk})"
    return f"(instr(NEW.{name}, char(0)) > 0 OR NEW.{name} GLOB {_CONTROL} OR ({suspect}))"


def _no_text(name: str, condition: str = "") -> str:
    return _refuse(
        condition + not_text(name),
        f"telecmi_contacts.{name}: the value is not UTF-8 text, or holds a control character: set your client "
        "or file to UTF-8 and type the value again",
    )


def _empty_to_null() -> str:
    return ", ".join(f"{name} = NULLIF({name}, '')" for name in _NULLABLE)


def _insert_checks() -> list[str]:
    accounts = "(SELECT count(*) FROM telecmi_accounts WHERE contacts = 1)"
    listed = "(SELECT name FROM telecmi_accounts WHERE contacts = 1 lists them)"
    filled_in = [name for name in _NULLABLE if name != "contact_id"]
    left_out = f"NOT {_set('NEW.account')}"
    return [
        _refuse(
            "EXISTS (SELECT 1 FROM telecmi_contacts WHERE id = NEW.id) "
            "OR EXISTS (SELECT 1 FROM contact_base WHERE row_id = NEW.id)",
            "telecmi_contacts.id is taken: a row with this id exists; change it with UPDATE, "
            "and leave id out of an INSERT (REPLACE is refused, too)",
        ),
        _refuse(
            f"NEW.id > {ID_ROOM} + (SELECT COALESCE(max(id), 0) FROM telecmi_contacts)",
            "telecmi_contacts.id is far beyond the greatest one: leave id out of an INSERT",
        ),
        _refuse(
            _set("NEW.contact_id"),
            "telecmi_contacts.contact_id is read-only: leave it out, the directory gives it",
        ),
        *(
            _refuse(
                _set(f"NEW.{name}"),
                f"telecmi_contacts.{name} is read-only: leave it out of an INSERT, it is filled in",
            )
            for name in filled_in
        ),
        _refuse(
            f"{left_out} AND {accounts} = 0",
            "telecmi_contacts: no TeleCMI account with contacts is known yet, so there is none to add to: "
            "switch contacts on in the config and run `syncer sync`",
        ),
        _refuse(
            f"{left_out} AND {accounts} > 1",
            f"telecmi_contacts.account is needed: there is more than one account to take {listed}",
        ),
        _refuse(
            f"{_set('NEW.account')} AND NOT EXISTS "
            "(SELECT 1 FROM telecmi_accounts WHERE name = NEW.account AND contacts = 1)",
            f"telecmi_contacts.account names no account whose directory is mirrored {listed}",
        ),
        *(_no_text(name) for name in FIELDS),
    ]


#: An edit of a contact whose account is no longer in the config would wait for ever.
_STRAY = _refuse(
    f"{_set('OLD.account')} AND NOT EXISTS (SELECT 1 FROM telecmi_accounts WHERE name = OLD.account)",
    "telecmi_contacts.account: the config has no account of this name, so the edit would never go upstream; "
    "if the account was renamed, run `syncer db rename-account`",
)


def _update_checks() -> list[str]:
    return [
        _STRAY,
        _refuse("NEW.id IS NOT OLD.id", f"telecmi_contacts.id is read-only; {_ADVICE}"),
        *(_refuse(_differs(column), text) for column, text in _FIXED.items()),
        _refuse(
            f"OLD.deleted_at IS NULL AND {_set('NEW.deleted_at')}",
            "telecmi_contacts.deleted_at is read-only but for setting it back to NULL: "
            "use DELETE to remove a contact",
        ),
        *(_no_text(name, f"{_differs(name)} AND ") for name in FIELDS),
    ]


@dataclass(frozen=True, slots=True)
class Contacts:
    """What people have added to `telecmi_contacts`."""

    own: tuple[str, ...] = ()  #: their columns
    size: int = 0  #: the length of the table's definition, which changes when a column is added


def _contacts_of(conn: Connection) -> Contacts:
    known = {column.name for column in telecmi_contacts.columns}
    rows = conn.exec_driver_sql("PRAGMA table_info(telecmi_contacts)").all()
    size = conn.exec_driver_sql(f"SELECT {_SIZE}").scalar()
    return Contacts(tuple(row[1] for row in rows if row[1] not in known), int(size or 0))


_SIZE = "(SELECT length(sql) FROM sqlite_master WHERE type = 'table' AND name = 'telecmi_contacts')"


def _tombstone(own: Sequence[str]) -> str:
    """SQL that inserts a deleted row again, as a tombstone. The client sees its DELETE counted."""
    stamped = {"deleted_at": NOW, "last_changed_at": NOW}
    columns = [column.name for column in telecmi_contacts.columns]
    columns += ['"' + name.replace('"', '""') + '"' for name in own]
    values = [stamped.get(name, f"OLD.{name}") for name in columns]
    return f"INSERT INTO telecmi_contacts ({', '.join(columns)})\n    VALUES ({', '.join(values)});"


_DELETED = f"""
    {_log_row("delete", "OLD")}
    UPDATE change_queue SET state = 'discarded', settled_at = {NOW}, next_attempt_at = NULL,
      last_error = 'the contact was deleted'
    WHERE contact_row = OLD.id AND operation <> 'delete' AND state IN ('queued', 'rejected', 'conflict');
    INSERT INTO change_queue (account, contact_row, operation, state, edit_seq, created_at)
    SELECT OLD.account, OLD.id, 'delete',
      CASE WHEN (SELECT deletes FROM telecmi_accounts WHERE name = OLD.account) = 1
        THEN 'queued' ELSE 'held' END,
      {_LAST_SEQ}, {NOW}
    WHERE EXISTS (SELECT 1 FROM contact_base b WHERE b.row_id = OLD.id AND b.source <> 'gone')
      OR EXISTS (SELECT 1 FROM push_intents i WHERE i.row_id = OLD.id);"""


def _contacts_triggers(contacts: Contacts) -> dict[str, str]:
    only_account = "(SELECT name FROM telecmi_accounts WHERE contacts = 1)"
    untidy = f"'' IN ({', '.join(f'NEW.{name}' for name in _NULLABLE)})"
    return {
        "telecmi_contacts_before_insert": f"""
CREATE TRIGGER telecmi_contacts_before_insert BEFORE INSERT ON telecmi_contacts WHEN {PEOPLE}
BEGIN
    {" ".join(_insert_checks())}
END""",
        "telecmi_contacts_after_insert": f"""
CREATE TRIGGER telecmi_contacts_after_insert AFTER INSERT ON telecmi_contacts WHEN {PEOPLE}
BEGIN
    {ENTER}
    UPDATE telecmi_contacts SET {_empty_to_null()} WHERE id = NEW.id;
    UPDATE telecmi_contacts SET first_seen_at = {NOW}, last_changed_at = {NOW},
      account = CASE WHEN {_set("NEW.account")} THEN NEW.account ELSE {only_account} END
    WHERE id = NEW.id;
    {_log_row("insert", "NEW")}
    {_enqueue()}
    {LEAVE}
END""",
        "telecmi_contacts_passed_over": f"""
CREATE TRIGGER telecmi_contacts_passed_over BEFORE UPDATE ON telecmi_contacts
WHEN {PEOPLE} AND {_PASSED_OVER}
BEGIN
    SELECT RAISE(IGNORE);
END""",
        "telecmi_contacts_before_update": f"""
CREATE TRIGGER telecmi_contacts_before_update BEFORE UPDATE ON telecmi_contacts
WHEN {PEOPLE} AND NOT {_PASSED_OVER}
BEGIN
    {" ".join(_update_checks())}
END""",
        "telecmi_contacts_after_update": f"""
CREATE TRIGGER telecmi_contacts_after_update AFTER UPDATE ON telecmi_contacts
WHEN {PEOPLE} AND ({_EDITED} OR {_REVIVED})
BEGIN
    {ENTER}
    {"".join(_log_field(name) for name in FIELDS)}
    INSERT INTO change_log (at, table_name, row_id, kind, field, old, new, origin)
    SELECT {NOW}, 'telecmi_contacts', NEW.id, 'update', 'deleted_at', OLD.deleted_at, NULL, 'local'
    WHERE {_REVIVED};
    UPDATE telecmi_contacts SET last_changed_at = {NOW},
      phone_e164 = CASE WHEN {_differs("phone_no")} THEN NULL ELSE phone_e164 END
    WHERE id = NEW.id;
    UPDATE change_queue SET state = 'discarded', settled_at = {NOW},
      last_error = 'the contact was brought back'
    WHERE {_REVIVED} AND contact_row = NEW.id AND operation = 'delete'
      AND state IN ('queued', 'held', 'rejected', 'conflict');
    {_enqueue(_REVIVED)}
    {LEAVE}
END""",
        "telecmi_contacts_tidied": f"""
CREATE TRIGGER telecmi_contacts_tidied AFTER UPDATE ON telecmi_contacts WHEN {PEOPLE} AND {untidy}
BEGIN
    {ENTER}
    UPDATE telecmi_contacts SET {_empty_to_null()} WHERE id = NEW.id;
    {LEAVE}
END""",
        "telecmi_contacts_before_delete": f"""
CREATE TRIGGER telecmi_contacts_before_delete BEFORE DELETE ON telecmi_contacts
WHEN {PEOPLE} AND OLD.deleted_at IS NOT NULL
BEGIN
    SELECT RAISE(IGNORE);
END""",
        "telecmi_contacts_strays_stay": f"""
CREATE TRIGGER telecmi_contacts_strays_stay BEFORE DELETE ON telecmi_contacts
WHEN {PEOPLE} AND OLD.deleted_at IS NULL
BEGIN
    {_STRAY}
END""",
        # Deleting would lose a column that was added since, so the row stays, and the client sees no DELETE counted.
        "telecmi_contacts_kept_whole": f"""
CREATE TRIGGER telecmi_contacts_kept_whole BEFORE DELETE ON telecmi_contacts
WHEN {PEOPLE} AND OLD.deleted_at IS NULL AND {_SIZE} <> {contacts.size}
BEGIN
    {_STRAY}
    {ENTER}
    UPDATE telecmi_contacts SET deleted_at = {NOW}, last_changed_at = {NOW} WHERE id = OLD.id;
    {_DELETED}
    {LEAVE}
    SELECT RAISE(IGNORE);
END""",
        "telecmi_contacts_after_delete": f"""
CREATE TRIGGER telecmi_contacts_after_delete AFTER DELETE ON telecmi_contacts WHEN {PEOPLE}
BEGIN
    {ENTER}
    {_tombstone(contacts.own)}
    {_DELETED}
    {LEAVE}
END""",
    }


def expected(contacts: Contacts = Contacts()) -> dict[str, str]:
    """Every trigger that the database should have: name -> SQL."""
    every = {
        **_contacts_triggers(contacts),
        **read_only_triggers.expected(),
        **callback_triggers.expected(),
        **outbox_triggers.expected(),
        **publish_triggers.expected(),
    }
    return {name: sql.strip() for name, sql in every.items()}


def missing(conn: Connection) -> list[str]:
    """Names of triggers that are missing or different."""
    return objects.differing(conn, "trigger", expected(_contacts_of(conn)))


def broken(conn: Connection) -> list[str]:
    """Like `missing`, without triggers that work but do not know a column that a person has added."""
    contacts = _contacts_of(conn)
    there = objects.existing(conn, "trigger")
    known = re.search(r"<> ([0-9]+)\nBEGIN", there.get("telecmi_contacts_kept_whole", ""))
    before = [Contacts(contacts.own[:n], int(known[1])) for n in range(len(contacts.own))] if known else []
    found = [objects.differing(conn, "trigger", expected(one)) for one in (contacts, *before)]
    return min(found, key=len)


def own(conn: Connection) -> dict[str, str]:
    """People's own triggers on our tables: name -> table."""
    query = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
    tables: dict[str, str] = dict(conn.exec_driver_sql(query).all())
    return {
        name: table for name, table in tables.items() if name not in expected() and table in metadata.tables
    }


def ensure(conn: Connection) -> list[str]:
    """Create missing or different triggers. Returns their names."""
    return objects.ensure(conn, "trigger", expected(_contacts_of(conn)))
