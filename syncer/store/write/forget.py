"""Removes a person from every table, including raw and the log, and keeps them out.

A keyed hash of the number keeps the person out. The key is in a file next to the database, so the database alone does
not reveal numbers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, func, insert, or_, select

from syncer import files
from syncer.core.model import State
from syncer.core.normalise import phone_digits, to_e164
from syncer.errors import StoreError, UsageError
from syncer.store.db.connection import Database
from syncer.store.db.mirrors import MIRRORS, Mirror
from syncer.store.db.read_only import Reader, chunks, first, tuples
from syncer.store.db.tables import (
    absences,
    callback_marks,
    callback_numbers,
    change_log,
    change_queue,
    contact_base,
    forgotten,
    held_rows,
    metadata,
    outbox,
    publish_marks,
    push_intents,
    set_aside,
    telecmi_contacts,
    telecmi_notes,
    telecmi_user_contacts,
    telecmi_voicemails,
    voicemail_audio,
)
from syncer.store.write import holds


def _people() -> dict[Table, Mirror]:
    """The tables whose rows have a person's number."""
    return {metadata.tables[name]: mirror for name, mirror in MIRRORS.items() if mirror.number is not None}


#: How many digits of a number are searched for in rows that could not be parsed.
_TELLING = 10

#: Matches possible phone numbers in a text, in one piece or in groups.
_DIGITS = re.compile(r"\+?\d{7,17}")
_NUMBERS = re.compile(r"\+?\d(?:[ ().-]?\d){6,16}")


def key_path(database: Path) -> Path:
    """The file with the key of the hashes."""
    return database.with_name(f"{database.name}.forget-key")


def load_key(database: Path, *, create: bool) -> bytes | None:
    """The key, created on first use (0600); None if there is none."""
    path = key_path(database)
    try:
        return bytes.fromhex(files.read(path, 1000).decode().strip())
    except FileNotFoundError:
        if not create:
            return None
    except (OSError, ValueError):
        raise StoreError(
            f"the key file {path.name} cannot be read: restore it from a backup, "
            "else people who were forgotten come back"
        ) from None
    key = secrets.token_bytes(32)
    _write_key(path, key)
    return key


def _write_key(path: Path, key: bytes) -> None:
    try:
        files.write_new(path, key.hex())
    except OSError as error:
        raise StoreError(f"the key file {path.name} cannot be written: {error.strerror}") from None


def copy_key(original: Path, copy: Path) -> None:
    """Copy the key for a copy of the database in a private folder, so that it keeps the same people out."""
    if (key := load_key(original, create=False)) is not None:
        _write_key(key_path(copy), key)


