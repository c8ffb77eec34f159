"""The triggers that keep `callback_numbers` up to date, by the rule of `core/callbacks.py`.

A change of a call, a voicemail or a mark computes its number again from all rows of that number. A test compares the
result with the pure decision over random histories.
"""

from __future__ import annotations

from sqlalchemy import Connection

from syncer.store.db.call_sql import ANSWERED_SMARTFLO, ANSWERED_TELECMI, INBOUND_SMARTFLO, MISSED_TELECMI
from syncer.store.db.guard_sql import ENTER, ID_ROOM, LEAVE, NOW, PEOPLE
from syncer.store.db.read_only import raw

#: Rows of the number that wait, or have waited, for a call back.
_WAITED = f"""SELECT t.started_at AS at, 1 AS missed FROM telecmi_calls t
      WHERE t.phone_e164 = {{phone}} AND {MISSED_TELECMI}
      UNION ALL SELECT s.started_at, 1 FROM smartflo_calls s
      WHERE s.phone_e164 = {{phone}} AND {INBOUND_SMARTFLO} AND COALESCE({ANSWERED_SMARTFLO}, 0) = 0
      UNION ALL SELECT v.received_at, 0 FROM telecmi_voicemails v
      WHERE v.phone_e164 = {{phone}} AND v.deleted_at IS NULL"""

_ANSWERED = f"""(SELECT max(a.at) FROM (
        SELECT (SELECT t.started_at FROM telecmi_calls t WHERE t.phone_e164 = {{phone}} AND {ANSWERED_TELECMI}
          ORDER BY t.started_at DESC LIMIT 1) AS at
        UNION ALL SELECT (SELECT s.started_at FROM smartflo_calls s WHERE s.phone_e164 = {{phone}}
          AND {ANSWERED_SMARTFLO} ORDER BY s.started_at DESC LIMIT 1)) a)"""

#: A mark counts unless the next mark of its number cancels it.
_MARK = """(SELECT m.id FROM callback_marks m WHERE m.phone_e164 = {phone} AND m.reopens = 0
        AND COALESCE((SELECT r.reopens FROM callback_marks r WHERE r.phone_e164 = {phone} AND r.id > m.id
          ORDER BY r.id LIMIT 1), 0) = 0
        ORDER BY m.marked_at DESC, m.id DESC LIMIT 1)"""

_REFRESH = f"""DELETE FROM callback_numbers WHERE phone_e164 = {{phone}};
    INSERT INTO callback_numbers (phone_e164, missed, voicemails, first_at, last_at, answered_at, marked_at, mark)
    SELECT {{phone}}, COALESCE(sum(w.missed AND w.at > c.closed), 0), COALESCE(sum(NOT w.missed AND w.at > c.closed), 0),
      min(CASE WHEN w.at > c.closed THEN w.at END), max(CASE WHEN w.at > c.closed THEN w.at END),
      c.answered_at, c.marked_at, c.mark
    FROM ({_WAITED}) w
    CROSS JOIN (SELECT k.answered_at, m.marked_at, m.id AS mark,
        max(COALESCE(k.answered_at, ''), COALESCE(m.marked_at, '')) AS closed
      FROM (SELECT {_ANSWERED} AS answered_at, {_MARK} AS mark) k LEFT JOIN callback_marks m ON m.id = k.mark) c
    WHERE {{phone}} IS NOT NULL AND w.at IS NOT NULL HAVING count(*) > 0;"""

#: By table: the columns that the rule depends on.
_DEPENDS = {
    "telecmi_calls": "phone_e164, kind, cmiuid, account, started_at",
    "smartflo_calls": "phone_e164, direction, status, started_at",
    "telecmi_voicemails": "phone_e164, received_at, deleted_at",
}

_ADVICE = "a mark stays on record; take it back with `syncer callbacks reopen`, or add another one"


def refresh(phone: str) -> str:
    """The statements that compute a number again; `phone` is SQL."""
    return _REFRESH.format(phone=phone)


def refresh_all(conn: Connection) -> None:
    """Compute all numbers that have a row in any table. For migrations, which run without triggers."""
    numbers = " UNION ".join(f"SELECT phone_e164 FROM {table}" for table in _DEPENDS)
    for (phone,) in conn.exec_driver_sql(numbers).all():
        for statement in refresh(":phone").split(";\n"):
            raw(conn).execute(statement, {"phone": phone})


def expected() -> dict[str, str]:
    """Each of these triggers: name -> SQL."""
    out = {}
    for table, columns in _DEPENDS.items():
        for verb, rows in (
            ("INSERT", ("NEW",)),
            (f"UPDATE OF {columns}", ("OLD", "NEW")),
            ("DELETE", ("OLD",)),
        ):
            name = f"{table}_callbacks_{verb.split()[0].lower()}"
            body = "\n    ".join(refresh(f"{row}.phone_e164") for row in rows)
            out[name] = f"CREATE TRIGGER {name} AFTER {verb} ON {table}\nBEGIN\n    {body}\nEND"
    # A missed call that was answered under the same id may have another number there, or none.
    for verb, row in (("INSERT", "NEW"), ("DELETE", "OLD")):
        name = f"telecmi_calls_callbacks_twin_{verb.lower()}"
        twin = f"account = {row}.account AND kind = 'missed' AND cmiuid = {row}.cmiuid AND phone_e164 IS NOT {row}.phone_e164"
        out[name] = (
            f"CREATE TRIGGER {name} AFTER {verb} ON telecmi_calls WHEN {row}.kind = 'answered'\n"
            f"BEGIN\n    UPDATE telecmi_calls SET phone_e164 = phone_e164 WHERE {twin};\nEND"
        )
    ours = f"NOT ({PEOPLE})"
    for verb, rows in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
        name = f"callback_marks_{verb.lower()}"
        body = "\n    ".join(refresh(f"{row}.phone_e164") for row in rows)
        out[name] = (
            f"CREATE TRIGGER {name} AFTER {verb} ON callback_marks WHEN {ours}\nBEGIN\n    {body}\nEND"
        )
    out[
        "callback_marks_typed_check"
    ] = f"""CREATE TRIGGER callback_marks_typed_check BEFORE INSERT ON callback_marks
WHEN {PEOPLE}
BEGIN
    SELECT RAISE(ABORT, 'callback_marks.phone_e164 is empty: write the number that was called back')
    WHERE trim(NEW.phone_e164) = '';
    SELECT RAISE(ABORT, 'callback_marks.id is taken: leave it out; {_ADVICE} (REPLACE is refused, too)')
    WHERE EXISTS (SELECT 1 FROM callback_marks WHERE id = NEW.id);
    SELECT RAISE(ABORT, 'callback_marks.id is far beyond the greatest one: leave it out')
    WHERE NEW.id > {ID_ROOM} + (SELECT COALESCE(max(id), 0) FROM callback_marks);
END"""
    out[
        "callback_marks_typed"
    ] = f"""CREATE TRIGGER callback_marks_typed AFTER INSERT ON callback_marks WHEN {PEOPLE}
BEGIN
    {ENTER}
    UPDATE callback_marks SET marked_at = {NOW}, "by" = COALESCE(NEW."by", 'sql') WHERE id = NEW.id;
    {LEAVE}
END"""
    for verb in ("UPDATE", "DELETE"):
        name = f"callback_marks_kept_{verb.lower()}"
        out[name] = (
            f"CREATE TRIGGER {name} BEFORE {verb} ON callback_marks WHEN {PEOPLE}\n"
            f"BEGIN\n    SELECT RAISE(ABORT, 'callback_marks is on record: {_ADVICE}');\nEND"
        )
    return out
