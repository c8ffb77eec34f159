"""The triggers: they catch every edit of `telecmi_contacts`, by any client, and refuse all other writes.

Plain SQL without JSON or custom functions, so that `sqlite3 -safe`, `trusted_schema=OFF` and GUI
clients work. Our own writes are told from people's by the guard row, which is set inside the same
IMMEDIATE transaction: other connections see 0, a crash rolls it back. What an edit leads to is left
to the push job.
"""

from __future__ import annotations

from sqlalchemy import Connection

from syncer.core.model import FIELDS
from syncer.store.tables import MIRRORS, metadata, telecmi_contacts

#: The clock of triggers, in the form of every stamp in this database.
NOW = "strftime('%Y-%m-%dT%H:%M:%fZ','now')"

PEOPLE = "COALESCE((SELECT active FROM sync_guard WHERE id = 1), 0) = 0"

# Plain UPDATEs: an outer OR REPLACE would turn an upsert in here into REPLACE, and the epoch would be lost.
_ENTER = "UPDATE sync_guard SET active = 1 WHERE id = 1;"
_LEAVE = "UPDATE sync_guard SET active = 0 WHERE id = 1;"

_ADVICE = (
    "editable are phone_no, first_name, last_name, email_id, company, job_title, "
    "and deleted_at back to NULL; DELETE removes a contact"
)

#: The column a person may not touch -> what the refusal says.
_FIXED = {
    "account": f"telecmi_contacts.account is read-only once the row exists; {_ADVICE}",
    "contact_id": f"telecmi_contacts.contact_id is read-only, the directory gives it; {_ADVICE}",
    "phone_e164": f"telecmi_contacts.phone_e164 is read-only, edit phone_no instead; {_ADVICE}",
    "first_seen_at": f"telecmi_contacts.first_seen_at is read-only; {_ADVICE}",
    "last_changed_at": f"telecmi_contacts.last_changed_at is read-only; {_ADVICE}",
    "raw": f"telecmi_contacts.raw is read-only; {_ADVICE}",
}

#: Columns that are NULL where there is nothing: a client's '' in one of them is made NULL again.
_NULLABLE = ("contact_id", "phone_e164", "first_seen_at", "last_changed_at", "deleted_at", "raw")

#: How far a person's own id may lie beyond the greatest: one at the end of the numbers would stop all inserts.
_ID_ROOM = 1_000_000

#: Matches a letter that is not ASCII: most values have none, and need no further look.
_FOREIGN = "'*[^' || char(1) || '-' || char(127) || ']*'"

#: Matches the control characters of Latin-1, and U+FFFD, which stands for a letter that was lost.
_CONTROL = "'*[' || char(128) || '-' || char(159) || char(65533) || ']*'"

#: Length of a well-formed UTF-8 sequence -> how it may begin, in hex (Unicode Standard, table 3-7).
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
    """NULL and '' are one value."""
    return f"COALESCE({value}, '') <> ''"


def _differs(column: str) -> str:
    return f"COALESCE(NEW.{column}, '') <> COALESCE(OLD.{column}, '')"


_EDITED = "(" + " OR ".join(_differs(name) for name in FIELDS) + ")"
_REVIVED = f"(OLD.deleted_at IS NOT NULL AND NOT {_set('NEW.deleted_at')})"
_PASSED_OVER = f"(OLD.deleted_at IS NOT NULL AND {_set('NEW.deleted_at')})"

_KNOWN = "EXISTS (SELECT 1 FROM contact_base b WHERE b.row_id = NEW.id AND b.source = 'directory')"

_ENQUEUE = f"""
    UPDATE change_queue SET state = 'queued', fields = NULL, edit_seq = {_LAST_SEQ},
      attempts = CASE state WHEN 'queued' THEN attempts ELSE 0 END,
      approved = CASE state WHEN 'queued' THEN approved ELSE 0 END,
      next_attempt_at = NULL, last_error = NULL, settled_at = NULL
    WHERE id = (
      SELECT id FROM change_queue
      WHERE contact_row = NEW.id AND operation <> 'delete' AND state IN ('queued', 'rejected')
      ORDER BY state = 'queued' DESC, id DESC LIMIT 1);
    INSERT INTO change_queue (account, contact_row, operation, state, edit_seq, created_at)
    SELECT (SELECT account FROM telecmi_contacts WHERE id = NEW.id), NEW.id,
      CASE WHEN {_KNOWN} THEN 'update' ELSE 'add' END, 'queued', {_LAST_SEQ}, {NOW}
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
    """The condition that NEW.name is not UTF-8, or holds a NUL or another control character.

    SQLite takes any bytes for text and reads the wrong ones as something, so that its own functions
    do not tell: the bytes are walked through, sequence by sequence.
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
            f"NEW.id > {_ID_ROOM} + (SELECT COALESCE(max(id), 0) FROM telecmi_contacts)",
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


