"""The triggers: they catch every edit of `telecmi_contacts`, by any client, and refuse all other writes.

Plain SQL without JSON or custom functions, so that `sqlite3 -safe`, `trusted_schema=OFF` and GUI
clients work. Our own writes are told from people's by the guard row, which is set inside the same
IMMEDIATE transaction: other connections see 0, a crash rolls it back. What an edit leads to is left
to the push job.
"""

from __future__ import annotations

from sqlalchemy import Connection

from syncer.core.model import FIELDS
from syncer.store.tables import MIRRORS, metadata

#: The clock of triggers, in the form of every stamp in this database.
NOW = "strftime('%Y-%m-%dT%H:%M:%fZ','now')"

PEOPLE = "COALESCE((SELECT active FROM sync_guard WHERE id = 1), 0) = 0"

_ENTER = "INSERT INTO sync_guard (id, active) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET active = 1;"
_LEAVE = "UPDATE sync_guard SET active = 0 WHERE id = 1;"

_ADVICE = (
    "editable are phone_no, first_name, last_name, email_id, company, job_title, "
    "and deleted_at back to NULL; DELETE removes a contact"
)

#: The column a person may not touch -> what the refusal says.
_FIXED = {
    "id": f"telecmi_contacts.id is read-only; {_ADVICE}",
    "account": f"telecmi_contacts.account is read-only once the row exists; {_ADVICE}",
    "contact_id": f"telecmi_contacts.contact_id is read-only, the directory gives it; {_ADVICE}",
    "phone_e164": f"telecmi_contacts.phone_e164 is read-only, edit phone_no instead; {_ADVICE}",
    "first_seen_at": f"telecmi_contacts.first_seen_at is read-only; {_ADVICE}",
    "last_changed_at": f"telecmi_contacts.last_changed_at is read-only; {_ADVICE}",
    "raw": f"telecmi_contacts.raw is read-only; {_ADVICE}",
}

_QUEUED = "contact_row = NEW.id AND operation <> 'delete' AND state = 'queued'"
_LAST_SEQ = "(SELECT max(seq) FROM change_log)"


def _refuse(condition: str, message: str) -> str:
    quoted = message.replace("'", "''")
    return f"SELECT RAISE(ABORT, '{quoted}') WHERE {condition};"


def _differs(column: str) -> str:
    return f"COALESCE(NEW.{column}, '') <> COALESCE(OLD.{column}, '')"


_EDITED = "(" + " OR ".join(_differs(name) for name in FIELDS) + ")"
_REVIVED = "(OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL)"

_KNOWN = "EXISTS (SELECT 1 FROM contact_base b WHERE b.row_id = NEW.id AND b.source = 'directory')"

_ENQUEUE = f"""
    UPDATE change_queue SET state = 'queued', fields = NULL, edit_seq = {_LAST_SEQ},
      attempts = CASE state WHEN 'queued' THEN attempts ELSE 0 END,
      next_attempt_at = NULL, last_error = NULL, settled_at = NULL
    WHERE id = (
      SELECT id FROM change_queue
      WHERE contact_row = NEW.id AND operation <> 'delete' AND state IN ('queued', 'rejected')
      ORDER BY state = 'queued' DESC, id DESC LIMIT 1);
    INSERT INTO change_queue (account, contact_row, operation, state, edit_seq, created_at)
    SELECT (SELECT account FROM telecmi_contacts WHERE id = NEW.id), NEW.id,
      CASE WHEN {_KNOWN} THEN 'update' ELSE 'add' END, 'queued', {_LAST_SEQ}, {NOW}
    WHERE NOT EXISTS (SELECT 1 FROM change_queue WHERE {_QUEUED});"""


def _log_field(name: str) -> str:
    return f"""
    INSERT INTO change_log (at, table_name, row_id, kind, field, old, new, origin)
    SELECT {NOW}, 'telecmi_contacts', NEW.id, 'update', '{name}', OLD.{name}, NEW.{name}, 'local'
    WHERE {_differs(name)};"""


