"""Accounts that are no longer in the config: what the database still has of them, and renaming them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from syncer.core.model import FIELDS
from syncer.core.wording import count, some
from syncer.errors import UsageError
from syncer.store.db.columns import OPEN_STATES
from syncer.store.db.mirrors import MIRRORS, USER_CONTACTS
from syncer.store.db.read_only import Reader, first, raw, tuples

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: TeleCMI tables that are not mirrors.
_TELECMI_TABLES = ("telecmi_notes", "change_queue", "contact_base", "voicemail_clocks")
#: Tables of all vendors, with the column that identifies the job.
_TABLES_OF_JOBS = {
    "sync_jobs": "job",
    "sync_runs": "job",
    "held": "job",
    "set_aside": "job",
    "windows": "list",
    "stale_jobs": "job",
}


def _tables(provider: str) -> tuple[str, ...]:
    """The tables that only this vendor's accounts have."""
    mirrors = [mirror.name for mirror in MIRRORS.values() if mirror.vendor == provider]
    return (*mirrors, *(_TELECMI_TABLES if provider == "telecmi" else ()))


def _counted(provider: str) -> dict[str, str]:
    """What is counted for an account, and with which query."""
    living = "SELECT count(*) FROM {} WHERE deleted_at IS NULL AND account = ?"
    out = {
        mirror.what: living.format(mirror.name)
        for mirror in MIRRORS.values()
        if mirror.vendor == provider and mirror.number is not None and mirror is not USER_CONTACTS
    }
    if provider == "telecmi":
        out["open change"] = (
            f"SELECT count(*) FROM change_queue WHERE state IN ({OPEN_STATES}) AND account = ?"
        )
    return out


#: Keys that are unique within an account. The same key under both names is the same thing.
_KEYS = {
    "windows": ("list", "start_ms"),
    "voicemail_clocks": (),
    "sync_jobs": ("job",),
    "stale_jobs": ("job",),
    "set_aside": ("job", "digest"),
}


@dataclass(frozen=True, slots=True)
class Stray:
    """An account with rows, but without a section in the config."""

    provider: str
    account: str
    counts: Mapping[str, int]  #: what -> how many, without zeros

    @property
    def label(self) -> str:
        """The name of its section."""
        return f"{self.provider}.{self.account}"

    @property
    def changes(self) -> int:
        """How many changes will never be sent."""
        return self.counts.get("open change", 0)

    def __str__(self) -> str:
        held = ", ".join(count(number, what) for what, number in self.counts.items())
        never = "; its changes are never sent" if self.changes else ""
        return f"{self.label} is not in the config, and the database has {held} of it{never}"

    @property
    def advice(self) -> str:
        """What to do about it."""
        return (
            f"if the account has another name now: `syncer db rename-account {self.label} NEW`; else its rows stay as "
            "they are"
        )


def strays(conn: Reader, known: Collection[str]) -> list[Stray]:
    """The accounts that are not among the labels `known` and still have rows."""
    out = []
    for provider, account in tuples(conn, "SELECT DISTINCT provider, account FROM sync_jobs ORDER BY 1, 2"):
        if f"{provider}.{account}" not in known:
            counts = {what: first(conn, query, account) for what, query in _counted(provider).items()}
            if found := {what: number for what, number in counts.items() if number}:
                out.append(Stray(provider, account, found))
    return out


def registered(conn: Reader) -> list[str]:
    """The labels of all accounts that any config has had."""
    return [
        f"{provider}.{account}"
        for provider, account in tuples(conn, "SELECT DISTINCT provider, account FROM sync_jobs")
    ]


def rename(
    conn: Connection,
    provider: str,
    old: str,
    new: str,
    at: str,
    remove_files: Callable[[Sequence[str]], None] = lambda _: None,
) -> dict[str, int]:
    """Rename account `old` to `new` in all tables. Returns the number of rows by table, and of `merged` ones.

    If `new` has already pulled the same row, the row of `old` stays, with its id and history. `remove_files` is
    called with the paths of recordings that both have. Raises UsageError, without changing anything, if a contact
    was edited under both names: such edits cannot be merged.
    """
    renaming = _Renaming(conn, provider, old, new, at)
    done = {"merged": renaming.merge()}
    remove_files(renaming.doubled)
    for table in _tables(provider):
        done[table] = renaming.run(f"UPDATE {table} SET account = :new WHERE account = :old")
    for table, column in _TABLES_OF_JOBS.items():
        done[table] = renaming.run(
            f"UPDATE {table} SET account = :new WHERE account = :old AND {column} LIKE :jobs"
        )
    renaming.run(
        "UPDATE reported SET account = :provider || '.' || :new WHERE account = :provider || '.' || :old"
    )
    return done