def _update_checks() -> list[str]:
    return [
        _refuse("NEW.id IS NOT OLD.id", f"telecmi_contacts.id is read-only; {_ADVICE}"),
        *(_refuse(_differs(column), text) for column, text in _FIXED.items()),
        _refuse(
            f"OLD.deleted_at IS NULL AND {_set('NEW.deleted_at')}",
            "telecmi_contacts.deleted_at is read-only but for setting it back to NULL: "
            "use DELETE to remove a contact",
        ),
        *(_no_text(name, f"{_differs(name)} AND ") for name in FIELDS),
    ]


def _tombstone() -> str:
    """Puts a deleted row back as a tombstone: a client sees its DELETE count, and nothing is lost."""
    stamped = {"deleted_at": NOW, "last_changed_at": NOW}
    columns = [column.name for column in telecmi_contacts.columns]
    values = [stamped.get(name, f"OLD.{name}") for name in columns]
    return f"INSERT INTO telecmi_contacts ({', '.join(columns)})\n    VALUES ({', '.join(values)});"


def _contacts_triggers() -> dict[str, str]:
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
    {_ENTER}
    UPDATE telecmi_contacts SET {_empty_to_null()} WHERE id = NEW.id;
    UPDATE telecmi_contacts SET first_seen_at = {NOW}, last_changed_at = {NOW},
      account = CASE WHEN {_set("NEW.account")} THEN NEW.account ELSE {only_account} END
    WHERE id = NEW.id;
    {_log_row("insert", "NEW")}
    {_ENQUEUE}
    {_LEAVE}
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
        "telecmi_contacts_tidied": f"""
CREATE TRIGGER telecmi_contacts_tidied AFTER UPDATE ON telecmi_contacts WHEN {PEOPLE} AND {untidy}
BEGIN
    {_ENTER}
    UPDATE telecmi_contacts SET {_empty_to_null()} WHERE id = NEW.id;
    {_LEAVE}
END""",
        "telecmi_contacts_before_delete": f"""
CREATE TRIGGER telecmi_contacts_before_delete BEFORE DELETE ON telecmi_contacts
WHEN {PEOPLE} AND OLD.deleted_at IS NOT NULL
BEGIN
    SELECT RAISE(IGNORE);
END""",
        "telecmi_contacts_after_delete": f"""
CREATE TRIGGER telecmi_contacts_after_delete AFTER DELETE ON telecmi_contacts WHEN {PEOPLE}
BEGIN
    {_ENTER}
    {_tombstone()}
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
      OR EXISTS (SELECT 1 FROM push_intents i WHERE i.row_id = OLD.id);
    {_LEAVE}
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
    "voicemail_clocks": "it is kept by syncer",
    "home": "`syncer db adopt` changes it",
    "set_aside": "it is kept by syncer",
    "absences": "it is kept by syncer",
    "forgotten": "it is kept by syncer; `syncer forget` adds to it",
    "reported": "it is kept by syncer",
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


def _guard_triggers() -> dict[str, str]:
    """The guard row is there, once, and people leave it alone; only opening and closing it is left."""
    quoted = "sync_guard is read-only: it is kept by syncer; edit contacts in telecmi_contacts instead"
    moved = "NEW.id IS NOT OLD.id OR NEW.epoch IS NOT OLD.epoch OR NEW.active IS OLD.active"
    when = {
        "INSERT": "EXISTS (SELECT 1 FROM sync_guard)",
        "UPDATE": f"OLD.active = 0 AND ({moved})",
        "DELETE": "1",
    }
    return {
        f"sync_guard_read_only_{verb.lower()}": (
            f"CREATE TRIGGER sync_guard_read_only_{verb.lower()} BEFORE {verb} ON sync_guard WHEN {condition}\n"
            f"BEGIN\n    SELECT RAISE(ABORT, '{quoted}');\nEND"
        )
        for verb, condition in when.items()
    }


#: The same for the views, which nobody can write at all.
_VIEWS_READ_ONLY = {
    "contacts": "it is a view; edit telecmi_contacts instead (Smartflo's contacts in Smartflo's portal)",
    "voicemails": "it is a view; a caller's name is edited in telecmi_contacts",
    "sync_health": "it is a view of how the jobs do",
}


def _view_triggers() -> dict[str, str]:
    out = {}
    for view, advice in _VIEWS_READ_ONLY.items():
        quoted = f"{view} is read-only: {advice}".replace("'", "''")
        for verb in ("INSERT", "UPDATE", "DELETE"):
            name = f"{view}_read_only_{verb.lower()}"
            out[name] = (
                f"CREATE TRIGGER {name} INSTEAD OF {verb} ON {view}\n"
                f"BEGIN\n    SELECT RAISE(ABORT, '{quoted}');\nEND"
            )
    return out


def expected() -> dict[str, str]:
    """Every trigger that belongs into the database: name -> SQL."""
    every = {**_contacts_triggers(), **_read_only_triggers(), **_guard_triggers(), **_view_triggers()}
    return {name: sql.strip() for name, sql in every.items()}


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
