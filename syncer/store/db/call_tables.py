"""The tables of calls and of callbacks."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Text, UniqueConstraint

from syncer.store.db.column_types import id_, int_, mirror_columns, one_of, table, text_, yes_no

#: TeleCMI's four lists of call records; `kind` is the list.
telecmi_calls = table(
    "telecmi_calls",
    id_(),
    text_("account", null=False),
    text_("kind", null=False),
    text_("cmiuid", null=False),
    text_("from_number"),
    text_("to_number"),
    text_("phone_e164"),  # the caller, or the called number
    text_("agent"),
    int_("duration"),
    int_("billedsec"),
    text_("filename"),
    int_("time"),  # ms, as sent
    text_("started_at"),
    *mirror_columns(),
    one_of("kind", "answered", "missed", "out_answered", "out_missed"),
    UniqueConstraint("account", "kind", "cmiuid"),
    Index("telecmi_calls_phone", "phone_e164", "started_at"),
    Index("telecmi_calls_started", "started_at"),
    Index("telecmi_calls_time", "account", "kind", "time"),
)

smartflo_calls = table(
    "smartflo_calls",
    id_(),
    text_("account", null=False),
    text_("smartflo_id", null=False),
    text_("call_id"),
    text_("direction"),
    text_("status"),
    text_("client_number"),
    text_("phone_e164"),
    text_("did_number"),
    text_("agent_number"),
    text_("agent_name"),
    int_("call_duration"),
    int_("answered_seconds"),
    int_("voicemail", null=False, default="0"),
    text_("started_at"),
    *mirror_columns(),
    yes_no("voicemail"),
    UniqueConstraint("account", "smartflo_id"),
    Index("smartflo_calls_phone", "phone_e164", "started_at"),
    Index("smartflo_calls_started", "started_at"),
    Index("smartflo_calls_time", "account", "started_at"),
)

#: What people say about a number that waits for a call back. Any SQLite client may INSERT a number and a note.
callback_marks = table(
    "callback_marks",
    id_(),
    text_("phone_e164", null=False),
    text_("note"),
    text_("by"),
    text_("marked_at"),
    int_("reopens", null=False, default="0"),
    yes_no("reopens"),
    Index("callback_marks_phone", "phone_e164", "id"),
)

#: What the view `callbacks` shows, one row per number that ever waited. Triggers keep it up to date
#: (`callback_triggers.py`); otherwise the view would look up every number among all calls.
callback_numbers = table(
    "callback_numbers",
    Column("phone_e164", Text, primary_key=True, nullable=False),
    int_("missed", null=False),  # since it was last closed, like the next three
    int_("voicemails", null=False),
    text_("first_at"),  # NULL: nobody waits
    text_("last_at"),
    text_("answered_at"),  # the newest answered call
    text_("marked_at"),  # the newest mark of a person that counts
    Column("mark", Integer),  # its row
    Index("callback_numbers_first", "first_at"),
    autoincrement=False,
)