@dataclass(frozen=True, slots=True)
class _Renaming:
    conn: Connection
    provider: str
    old: str
    new: str
    at: str
    doubled: list[str] = field(default_factory=list)  #: files of recordings that both accounts have

    def run(self, statement: str, **more: object) -> int:
        """Run one statement. Returns how many rows it changed."""
        return raw(self.conn).execute(statement, self._values | more).rowcount

    @property
    def _values(self) -> dict[str, object]:
        return {
            "old": self.old,
            "new": self.new,
            "provider": self.provider,
            "jobs": f"{self.provider}_%",
            "at": self.at,
        }

    def merge(self) -> int:
        """Merge rows that exist under both names. Returns how many."""
        merged = self._merge_contacts() if self.provider == "telecmi" else 0
        self.run(
            "UPDATE held SET decision = 'superseded', decided_at = :at WHERE decided_at IS NULL AND account = :new "
            "AND job IN (SELECT job FROM held WHERE decided_at IS NULL AND account = :old AND job LIKE :jobs)"
        )
        for mirror in MIRRORS.values():
            if mirror.vendor == self.provider and not mirror.editable:
                merged += self._merge_mirror(mirror.name, (mirror.key, *mirror.within))
        for table, key in _KEYS.items():
            if table in _TABLES_OF_JOBS or table in _tables(self.provider):
                only = f" AND {_TABLES_OF_JOBS[table]} LIKE :jobs" if table in _TABLES_OF_JOBS else ""
                twin = f"SELECT 1 FROM {table} twin WHERE {_is_twin(table, key, 'old')}"
                self.run(f"DELETE FROM {table} WHERE account = :new{only} AND EXISTS ({twin})")
        return merged

    def _merge_mirror(self, table: str, key: Sequence[str]) -> int:
        """Keep the live row of two, or else the row of the old name. Returns how many were merged."""
        is_kept = f"(twin.deleted_at IS NULL OR {table}.deleted_at IS NOT NULL)"
        dropped = self._drop_twins(table, "account = :new", f"{_is_twin(table, key, 'old')} AND {is_kept}")
        return dropped + self._drop_twins(table, "account = :old", _is_twin(table, key, "new"))

    def _drop_twins(self, table: str, whose: str, twin: str) -> int:
        """Delete the rows that have a `twin`, which gets their notes and recordings. Returns how many."""
        which = f"{whose} AND EXISTS (SELECT 1 FROM {table} twin WHERE {twin})"
        dropped = f"SELECT id FROM {table} WHERE {which}"
        if table == "telecmi_user_contacts":
            self._merge_notes(dropped, twin)
        if table == "telecmi_voicemails":
            self._merge_recordings(dropped, twin)
        self.run(
            "INSERT INTO change_log (at, table_name, row_id, kind, origin) "
            f"SELECT :at, '{table}', id, 'delete', 'local' FROM {table} WHERE {which} AND deleted_at IS NULL"
        )
        self.run(f"DELETE FROM absences WHERE table_name = '{table}' AND row_id IN ({dropped})")
        return self.run(f"DELETE FROM {table} WHERE {which}")

    def _merge_notes(self, dropped: str, twin: str) -> None:
        """Move the notes of dropped user contacts to the remaining rows. Of two equal ones, one stays."""
        of_row = (
            "SELECT twin.id FROM telecmi_user_contacts twin, telecmi_user_contacts "
            f"WHERE telecmi_user_contacts.id = telecmi_notes.contact_row AND {twin}"
        )
        self.run(
            f"DELETE FROM telecmi_notes WHERE contact_row IN ({dropped}) AND EXISTS (SELECT 1 FROM telecmi_notes n "
            f"WHERE n.contact_row IN ({of_row}) AND n.msg = telecmi_notes.msg AND n.date IS telecmi_notes.date "
            "AND n.agent = telecmi_notes.agent)"
        )
        self.run(f"UPDATE telecmi_notes SET contact_row = ({of_row}) WHERE contact_row IN ({dropped})")

    def _merge_recordings(self, dropped: str, twin: str) -> None:
        """Move the recordings of dropped voicemails to the remaining rows. Of two, the one that has a file stays."""
        of_row = (
            "SELECT twin.id FROM telecmi_voicemails twin, telecmi_voicemails "
            f"WHERE telecmi_voicemails.id = a.voicemail AND {twin}"
        )
        theirs = (
            f"SELECT ({of_row}) FROM voicemail_audio a WHERE a.voicemail IN ({dropped}) AND a.state = 'kept'"
        )
        self.run(
            f"DELETE FROM voicemail_audio WHERE state <> 'kept' AND path IS NULL AND voicemail IN ({theirs})"
        )
        self.run(
            f"UPDATE OR IGNORE voicemail_audio AS a SET voicemail = ({of_row}) WHERE voicemail IN ({dropped})"
        )
        paths = f"SELECT path FROM voicemail_audio WHERE path IS NOT NULL AND voicemail IN ({dropped})"
        self.doubled.extend(path for (path,) in raw(self.conn).execute(paths, self._values))
        self.run(f"DELETE FROM voicemail_audio WHERE voicemail IN ({dropped})")

    def _merge_contacts(self) -> int:
        drops, stuck = dict[int, int](), list[tuple[int, int]]()
        for old, new, old_edited, new_edited, old_gone, new_gone in self._twins():
            if old_edited and new_edited:
                stuck.append((old, new))
            elif new_edited or (old_gone and not (old_edited or new_gone)):
                drops[old] = new
            else:
                drops[new] = old
        if stuck:
            rows = some([f"{old} and {new}" for old, new in stuck], 5)
            raise UsageError(
                f"{len(stuck)} contacts were edited under both names (rows {rows}): "
                f"send the edits of {self.new} first (`syncer sync telecmi-push --account telecmi.{self.new}`), or take "
                "them back (`syncer queue discard`), then run this again; nothing was changed"
            )
        for dropped, kept in drops.items():
            self._drop(dropped, kept)
        return len(drops)

    def _twins(self) -> Iterator[tuple[Any, ...]]:
        """Pairs of rows that are one contact upstream: their ids, whether each was edited, whether each was deleted.

        They have the same contact_id or, if one comes from the user's list, the same number in base.
        """
        columns = (
            f"o.id, n.id, {_edited('o')}, {_edited('n')}, o.deleted_at IS NOT NULL, n.deleted_at IS NOT NULL"
        )
        by_id = (
            f"SELECT {columns} FROM telecmi_contacts o JOIN telecmi_contacts n ON n.contact_id = o.contact_id "
            "WHERE o.account = ? AND n.account = ?"
        )
        # CROSS JOIN makes SQLite look up each number, where it would compare each contact with all of the other name.
        by_number = (
            f"SELECT {columns} FROM telecmi_contacts o CROSS JOIN contact_base p ON p.row_id = o.id "
            "CROSS JOIN contact_base q ON q.phone_e164 IS p.phone_e164 "
            "AND (p.source = 'user_list' OR q.source = 'user_list') "
            "AND (p.phone_e164 IS NOT NULL OR p.phone_no = q.phone_no) "
            "CROSS JOIN telecmi_contacts n ON n.id = q.row_id AND n.account = q.account "
            "WHERE o.account = ? AND q.account = ? AND o.deleted_at IS NULL AND n.deleted_at IS NULL"
        )
        seen = set[int]()
        for query in (by_id, by_number):
            for found in tuples(self.conn, query, self.old, self.new):
                if not seen & {found[0], found[1]}:
                    seen |= {found[0], found[1]}
                    yield found

    def _drop(self, row: int, kept: int) -> None:
        """Remove a row without edits that is a duplicate of another row."""
        where = {"row": row, "kept": kept}
        self.run("UPDATE change_queue SET contact_row = :kept WHERE contact_row = :row", **where)
        self.run("DELETE FROM absences WHERE table_name = 'telecmi_contacts' AND row_id = :row", **where)
        held = "held_rows SET row_id = :kept WHERE table_name = 'telecmi_contacts' AND row_id = :row"
        self.run(f"UPDATE OR IGNORE {held}", **where)
        self.run("DELETE FROM held_rows WHERE table_name = 'telecmi_contacts' AND row_id = :row", **where)
        self.run("DELETE FROM contact_base WHERE row_id = :row", **where)
        self.run("DELETE FROM telecmi_contacts WHERE id = :row", **where)
        self.run(
            "INSERT INTO change_log (at, table_name, row_id, kind, origin) "
            "VALUES (:at, 'telecmi_contacts', :row, 'delete', 'local')",
            **where,
        )


def _is_twin(table: str, key: Sequence[str], other: str) -> str:
    """SQL: whether `twin` has the key of a row, under the other name (`old` or `new`)."""
    return " AND ".join([f"twin.account = :{other}", *(f"twin.{name} = {table}.{name}" for name in key)])


def _edited(row: str) -> str:
    """SQL: whether a contact has edits that are not settled upstream."""
    differs = " OR ".join(f"COALESCE({row}.{name}, '') <> b.{name}" for name in FIELDS)
    return (
        f"(EXISTS (SELECT 1 FROM change_queue WHERE contact_row = {row}.id AND state IN ({OPEN_STATES})) "
        f"OR EXISTS (SELECT 1 FROM push_intents WHERE row_id = {row}.id) "
        f"OR ({row}.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM contact_base b WHERE b.row_id = {row}.id "
        f"AND b.source <> 'gone' AND NOT ({differs}))))"
    )
