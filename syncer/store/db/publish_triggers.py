"""The triggers that fill `publish_marks`: which rows of published tables were written or deleted, by any client.

They do so only while there are targets. New entries of `change_log` need no mark, since their numbers rise.
"""

from __future__ import annotations

from typing import Final

from syncer.store.db.guard_sql import NOW, PEOPLE

#: The published tables, each with the column that identifies a row. A test compares them with `store/publish`.
KEYS: Final = {
    "telecmi_contacts": "id",
    "telecmi_user_contacts": "id",
    "telecmi_notes": "id",
    "telecmi_voicemails": "id",
    "smartflo_contacts": "id",
    "smartflo_contact_groups": "id",
    "telecmi_calls": "id",
    "smartflo_calls": "id",
    "change_queue": "id",
    "change_log": "seq",
    "callback_marks": "id",
    "callback_numbers": "phone_e164",
}

_TARGETS = "EXISTS (SELECT 1 FROM publish_targets)"

#: The view `contacts` looks for a number in the base, too: after an edit, it differs from that of the contact.
_AGREED = "NEW.phone_e164 IS NOT (SELECT c.phone_e164 FROM telecmi_contacts c WHERE c.id = NEW.row_id)"


def _mark(table: str, key: str, verb: str, row: str, when: str = "", marked: str = "") -> tuple[str, str]:
    name = f"publish_{table}_{verb.split()[0].lower()}"
    values = f"'{marked or table}', {row}.{key}, {NOW}"
    return name, (
        f"CREATE TRIGGER {name} AFTER {verb} ON {table} WHEN {_TARGETS}{when}\n"
        f"BEGIN\n    INSERT INTO publish_marks (table_name, row_key, at) VALUES ({values});\nEND"
    )


def _kept(verb: str) -> tuple[str, str]:
    """A trigger that refuses to change marks. People's edits may only add them, through the triggers."""
    name = f"publish_marks_kept_{verb.lower()}"
    return name, (
        f"CREATE TRIGGER {name} BEFORE {verb} ON publish_marks WHEN {PEOPLE}\n"
        "BEGIN\n    SELECT RAISE(ABORT, 'publish_marks is read-only: it is kept by syncer');\nEND"
    )


def expected() -> dict[str, str]:
    """Each of these triggers: name -> SQL."""
    made = [_kept("UPDATE"), _kept("DELETE")]
    for table, key in KEYS.items():
        if table != "change_log":
            made.append(_mark(table, key, "INSERT", "NEW"))
        made += [_mark(table, key, "UPDATE", "NEW"), _mark(table, key, "DELETE", "OLD")]
    made.append(_mark("forgotten", "digest", "INSERT", "NEW"))
    base = "telecmi_contacts"
    made.append(_mark("contact_base", "row_id", "INSERT", "NEW", f" AND {_AGREED}", base))
    made.append(
        _mark("contact_base", "row_id", "UPDATE OF phone_e164, phone_no, account, source", "NEW", "", base)
    )
    return dict(made)
