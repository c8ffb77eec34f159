"""The tables, as SQLAlchemy sees them, and which of them mirror which vendor list.

The names are a contract (README, "Tables"). How they come into being is left to the migrations,
how they are guarded to `triggers.py`. The CHECKs are the last line: what a stray write may not leave behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from syncer.core.model import Operation, State
from syncer.core.received import StampSource

metadata = MetaData()


def _table(
    name: str,
    *parts: Column[object] | UniqueConstraint | CheckConstraint | Index,
    autoincrement: bool = True,
) -> Table:
    return Table(name, metadata, *parts, sqlite_autoincrement=autoincrement, sqlite_strict=True)


def _id() -> Column[object]:
    return Column("id", Integer, primary_key=True)


def _text(name: str, *, null: bool = True, default: str | None = None) -> Column[object]:
    return Column(name, Text, nullable=null, server_default=default)


def _int(name: str, *, null: bool = True, default: str | None = None) -> Column[object]:
    return Column(name, Integer, nullable=null, server_default=default)


def _one_of(column: str, *words: str) -> CheckConstraint:
    """Nothing but these words, or NULL where the column allows it."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})")


def _yes_no(column: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN (0, 1)")


def _mirror_columns() -> list[Column[object]]:
    return [
        _text("first_seen_at"),
        _text("last_changed_at"),
        _text("deleted_at"),
        _text("raw"),
    ]


# -- what people look at ---------------------------------------------------------------------------

telecmi_contacts = _table(
    "telecmi_contacts",
    _id(),
    _text("account", default=""),
    _text("contact_id"),
    _text("phone_no"),
    _text("phone_e164"),
    _text("first_name"),
    _text("last_name"),
    _text("email_id"),
    _text("company"),
    _text("job_title"),
    *_mirror_columns(),
    CheckConstraint("id > 0"),  # triggers read an id that an INSERT leaves out as -1
    UniqueConstraint("account", "contact_id"),
    Index("telecmi_contacts_phone", "phone_e164"),
    Index("telecmi_contacts_last_name", "last_name"),
    Index("telecmi_contacts_first_name", "first_name"),
    Index("telecmi_contacts_company", "company"),
)

telecmi_user_contacts = _table(
    "telecmi_user_contacts",
    _id(),
    _text("account", null=False),
    _text("agent"),
    _text("inet_no"),
    _text("name"),
    _text("mobile", null=False),
    _text("phone_e164"),
    _text("tag"),
    _text("status"),
    _text("info"),
    _text("email"),
    _int("time"),
    _int("remindme"),
    *_mirror_columns(),
    UniqueConstraint("account", "mobile"),
    Index("telecmi_user_contacts_phone", "phone_e164"),
    Index("telecmi_user_contacts_name", "name"),
)

telecmi_notes = _table(
    "telecmi_notes",
    _id(),
    _text("account", null=False),
    Column("contact_row", Integer, ForeignKey("telecmi_user_contacts.id"), nullable=False),
    _text("msg", null=False),
    _int("date"),
    _text("agent", null=False, default=""),
    _text("first_seen_at", null=False),
    Index("telecmi_notes_contact", "contact_row"),
)

telecmi_voicemails = _table(
    "telecmi_voicemails",
    _id(),
    _text("account", null=False),
    _text("voicename", null=False),
    _int("time"),
    _text("from_number"),
    _text("phone_e164"),
    _text("received_at"),
    *_mirror_columns(),
    UniqueConstraint("account", "voicename"),
    Index("telecmi_voicemails_phone", "phone_e164"),
    Index("telecmi_voicemails_received", "received_at"),
)

smartflo_contacts = _table(
    "smartflo_contacts",
    _id(),
    _text("account", null=False),
    _text("smartflo_id", null=False),
    _text("contact_group_id"),
    _text("contact_group_name"),
    _text("phone_number"),
    _text("phone_e164"),
    _text("name"),
    _text("email_id"),
    _text("address"),
    _text("company_name"),
    _text("custom_fields"),
    _text("created_at"),
    _text("updated_at"),
    *_mirror_columns(),
    UniqueConstraint("account", "smartflo_id"),
    Index("smartflo_contacts_phone", "phone_e164"),
    Index("smartflo_contacts_name", "name"),
)

smartflo_contact_groups = _table(
    "smartflo_contact_groups",
    _id(),
    _text("account", null=False),
    _text("group_id", null=False),
    _text("name"),
    _text("description"),
    *_mirror_columns(),
    UniqueConstraint("account", "group_id"),
)

change_queue = _table(
    "change_queue",
    _id(),
    _text("account", null=False),
    Column("contact_row", Integer, ForeignKey("telecmi_contacts.id"), nullable=False),
    _text("operation", null=False),
    _text("state", null=False),
    _text("fields"),
    _int("edit_seq"),
    _int("attempts", null=False, default="0"),
    _text("next_attempt_at"),
    _text("last_error"),
    _text("created_at", null=False),
    _text("sent_at"),
    _text("settled_at"),
    _text("clashes"),  # JSON: field -> {base, local, remote}, while in conflict
    _int("approved", null=False, default="0"),  # a person let this delete go
    _text("found_by", null=False, default="trigger"),  # or "scan"
    _one_of("operation", *(one.value for one in Operation)),
    _one_of("state", *(one.value for one in State)),
    _yes_no("approved"),
    _one_of("found_by", "trigger", "scan"),
    Index("change_queue_row", "contact_row"),
    Index("change_queue_state", "state", "account"),
)

change_log = _table(
    "change_log",
    Column("seq", Integer, primary_key=True),
    _text("at", null=False),
    _text("table_name", null=False),
    _int("row_id", null=False),
    _text("kind", null=False),
    _text("field"),
    _text("old"),
    _text("new"),
    _text("origin", null=False),
    _one_of("kind", "insert", "update", "delete"),
    _one_of("origin", "upstream", "local"),
    Index("change_log_row", "table_name", "row_id"),
    Index("change_log_at", "at"),
)

held = _table(
    "held",
    _id(),
    _text("job", null=False),
    _text("account", null=False),
    _text("reason", null=False),
    _int("rows", null=False),
    _text("created_at", null=False),
    _text("decided_at"),
    _text("decision"),
    _one_of("decision", "approved", "rejected", "superseded"),
    CheckConstraint("(decided_at IS NULL) = (decision IS NULL)"),
    Index("held_open", "job", "account", unique=True, sqlite_where=text("decided_at IS NULL")),
)

sync_runs = _table(
    "sync_runs",
    _id(),
    _text("job", null=False),
    _text("account", null=False),
    _text("started_at", null=False),
    _text("finished_at"),
    _text("outcome"),
    _int("requests", null=False, default="0"),
    _int("seen", null=False, default="0"),
    _int("added", null=False, default="0"),
    _int("changed", null=False, default="0"),
    _int("removed", null=False, default="0"),
    _text("error"),
    _text("listing"),  # JSON: the certificate of its listing
    _one_of("outcome", "ok", "incomplete", "failed"),
    Index("sync_runs_job", "job", "account", "id"),
)

# -- what the program keeps for itself -------------------------------------------------------------

#: One row: 1 while this program writes. Triggers leave its writes alone and catch everybody else's.
sync_guard = _table(
    "sync_guard",
    _id(),
    _int("active", null=False, default="0"),
    _int("epoch", null=False, default="0"),  # rises with every agreement (store/queue.py)
    CheckConstraint("id = 1"),
    _yes_no("active"),
    autoincrement=False,
)

#: The TeleCMI accounts of the config, for triggers to look at.
telecmi_accounts = _table(
    "telecmi_accounts",
    Column("name", Text, primary_key=True, nullable=False),
    _int("contacts", null=False),  # 1: its directory is mirrored, so contacts may be added to it
    _int("deletes", null=False),  # 1: push.deletes
    _yes_no("contacts"),
    _yes_no("deletes"),
    autoincrement=False,
)

#: What upstream and we last agreed on, a row per contact that is known upstream.
contact_base = _table(
    "contact_base",
    Column("row_id", Integer, primary_key=True),
    _text("account", null=False),
    _text("source", null=False),
    _text("contact_id"),
    _text("phone_no", null=False, default=""),
    _text("first_name", null=False, default=""),
    _text("last_name", null=False, default=""),
    _text("email_id", null=False, default=""),
    _text("company", null=False, default=""),
    _text("job_title", null=False, default=""),
    _text("phone_e164"),
    _int("touched", null=False, default="0"),  # push epoch of the last agreement
    _one_of("source", "directory", "user_list", "gone"),
    Index("contact_base_phone", "account", "phone_e164"),
    autoincrement=False,
)

#: The exact fields of every request since the base last moved: written before it goes out.
push_intents = _table(
    "push_intents",
    _id(),
    _int("change_id", null=False),
    _int("row_id", null=False),
    _text("operation", null=False),
    _text("fields", null=False),
    _text("phone_e164"),
    _text("sent_at", null=False),
    _text("answer"),  # NULL: none yet
    _one_of("operation", *(one.value for one in Operation)),
    _one_of("answer", "accepted", "refused"),
    Index("push_intents_change", "change_id"),
    Index("push_intents_row", "row_id"),
)

#: What is known about each job of each account between its runs.
sync_jobs = _table(
    "sync_jobs",
    Column("job", Text, primary_key=True, nullable=False),
    Column("account", Text, primary_key=True, nullable=False),
    _text("provider", null=False),
    _int("enabled", null=False, default="1"),
    _int("every_s", null=False),
    _text("last_ok_at"),
    _text("last_complete_at"),
    _text("cursor"),
    _text("last_full_at"),
    _text("paused_until"),
    _int("failures", null=False, default="0"),
    _text("notes"),  # JSON: what was noticed about the vendor (core/notes)
    autoincrement=False,
)

#: Spans of voicemail time that were read whole, and when.
voicemail_windows = _table(
    "voicemail_windows",
    Column("account", Text, primary_key=True, nullable=False),
    Column("start_ms", Integer, primary_key=True, nullable=False),
    _int("end_ms", null=False),
    _int("verified_ms", null=False),
    _int("rows", null=False),
    autoincrement=False,
)

#: Which of a voicemail's two stamps is right, by TeleCMI account: see `core/received.py`.
voicemail_clocks = _table(
    "voicemail_clocks",
    Column("account", Text, primary_key=True, nullable=False),
    _text("clock", null=False),
    _int("contrary", null=False),  # newer proofs against it, in a row
    _int("verified_ms"),  # when the newest windows were last read whole
    _int("newest_row", null=False),  # rows up to this one were considered
    _int("follows", null=False),  # 1: `received_at` of all rows goes by `clock`
    _one_of("clock", *(one.value for one in StampSource)),
    _yes_no("follows"),
    autoincrement=False,
)

#: Where the database lives (one row): nothing is sent from anywhere else.
home = _table(
    "home",
    _id(),
    _text("path", null=False),  # absolute, symlinks resolved
    _text("machine"),  # a hash of the machine id; NULL where there was none
    CheckConstraint("id = 1"),
    autoincrement=False,
)

#: Rows that could not be understood, with their JSON.
set_aside = _table(
    "set_aside",
    _id(),
    _text("job", null=False),
    _text("account", null=False),
    _text("digest", null=False),
    _text("reason", null=False),
    _text("raw", null=False),
    _text("first_seen_at", null=False),
    _text("last_seen_at", null=False),
    UniqueConstraint("job", "account", "digest"),
)

#: Rows that one complete listing did not show: a second one may remove them.
absences = _table(
    "absences",
    Column("table_name", Text, primary_key=True, nullable=False),
    Column("row_id", Integer, primary_key=True, nullable=False),
    _text("noted_at", null=False),
    autoincrement=False,
)

#: The rows (and columns, for blanks) that a hold is about.
held_rows = _table(
    "held_rows",
    Column("held_id", Integer, ForeignKey("held.id"), primary_key=True, nullable=False),
    Column("table_name", Text, primary_key=True, nullable=False),
    Column("row_id", Integer, primary_key=True, nullable=False),
    Column("field", Text, primary_key=True, nullable=False, server_default=""),  # "": the row itself
    _int("settled", null=False, default="0"),  # 1: the decision was carried out, or is void
    autoincrement=False,
)

#: People who are to be kept out: a keyed hash of each number, never the number.
forgotten = _table(
    "forgotten",
    Column("digest", Text, primary_key=True, nullable=False),
    _text("at", null=False),
    autoincrement=False,
)


#: What waits for a person and was logged (store/attention.py).
reported = _table(
    "reported",
    Column("kind", Text, primary_key=True, nullable=False),
    Column("id", Integer, primary_key=True, nullable=False),
    _text("account", null=False),
    _text("at", null=False),
    autoincrement=False,
)


@dataclass(frozen=True)
class Mirror:
    """A table that mirrors one vendor list, row by row."""

    table: Table
    key: str  #: the column that is the vendor's identity within the account
    stamps: frozenset[str] = frozenset()  #: vendor stamps: alone they are no change
    newest_by: str | None = None  #: when an identity comes twice, the greatest of this column counts
    keeps: bool = False  #: kept for good, whatever upstream still lists
    derived: frozenset[str] = (
        frozenset()
    )  #: columns that a row gets when it is new, and its module keeps then
    advice: str = ""  #: what the refusal of a direct write adds

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @cached_property
    def content(self) -> tuple[str, ...]:
        """The columns that come from the vendor and are its content."""
        ours = {"id", "account", self.key, "first_seen_at", "last_changed_at", "deleted_at", "raw"}
        return tuple(c.name for c in self.table.columns if c.name not in ours)

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """Those of them that make a row differ, and are written where it does."""
        return tuple(name for name in self.content if name not in self.derived)

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Those of them that hold whole numbers."""
        return frozenset(n for n in self.content if isinstance(self.table.c[n].type, Integer))


USER_CONTACTS = Mirror(
    telecmi_user_contacts,
    "mobile",
    stamps=frozenset({"time"}),
    newest_by="time",
    advice="edit the contact in telecmi_contacts instead",
)
VOICEMAILS = Mirror(telecmi_voicemails, "voicename", derived=frozenset({"received_at"}), keeps=True)
SMARTFLO_CONTACTS = Mirror(
    smartflo_contacts,
    "smartflo_id",
    stamps=frozenset({"updated_at"}),
    advice="Smartflo contacts are edited in Smartflo's portal; only telecmi_contacts can be edited here",
)
SMARTFLO_GROUPS = Mirror(smartflo_contact_groups, "group_id", stamps=frozenset({"updated_at"}))

MIRRORS = (USER_CONTACTS, VOICEMAILS, SMARTFLO_CONTACTS, SMARTFLO_GROUPS)