def _contacts_triggers() -> dict[str, str]:
    inserted_by_hand = ("phone_e164", "first_seen_at", "last_changed_at", "deleted_at", "raw")
    one_account = "(SELECT count(*) FROM telecmi_accounts WHERE contacts = 1)"
    left_out = "COALESCE(NEW.account, '') = ''"
    checks = [
        _refuse(
            "EXISTS (SELECT 1 FROM telecmi_contacts WHERE id = NEW.id)",
            "telecmi_contacts: a row with this id exists; change it with UPDATE, "
            "and leave id out of an INSERT (REPLACE is refused, too)",
        ),
        _refuse(
            "NEW.contact_id IS NOT NULL",
            "telecmi_contacts.contact_id is read-only: leave it out, the directory gives it",
        ),
        *(
            _refuse(
                f"NEW.{name} IS NOT NULL",
                f"telecmi_contacts.{name} is read-only: leave it out of an INSERT, it is filled in",
            )
            for name in inserted_by_hand
        ),
        _refuse(
            f"{left_out} AND {one_account} <> 1",
            "telecmi_contacts.account is needed: there is not just one account to take "
            "(SELECT name FROM telecmi_accounts WHERE contacts = 1 lists them)",
        ),
        _refuse(
            f"NOT {left_out} AND NOT EXISTS "
            "(SELECT 1 FROM telecmi_accounts WHERE name = NEW.account AND contacts = 1)",
            "telecmi_contacts.account names no account whose directory is mirrored "
            "(SELECT name FROM telecmi_accounts WHERE contacts = 1 lists them)",
        ),
    ]
    return {
        "telecmi_contacts_before_insert": f"""
CREATE TRIGGER telecmi_contacts_before_insert BEFORE INSERT ON telecmi_contacts WHEN {PEOPLE}
BEGIN
    {" ".join(checks)}
END""",
        "telecmi_contacts_after_insert": f"""
CREATE TRIGGER telecmi_contacts_after_insert AFTER INSERT ON telecmi_contacts WHEN {PEOPLE}
BEGIN
    {_ENTER}
    UPDATE telecmi_contacts SET first_seen_at = {NOW}, last_changed_at = {NOW},
      account = CASE WHEN {left_out} THEN (SELECT name FROM telecmi_accounts WHERE contacts = 1)
        ELSE NEW.account END
    WHERE id = NEW.id;
    INSERT INTO change_log (at, table_name, row_id, kind, origin)
    VALUES ({NOW}, 'telecmi_contacts', NEW.id, 'insert', 'local');
    {_ENQUEUE}
    {_LEAVE}
END""",
        "telecmi_contacts_passed_over": f"""
CREATE TRIGGER telecmi_contacts_passed_over BEFORE UPDATE ON telecmi_contacts
WHEN {PEOPLE} AND OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NOT NULL
BEGIN
    SELECT RAISE(IGNORE);
END""",
        "telecmi_contacts_before_update": f"""
CREATE TRIGGER telecmi_contacts_before_update BEFORE UPDATE ON telecmi_contacts
WHEN {PEOPLE} AND NOT (OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NOT NULL)
BEGIN
    {" ".join(_refuse(f"NEW.{column} IS NOT OLD.{column}", text) for column, text in _FIXED.items())}
    {
            _refuse(
                "OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL",
                "telecmi_contacts.deleted_at is read-only but for setting it back to NULL: "
                "use DELETE to remove a contact",
            )
        }
END""",
        "telecmi_contacts_after_update": f"""
CREATE TRIGGER telecmi_contacts_after_update AFTER UPDATE ON telecmi_contacts
WHEN {PEOPLE} AND ({_EDITED} OR {_REVIVED})
BEGIN
    {_ENTER}
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
    {_ENQUEUE}
    {_LEAVE}
END""",
        "telecmi_contacts_before_delete": f"""
CREATE TRIGGER telecmi_contacts_before_delete BEFORE DELETE ON telecmi_contacts WHEN {PEOPLE}
BEGIN
    {_ENTER}
    INSERT INTO change_log (at, table_name, row_id, kind, origin)
    SELECT {NOW}, 'telecmi_contacts', OLD.id, 'delete', 'local' WHERE OLD.deleted_at IS NULL;
    UPDATE change_queue SET state = 'discarded', settled_at = {NOW}, last_error = 'the contact was deleted'
    WHERE OLD.deleted_at IS NULL AND contact_row = OLD.id AND operation <> 'delete'
      AND state IN ('queued', 'rejected', 'conflict');
    INSERT INTO change_queue (account, contact_row, operation, state, edit_seq, created_at)
    SELECT OLD.account, OLD.id, 'delete',
      CASE WHEN (SELECT deletes FROM telecmi_accounts WHERE name = OLD.account) = 1
        THEN 'queued' ELSE 'held' END,
      {_LAST_SEQ}, {NOW}
    WHERE OLD.deleted_at IS NULL AND (
      EXISTS (SELECT 1 FROM contact_base b WHERE b.row_id = OLD.id)
      OR EXISTS (SELECT 1 FROM push_intents i WHERE i.row_id = OLD.id));
    UPDATE telecmi_contacts SET deleted_at = {NOW}, last_changed_at = {NOW}
    WHERE id = OLD.id AND deleted_at IS NULL;
    {_LEAVE}
    SELECT RAISE(IGNORE);
END""",
    }