def _digest(key: bytes, e164: str) -> str:
    return hmac.new(key, e164.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Tells which numbers were forgotten. Ask in the transaction that writes: `forget` does not wait for a run."""

    database: Path

    def among(self, conn: Reader, numbers: Iterable[str | None]) -> set[str]:
        """Those of some numbers (E.164) that were forgotten.

        Raises StoreError if people were forgotten and the key is lost: continuing would bring them back.
        """
        if not first(conn, "SELECT EXISTS (SELECT 1 FROM forgotten)"):
            return set()
        key = load_key(self.database, create=False)
        if key is None:
            raise StoreError(
                f"people were forgotten, and the key file {key_path(self.database).name} is missing: restore it "
                "from a backup, else they would come back"
            )
        digests = {_digest(key, number): number for number in set(numbers) if number is not None}
        query = "SELECT digest FROM forgotten WHERE digest IN (SELECT value FROM json_each(?))"
        return {digests[digest] for (digest,) in tuples(conn, query, json.dumps(list(digests)))}


def numbers_in(text: str, regions: Iterable[str]) -> set[str]:
    """The numbers that a text contains in any usual spelling, in E.164."""
    found = set(_NUMBERS.findall(text)) | set(_DIGITS.findall(text))
    return {e164 for one in found for region in regions if (e164 := to_e164(one, region)) is not None}


#: By table: rows, oldest first.
Rows: TypeAlias = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class ForgetPreview:
    """Rows with a number, and other numbers of the same contacts."""

    rows: Rows  #: rows that have the number, and contacts that had it earlier
    #: Other numbers of the same contacts, now or earlier. Rows that have only those stay.
    other_numbers: dict[str, Rows]


@dataclass(frozen=True, slots=True)
class Removed:
    """What `forget` did, and what is left for a person to do."""

    rows: dict[str, int]  #: removed rows, by table
    other_numbers: dict[str, Rows]  #: see `ForgetPreview`
    mentioned: Rows  #: rows of other people whose texts contain the number
    sent: dict[str, int]  #: notifications about them that were sent and cannot be undone, by target
    traces: bool  #: the file could not be compacted, so its free pages may still contain removed data


def forget(
    db: Database,
    e164: str,
    at: str,
    *,
    regions: Iterable[str] = ("IN",),
    remove_files: Callable[[Sequence[str]], None] = lambda _: None,
) -> Removed:
    """Remove everybody with this number. `regions` are those of the accounts.

    `remove_files` is called with the paths of recordings; if it raises, nothing is removed from the database. The
    file is compacted at the end, because its free pages contain older versions of rows. Raises UsageError while a
    change of these contacts is being sent.
    """
    regions = tuple(regions)
    key = load_key(db.path, create=True)
    assert key is not None
    db.pragma("PRAGMA secure_delete = ON")
    try:
        with db.write() as conn:
            found = find(conn, e164, regions)
            recordings = _recordings(conn, found.rows)
            sent = _sent_notifications(conn, found.rows)
            gone = _remove(conn, found.rows, e164, regions)
            mentioned = _mentioned(conn, e164, regions)
            # Before the commit: a row without its file is harmless, a file without its row is not.
            remove_files(recordings)
            # Inserted again for a number that was forgotten before, because published copies follow the insert.
            conn.execute(delete(forgotten).where(forgotten.c.digest == _digest(key, e164)))
            conn.execute(insert(forgotten).values(digest=_digest(key, e164), at=at))
        traces = not _compact(db)
    finally:
        db.pragma("PRAGMA secure_delete = OFF")
    rows = {table: count for table, count in gone.items() if count}
    return Removed(rows, found.other_numbers, mentioned, sent, traces)


def _compact(db: Database) -> bool:
    """Compact the file and empty its log. False if another program prevents it, or the disk is full."""
    try:
        db.pragma("VACUUM")
        ((busy, *_),) = db.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
    except StoreError:
        return False
    return not busy


def find(conn: Connection, e164: str, regions: Sequence[str]) -> ForgetPreview:
    """Rows that would be removed for this number, and other numbers of the same contacts."""
    rows = _rows_with(conn, e164, regions)
    # A read-only contact that now has another number may be somebody else: it is reported, not removed.
    related = rows | {
        table.name: _rows_once_with(conn, table, e164, regions)
        for table, mirror in _people().items()
        if mirror.lasting and not mirror.editable
    }
    other_numbers = {}
    for number in sorted(_numbers_of(conn, related, regions) - {e164}):
        under = _rows_with(conn, number, regions)
        kept = {table: [one for one in ids if one not in rows.get(table, ())] for table, ids in under.items()}
        other_numbers[number] = {table: ids for table, ids in kept.items() if ids}
    return ForgetPreview(rows, other_numbers)


def _rows_with(conn: Connection, e164: str, regions: Sequence[str]) -> Rows:
    """Rows that have a number, and contacts that had or sent it earlier."""
    telling = phone_digits(e164)[-_TELLING:]
    out: Rows = {}
    for table, mirror in _people().items():
        ids = set(conn.execute(select(table.c.id).where(table.c.phone_e164 == e164)).scalars())
        if table is telecmi_contacts:
            ids |= set(_rows_once_with(conn, table, e164, regions))
            ids |= _agreed_rows(conn, e164) | _unread_rows(conn, e164, regions)
        for column in mirror.traces:
            ids |= set(conn.execute(select(table.c.id).where(table.c[column].contains(telling))).scalars())
        if ids:
            out[table.name] = sorted(ids)
    return out


def _rows_once_with(conn: Connection, table: Table, e164: str, regions: Sequence[str]) -> list[int]:
    past = _past_numbers(conn, table, regions, phone_digits(e164)[-4:])  # it may be written in groups
    return sorted({row_id for row_id, numbers in past if e164 in numbers})


def _numbers_of(conn: Connection, rows: Rows, regions: Sequence[str]) -> set[str]:
    """All numbers that these rows have or had."""
    found: set[str] = set()
    for table in [table for table, mirror in _people().items() if mirror.lasting]:
        ids = set(rows.get(table.name, ()))
        for block in chunks(ids):
            found |= set(conn.execute(select(table.c.phone_e164).where(table.c.id.in_(block))).scalars())
            if table is telecmi_contacts:
                for column in (contact_base.c, push_intents.c):
                    query = select(column.phone_e164).where(column.row_id.in_(block))
                    found |= set(conn.execute(query).scalars())
        for row_id, numbers in _past_numbers(conn, table, regions):
            if row_id in ids:
                found |= numbers
    return found - {None}


def _past_numbers(
    conn: Connection, table: Table, regions: Sequence[str], ending: str = ""
) -> Iterator[tuple[int, set[str]]]:
    """The numbers of rows in the log, in E.164, from entries that contain the digits `ending`."""
    c = change_log.c
    query = select(c.row_id, c.old, c.new).where(
        c.table_name == table.name,
        c.field == MIRRORS[table.name].number,
        or_(c.old.contains(ending), c.new.contains(ending)),
    )
    for row_id, *values in conn.execute(query):
        read = {to_e164(value, region) for value in values if value for region in regions}
        yield row_id, {number for number in read if number is not None}


def _remove(conn: Connection, rows: Rows, e164: str, regions: Sequence[str]) -> dict[str, int]:
    """Delete rows and everything that belongs to them. Returns how many rows of each table."""
    gone: Counter[str] = Counter()

    def drop(table: Table, condition: ColumnElement[bool]) -> None:
        gone[table.name] += conn.execute(delete(table).where(condition)).rowcount

    for table in _people():
        for block in chunks(rows.get(table.name, ())):
            if table is telecmi_contacts:
                _require_not_sending(conn, block)
            for other, condition in _dependents(table, block):
                drop(other, condition)
            drop(table, table.c.id.in_(block))
    telling = phone_digits(e164)[-_TELLING:]
    drop(change_log, or_(change_log.c.old.contains(telling), change_log.c.new.contains(telling)))
    marks = conn.execute(select(callback_marks.c.id, callback_marks.c.phone_e164)).all()
    theirs = [one.id for one in marks if any(to_e164(one.phone_e164, region) == e164 for region in regions)]
    drop(callback_marks, callback_marks.c.id.in_(theirs))
    aside = conn.execute(select(set_aside.c.id, set_aside.c.raw)).all()
    drop(set_aside, set_aside.c.id.in_([one.id for one in aside if _names(one.raw, e164, regions)]))
    holds.recount(conn)
    # The only marks with a number. A pass removes these rows of a copy when it finds that somebody was forgotten.
    numbers = and_(publish_marks.c.table_name == callback_numbers.name, publish_marks.c.row_key == e164)
    conn.execute(delete(publish_marks).where(numbers))
    return gone


def _require_not_sending(conn: Connection, contact_rows: Sequence[int]) -> None:
    c = change_queue.c
    busy = conn.execute(
        select(c.id).where(c.contact_row.in_(contact_rows), c.state == State.SENDING)
    ).scalar()
    if busy is not None:
        raise UsageError(f"change {busy} of this person is being sent right now: try again in a moment")


def _dependents(table: Table, ids: Sequence[int]) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """What belongs to rows of a table, in the order in which it can be deleted."""

    def about(
        other: Table, name: str, rows: Sequence[int] | Select[Any]
    ) -> tuple[Table, ColumnElement[bool]]:
        return other, and_(other.c.table_name == name, other.c.row_id.in_(rows))

    if table is telecmi_contacts:
        changes = select(change_queue.c.id).where(change_queue.c.contact_row.in_(ids))
        yield about(outbox, change_queue.name, changes)
        yield push_intents, push_intents.c.row_id.in_(ids)
        yield change_queue, change_queue.c.contact_row.in_(ids)
        yield contact_base, contact_base.c.row_id.in_(ids)
    if table is telecmi_user_contacts:
        notes = select(telecmi_notes.c.id).where(telecmi_notes.c.contact_row.in_(ids))
        yield about(change_log, telecmi_notes.name, notes)
        yield telecmi_notes, telecmi_notes.c.contact_row.in_(ids)
    if table is telecmi_voicemails:
        yield about(change_log, voicemail_audio.name, ids)
        yield voicemail_audio, voicemail_audio.c.voicemail.in_(ids)
    for other in (change_log, absences, held_rows, outbox):
        yield about(other, table.name, ids)


def _recordings(conn: Connection, rows: Rows) -> list[str]:
    """The files of recordings, relative to the audio folder."""
    c = voicemail_audio.c
    found: list[str] = []
    for block in chunks(set(rows.get(telecmi_voicemails.name, ()))):
        query = select(c.path).where(c.voicemail.in_(block), c.path.is_not(None))
        found += conn.execute(query).scalars()
    return found


def _sent_notifications(conn: Connection, rows: Rows) -> dict[str, int]:
    """How many notifications about these rows were sent, by target, with failed attempts: those may have arrived."""
    out: dict[str, int] = {}
    for name, ids in rows.items():
        for block in chunks(ids):
            about = and_(outbox.c.table_name == name, outbox.c.row_id.in_(block))
            if name == telecmi_contacts.name:
                changes = select(change_queue.c.id).where(change_queue.c.contact_row.in_(block))
                about = and_(outbox.c.table_name == change_queue.name, outbox.c.row_id.in_(changes))
            query = select(outbox.c.target, func.count()).where(about, outbox.c.attempts > 0)
            for target, number in conn.execute(query.group_by(outbox.c.target)):
                out[target] = out.get(target, 0) + number
    return out


def _names(text: str | None, e164: str, regions: Iterable[str]) -> bool:
    return e164 in numbers_in(str(text or ""), regions)


def _mentioned(conn: Connection, e164: str, regions: Sequence[str]) -> Rows:
    """Rows of other people that mention the number, in a note or a field of the vendor's."""
    telling = phone_digits(e164)[-4:]  # it may be written in groups
    out: Rows = {}
    for table in (*_people(), telecmi_notes):
        texts = table.c.msg if table is telecmi_notes else table.c.raw
        query = select(table.c.id, texts).where(texts.contains(telling)).order_by(table.c.id)
        found = [row_id for row_id, text in conn.execute(query) if _names(text, e164, regions)]
        if found:
            out[table.name] = found
    return out


def _unread_rows(conn: Connection, e164: str, regions: Iterable[str]) -> set[int]:
    """Contacts into which a person typed this number, before a job has read it."""
    c = telecmi_contacts.c
    query = select(c.id, c.phone_no).where(c.phone_e164.is_(None), c.phone_no.is_not(None))
    return {
        row_id
        for row_id, phone in conn.execute(query)
        if any(to_e164(phone, region) == e164 for region in regions)
    }


def _agreed_rows(conn: Connection, e164: str) -> set[int]:
    """Contacts that upstream has, or was sent, with this number."""
    agreed = select(contact_base.c.row_id).where(contact_base.c.phone_e164 == e164)
    sent = select(push_intents.c.row_id).where(push_intents.c.phone_e164 == e164)
    return {row_id for query in (agreed, sent) for row_id in conn.execute(query).scalars()}
