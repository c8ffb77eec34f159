"""The names of all tables, and the columns of those that commands show, as plain text.

`tables.py` defines them with SQLAlchemy, which takes too long to import for commands that only read. A test compares
the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from syncer.core.queue import OPEN
from syncer.store.db.mirrors import MIRRORS

_MIRRORED: Final = ("first_seen_at", "last_changed_at", "deleted_at", "raw")

#: By table, in order.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "telecmi_contacts": (
        "id", "account", "contact_id", "phone_no", "phone_e164", "first_name", "last_name", "email_id",
        "company", "job_title", *_MIRRORED,
    ),
    "telecmi_voicemails": (
        "id", "account", "voicename", "time", "from_number", "phone_e164", "received_at", *_MIRRORED,
    ),
    "smartflo_contacts": (
        "id", "account", "smartflo_id", "contact_group_id", "contact_group_name", "phone_number", "phone_e164",
        "name", "email_id", "address", "company_name", "custom_fields", "created_at", "updated_at", *_MIRRORED,
    ),
    "voicemail_audio": (
        "voicemail", "state", "path", "bytes", "sha256", "media_type", "fetched_at", "attempts", "first_tried_at",
        "next_attempt_at", "last_error",
    ),
    "change_queue": (
        "id", "account", "contact_row", "operation", "state", "fields", "edit_seq", "attempts",
        "next_attempt_at", "last_error", "created_at", "sent_at", "settled_at", "clashes", "approved", "found_by",
        "decided_by",
    ),
    "change_log": ("seq", "at", "table_name", "row_id", "kind", "field", "old", "new", "origin", "actor"),
    "import_batches": (
        "id", "file_name", "format", "by", "created_at", "finished_at", "undone_at", "added", "updated",
    ),
    "held": ("id", "job", "account", "reason", "rows", "created_at", "decided_at", "decision", "decided_by"),
    "contact_base": (
        "row_id", "account", "source", "contact_id", "phone_no", "first_name", "last_name", "email_id",
        "company", "job_title", "phone_e164", "touched",
    ),
    "sync_jobs": (
        "job", "account", "provider", "enabled", "every_s", "last_ok_at", "last_complete_at", "cursor",
        "last_full_at", "paused_until", "failures", "notes",
    ),
}  # fmt: skip

#: Every table of ours: those above, the mirrors, and the rest.
TABLES: Final = frozenset(COLUMNS) | frozenset(MIRRORS) | {
    "telecmi_notes", "sync_runs", "sync_guard", "telecmi_accounts", "push_intents", "windows", "callback_marks",
    "callback_numbers", "set_aside", "absences", "held_rows", "forgotten", "reported", "voicemail_clocks", "home",
    "import_spans", "notify_targets", "outbox", "stale_jobs", "publish_targets", "publish_marks",
    "published_edits",
}  # fmt: skip

#: The states of an open change, for an IN.
OPEN_STATES: Final = ", ".join(f"'{state}'" for state in sorted(OPEN))


def columns(table: str, called: str = "", but: Iterable[str] = ()) -> str:
    """The columns of a table for a SELECT; `called` is its alias there."""
    return ", ".join(f"{called or table}.{name}" for name in COLUMNS[table] if name not in but)
