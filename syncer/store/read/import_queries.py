"""What an import looks up: the contacts that its rows may mean, and earlier imports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from syncer.core.import_plan import Holder, Matches, RowKey
from syncer.core.import_rows import written_number
from syncer.core.model import FIELDS, Fields
from syncer.core.normalise import to_e164
from syncer.store.db.columns import COLUMNS, OPEN_STATES
from syncer.store.db.read_only import AreForgotten, Reader, Record, placeholders, record, records, tuples
from syncer.store.read.feed import last_seq

_SIX = ", ".join(FIELDS)

_UNREAD = "SELECT id, account, phone_no FROM telecmi_contacts WHERE phone_e164 IS NULL AND deleted_at IS NULL"


class ContactLookup:
    """Finds the contacts that rows of a file may mean, a block of rows at a time.

    Contacts without `phone_e164` are read once, at the start: there are few, and no index finds them.
    """

    def __init__(self, conn: Reader, regions: Mapping[str, str], forgotten: AreForgotten) -> None:
        self._regions = regions
        self._forgotten = forgotten
        self._unread: dict[RowKey, list[int]] = {}
        self._seq = last_seq(conn)
        self._read(tuples(conn, f"{_UNREAD} AND account IN ({placeholders(regions)}) ORDER BY id", *regions))

    def _read(self, rows: Iterable[tuple[int, str, str | None]]) -> None:
        for row_id, account, phone in rows:
            if account in self._regions:
                written = written_number(phone)
                e164 = to_e164(written, self._regions[account])
                self._unread.setdefault(RowKey(account, e164, "" if e164 else written), []).append(row_id)

    def _read_typed(self, conn: Reader) -> None:
        """Read the numbers that were typed since the last call."""
        query = (
            "SELECT DISTINCT row_id FROM change_log WHERE seq > ? AND table_name = 'telecmi_contacts' "
            "AND origin = 'local' AND (kind = 'insert' OR field = 'phone_no')"
        )
        typed = [row_id for (row_id,) in tuples(conn, query, self._seq)]
        self._seq = last_seq(conn)
        self._read(tuples(conn, f"{_UNREAD} AND id IN ({placeholders(typed)})", *typed))

    def find(self, conn: Reader, wanted: Collection[RowKey]) -> dict[RowKey, Matches]:
        """The matches of each key."""
        self._read_typed(conn)
        live: dict[RowKey, list[Holder]] = {}
        gone: dict[RowKey, int] = {}
        numbers = {key.e164 for key in wanted if key.e164}
        query = (
            f"SELECT id, account, deleted_at, phone_e164, {_SIX} FROM telecmi_contacts WHERE phone_e164 IN "
        )
        for row_id, account, deleted_at, e164, *six in tuples(
            conn, f"{query}({placeholders(numbers)})", *numbers
        ):
            key = RowKey(account, e164, "")
            if deleted_at is None:
                live.setdefault(key, []).append(_holder(row_id, six))
            else:
                gone[key] = row_id
        unread = {row_id: key for key in wanted for row_id in self._unread.get(key, ())}
        query = f"SELECT id, {_SIX} FROM telecmi_contacts WHERE deleted_at IS NULL AND phone_e164 IS NULL AND id IN "
        for row_id, *six in tuples(conn, f"{query}({placeholders(unread)})", *unread):
            live.setdefault(unread[row_id], []).append(_holder(row_id, six))
        pending, forgotten = self._pending_deletes(conn, gone), self._forgotten(conn, numbers)
        return {
            key: Matches(
                sorted(live.get(key, ())),
                pending.get(key),
                key.e164 in forgotten,
            )
            for key in wanted
        }

    def _pending_deletes(self, conn: Reader, gone: Mapping[RowKey, int]) -> dict[RowKey, int]:
        """The tombstones whose delete is not upstream yet."""
        rows = list(gone.values())
        query = (
            f"SELECT DISTINCT contact_row FROM change_queue WHERE operation = 'delete' "
            f"AND state IN ({OPEN_STATES}) AND contact_row IN ({placeholders(rows)})"
        )
        waiting = {row for (row,) in tuples(conn, query, *rows)}
        return {key: row for key, row in gone.items() if row in waiting}


def _holder(row_id: int, six: list[str | None]) -> Holder:
    return Holder(row_id, Fields(*("" if value is None else value for value in six)))


#: Quoted, because `by` is a keyword.
_BATCHES = "SELECT " + ", ".join(f'"{name}"' for name in COLUMNS["import_batches"]) + " FROM import_batches"


def list_batches(conn: Reader) -> list[Record]:
    """All imports, newest first."""
    return records(conn, f"{_BATCHES} ORDER BY id DESC")


def load_batch(conn: Reader, batch: int) -> Record | None:
    """One import."""
    return record(conn, f"{_BATCHES} WHERE id = ?", batch)


def spans(conn: Reader, batch: int) -> list[tuple[int, int]]:
    """The parts of `change_log` that an import wrote: first and last `seq` of each."""
    query = "SELECT first_seq, last_seq FROM import_spans WHERE batch = ? ORDER BY first_seq"
    return [(int(begin), int(end)) for begin, end in tuples(conn, query, batch)]
