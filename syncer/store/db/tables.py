"""The tables. Their names are a contract (docs/tables.md).

`mirrors.py` declares which of them mirror a vendor list, and triggers protect them. The CHECKs reject invalid values
from writes that no trigger sees.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)

from syncer.core.model import Operation, State
from syncer.core.received import StampSource
from syncer.store.db import (
    audio_tables,
    call_tables,
    column_types,
    import_tables,
    outbox_tables,
    publish_tables,
)
from syncer.store.db.column_types import id_, int_, mirror_columns, one_of, table, text_, yes_no

#: All tables, including those of the other modules `*_tables.py`.
metadata = column_types.metadata
callback_marks, callback_numbers = call_tables.callback_marks, call_tables.callback_numbers
voicemail_audio = audio_tables.voicemail_audio
import_batches, import_spans = import_tables.import_batches, import_tables.import_spans
outbox = outbox_tables.outbox
publish_targets, publish_marks = publish_tables.publish_targets, publish_tables.publish_marks
published_edits = publish_tables.published_edits

# -- tables for people ---------------------------------------------------------------------------

telecmi_contacts = table(
    "telecmi_contacts",
    id_(),
    text_("account", default=""),
    text_("contact_id"),
    text_("phone_no"),
    text_("phone_e164"),
    text_("first_name"),
    text_("last_name"),
    text_("email_id"),
    text_("company"),
    text_("job_title"),
    *mirror_columns(),
    CheckConstraint("id > 0"),  # triggers read an id that an INSERT leaves out as -1
    UniqueConstraint("account", "contact_id"),
    Index("telecmi_contacts_phone", "phone_e164"),
    Index("telecmi_contacts_last_name", "last_name"),
    # All that a search of the page reads. The rows themselves are ten times as wide, with their JSON.
    Index(
        "telecmi_contacts_search",
        "first_name",
        "last_name",
        "company",
        "email_id",
        "phone_no",
        "phone_e164",
        "job_title",
        "account",
        "deleted_at",
    ),
    Index("telecmi_contacts_company", "company"),
)

telecmi_user_contacts = table(
    "telecmi_user_contacts",
    id_(),
    text_("account", null=False),
    text_("agent"),
    text_("inet_no"),
    text_("name"),
    text_("mobile", null=False),
    text_("phone_e164"),
    text_("tag"),
    text_("status"),
    text_("info"),
    text_("email"),
    int_("time"),
    int_("remindme"),
    *mirror_columns(),
    UniqueConstraint("account", "mobile"),
    Index("telecmi_user_contacts_phone", "phone_e164"),
    Index("telecmi_user_contacts_name", "name"),
)

telecmi_notes = table(
    "telecmi_notes",
    id_(),
    text_("account", null=False),
    Column("contact_row", Integer, ForeignKey("telecmi_user_contacts.id"), nullable=False),
    text_("msg", null=False),
    int_("date"),
    text_("agent", null=False, default=""),
    text_("first_seen_at", null=False),
    Index("telecmi_notes_contact", "contact_row"),
)

telecmi_voicemails = table(
    "telecmi_voicemails",
    id_(),
    text_("account", null=False),
    text_("voicename", null=False),
    int_("time"),
    text_("from_number"),
    text_("phone_e164"),
    text_("received_at"),
    *mirror_columns(),
    UniqueConstraint("account", "voicename"),
    Index("telecmi_voicemails_phone", "phone_e164"),
    Index("telecmi_voicemails_received", "received_at"),
)

smartflo_contacts = table(
    "smartflo_contacts",
    id_(),
    text_("account", null=False),
    text_("smartflo_id", null=False),
    text_("contact_group_id"),
    text_("contact_group_name"),
    text_("phone_number"),
    text_("phone_e164"),
    text_("name"),
    text_("email_id"),
    text_("address"),
    text_("company_name"),
    text_("custom_fields"),
    text_("created_at"),
    text_("updated_at"),
    *mirror_columns(),
    UniqueConstraint("account", "smartflo_id"),
    Index("smartflo_contacts_phone", "phone_e164"),
    Index("smartflo_contacts_name", "name"),
)

smartflo_contact_groups = table(
    "smartflo_contact_groups",
    id_(),
    text_("account", null=False),
    text_("group_id", null=False),
    text_("name"),
    text_("description"),
    *mirror_columns(),
    UniqueConstraint("account", "group_id"),
)

change_queue = table(
    "change_queue",
    id_(),
    text_("account", null=False),
    Column("contact_row", Integer, ForeignKey("telecmi_contacts.id"), nullable=False),
    text_("operation", null=False),
    text_("state", null=False),
    text_("fields"),
    int_("edit_seq"),
    int_("attempts", null=False, default="0"),
    text_("next_attempt_at"),
    text_("last_error"),
    text_("created_at", null=False),
    text_("sent_at"),
    text_("settled_at"),
    text_("clashes"),  # JSON: field -> {base, local, remote}, while in conflict
    int_("approved", null=False, default="0"),  # a person asked for this change
    text_("found_by", null=False, default="trigger"),  # or "scan"
    text_("decided_by"),  # who approved, retried, discarded or resolved it last
    one_of("operation", *(one.value for one in Operation)),
    one_of("state", *(one.value for one in State)),
    yes_no("approved"),
    one_of("found_by", "trigger", "scan"),
    Index("change_queue_row", "contact_row"),
    Index("change_queue_state", "state", "account"),
)

change_log = table(
    "change_log",
    Column("seq", Integer, primary_key=True),
    text_("at", null=False),
    text_("table_name", null=False),
    int_("row_id", null=False),
    text_("kind", null=False),
    text_("field"),
    text_("old"),
    text_("new"),
    text_("origin", null=False),
    text_("actor"),  # who made a local change, where that is known
    one_of("kind", "insert", "update", "delete"),
    one_of("origin", "upstream", "local"),
    Index("change_log_row", "table_name", "row_id"),
    Index("change_log_at", "at"),
)

held = table(
    "held",
    id_(),
    text_("job", null=False),
    text_("account", null=False),
    text_("reason", null=False),
    int_("rows", null=False),
    text_("created_at", null=False),
    text_("decided_at"),
    text_("decision"),
    text_("decided_by"),
    one_of("decision", "approved", "rejected", "superseded"),
    CheckConstraint("(decided_at IS NULL) = (decision IS NULL)"),
    Index("held_open", "job", "account", unique=True, sqlite_where=text("decided_at IS NULL")),
)

sync_runs = table(
    "sync_runs",
    id_(),
    text_("job", null=False),
    text_("account", null=False),
    text_("started_at", null=False),
    text_("finished_at"),
    text_("outcome"),
    int_("requests", null=False, default="0"),
    int_("seen", null=False, default="0"),
    int_("added", null=False, default="0"),
    int_("changed", null=False, default="0"),
    int_("removed", null=False, default="0"),
    text_("error"),
    text_("listing"),  # JSON: the certificate of its listing
    one_of("outcome", "ok", "incomplete", "failed"),
    Index("sync_runs_job", "job", "account", "id"),
)

# -- the program's own tables -------------------------------------------------------------

#: One row: 1 while this program writes. Triggers ignore its writes and handle everybody else's.
sync_guard = table(
    "sync_guard",
    id_(),
    int_("active", null=False, default="0"),
    int_("epoch", null=False, default="0"),  # increases with every agreement (store/write/queue.py)
    CheckConstraint("id = 1"),
    yes_no("active"),
    autoincrement=False,
)

#: The TeleCMI accounts of the config, which triggers read.
telecmi_accounts = table(
    "telecmi_accounts",
    Column("name", Text, primary_key=True, nullable=False),
    int_("contacts", null=False),  # 1: its directory is mirrored, so contacts may be added to it
    int_("deletes", null=False),  # 1: push.deletes
    yes_no("contacts"),
    yes_no("deletes"),
    autoincrement=False,
)

#: What both sides last agreed on, one row per contact that is known upstream.
contact_base = table(
    "contact_base",
    Column("row_id", Integer, primary_key=True),
    text_("account", null=False),
    text_("source", null=False),
    text_("contact_id"),
    text_("phone_no", null=False, default=""),
    text_("first_name", null=False, default=""),
    text_("last_name", null=False, default=""),
    text_("email_id", null=False, default=""),
    text_("company", null=False, default=""),
    text_("job_title", null=False, default=""),
    text_("phone_e164"),
    int_("touched", null=False, default="0"),  # push epoch of the last agreement
    one_of("source", "directory", "user_list", "gone"),
    Index("contact_base_phone", "account", "phone_e164"),
    autoincrement=False,
)

#: The exact fields of every request since the base last changed, committed before the request is sent.
push_intents = table(
    "push_intents",
    id_(),
    int_("change_id", null=False),
    int_("row_id", null=False),
    text_("operation", null=False),
    text_("fields", null=False),
    text_("phone_e164"),
    text_("sent_at", null=False),
    text_("answer"),  # NULL: none yet
    one_of("operation", *(one.value for one in Operation)),
    one_of("answer", "accepted", "refused"),
    Index("push_intents_change", "change_id"),
    Index("push_intents_row", "row_id"),
)

#: What is known about each job of each account between its runs.
sync_jobs = table(
    "sync_jobs",
    Column("job", Text, primary_key=True, nullable=False),
    Column("account", Text, primary_key=True, nullable=False),
    text_("provider", null=False),
    int_("enabled", null=False, default="1"),
    int_("every_s", null=False),
    text_("last_ok_at"),
    text_("last_complete_at"),
    text_("cursor"),
    text_("last_full_at"),
    text_("paused_until"),
    int_("failures", null=False, default="0"),
    text_("notes"),  # JSON: what was noticed about the vendor (core/notes)
    autoincrement=False,
)

#: Time spans of a list that were read completely, and when.
windows = table(
    "windows",
    Column("account", Text, primary_key=True, nullable=False),
    Column("list", Text, primary_key=True, nullable=False),
    Column("start_ms", Integer, primary_key=True, nullable=False),
    int_("end_ms", null=False),
    int_("verified_ms", null=False),
    int_("rows", null=False),
    autoincrement=False,
)

#: Which of a voicemail's two timestamps is right, by TeleCMI account (`core/received.py`).
voicemail_clocks = table(
    "voicemail_clocks",
    Column("account", Text, primary_key=True, nullable=False),
    text_("clock", null=False),
    int_("contrary", null=False),  # newer proofs against it, in a row
    int_("verified_ms"),  # when the newest windows were last read completely
    int_("newest_row", null=False),  # rows up to this one were considered
    int_("follows", null=False),  # 1: `received_at` of all rows follows `clock`
    one_of("clock", *(one.value for one in StampSource)),
    yes_no("follows"),
    autoincrement=False,
)

#: The home of the database (one row): nothing is sent from a copy elsewhere.
home = table(
    "home",
    id_(),
    text_("path", null=False),  # absolute, symlinks resolved
    text_("machine"),  # a hash of the machine id; NULL if there was none
    CheckConstraint("id = 1"),
    autoincrement=False,
)

#: Rows that could not be parsed, with their JSON.
set_aside = table(
    "set_aside",
    id_(),
    text_("job", null=False),
    text_("account", null=False),
    text_("digest", null=False),
    text_("reason", null=False),
    text_("raw", null=False),
    text_("first_seen_at", null=False),
    text_("last_seen_at", null=False),
    UniqueConstraint("job", "account", "digest"),
)

#: Rows that one complete listing did not show. A second one may remove them.
absences = table(
    "absences",
    Column("table_name", Text, primary_key=True, nullable=False),
    Column("row_id", Integer, primary_key=True, nullable=False),
    text_("noted_at", null=False),
    autoincrement=False,
)

#: The rows (and columns, for blanks) that a hold is about.
held_rows = table(
    "held_rows",
    Column("held_id", Integer, ForeignKey("held.id"), primary_key=True, nullable=False),
    Column("table_name", Text, primary_key=True, nullable=False),
    Column("row_id", Integer, primary_key=True, nullable=False),
    Column("field", Text, primary_key=True, nullable=False, server_default=""),  # "": the row itself
    int_("settled", null=False, default="0"),  # 1: the decision was applied, or is void
    autoincrement=False,
)

#: Forgotten people, who must not come back: a keyed hash of each number, never the number.
forgotten = table(
    "forgotten",
    Column("digest", Text, primary_key=True, nullable=False),
    text_("at", null=False),
    autoincrement=False,
)


#: What waits for a person and was already logged (store/read/attention.py).
reported = table(
    "reported",
    Column("kind", Text, primary_key=True, nullable=False),
    Column("id", Integer, primary_key=True, nullable=False),
    text_("account", null=False),
    text_("at", null=False),
    autoincrement=False,
)