#: What the refusal of a direct write to each table says after "NAME is read-only: ".
_READ_ONLY = {
    **{mirror.name: mirror.advice or "it mirrors what the vendor shows" for mirror in MIRRORS},
    "telecmi_notes": "it mirrors what the vendor shows; edit the contact in telecmi_contacts instead",
    "change_queue": "edit contacts in telecmi_contacts, settle changes with `syncer queue`",
    "change_log": "it records what happened; edit contacts in telecmi_contacts instead",
    "held": "decide with `syncer held approve` or `syncer held reject`",
    "sync_runs": "it records what happened",
    "contact_base": "it is what upstream and we last agreed on; edit the contact in telecmi_contacts instead",
    "push_intents": "it is the record of what was sent; edit contacts in telecmi_contacts instead",
    "sync_jobs": "it is kept by syncer; change the config instead",
    "telecmi_accounts": "it is kept by syncer; change the config instead",
    "voicemail_windows": "it is kept by syncer",
    "set_aside": "it is kept by syncer",
    "absences": "it is kept by syncer",
    "held_rows": "decide with `syncer held approve` or `syncer held reject`",
}


def _read_only_triggers() -> dict[str, str]:
    out = {}
    for table, advice in _READ_ONLY.items():
        quoted = f"{table} is read-only: {advice}".replace("'", "''")
        for verb in ("INSERT", "UPDATE", "DELETE"):
            name = f"{table}_read_only_{verb.lower()}"
            out[name] = (
                f"CREATE TRIGGER {name} BEFORE {verb} ON {table} WHEN {PEOPLE}\n"
                f"BEGIN\n    SELECT RAISE(ABORT, '{quoted}');\nEND"
            )
    return out


def expected() -> dict[str, str]:
    """Every trigger that belongs into the database: name -> SQL."""
    return {name: sql.strip() for name, sql in {**_contacts_triggers(), **_read_only_triggers()}.items()}


def missing(conn: Connection) -> list[str]:
    """Names of triggers that are absent or differ from what they should be."""
    there: dict[str, str] = dict(
        conn.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
    )
    return [name for name, sql in expected().items() if there.get(name) != sql]


def ensure(conn: Connection) -> list[str]:
    """Create what is missing or differs; returns the names that had to be mended."""
    lost = missing(conn)
    wanted = expected()
    for name in lost:
        conn.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        conn.exec_driver_sql(wanted[name])
    return lost


assert set(_READ_ONLY) | {"telecmi_contacts", "sync_guard"} == set(metadata.tables), "a table without a guard"
