"""For any file and any edits of others: a second import changes nothing, and undo gives back what nobody else changed."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.core.import_rows import Candidate
from syncer.core.model import FIELDS, Fields
from syncer.store.db.connection import Database
from syncer.store.read import import_queries
from syncer.store.write.imports import Batch
from syncer.sync.importing import Importer
from syncer.sync.undoing import Undoing
from tests.imports.conftest import CONTACTS
from tests.office import MEMORY

STAMP = "2026-11-21T09:30:00.000Z"

WORD = st.sampled_from(["", "Asha", "Example", "Acme", "ACME", "New One", "Other"])
NUMBER = st.sampled_from(
    [*(f"92000 0000{n}" for n in range(1, 7)), "9200000050", "9200000051", "98xxxxxx03", ""]
)
ROW = st.builds(Fields, NUMBER, WORD, WORD, WORD, WORD, WORD)
#: Somebody else's edit: a contact, a field, a value; without a field it is deleted.
EDIT = st.tuples(st.integers(1, 12), st.sampled_from([None, *FIELDS[1:]]), WORD)


@contextmanager
def copied(made: Path) -> Iterator[Database]:
    """The mirror of conftest.py, once more."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder) / "mirror.db"
        shutil.copyfile(made / "mirror.db", path)
        with Database(path, create=False) as db:
            yield db


def contacts(db: Database) -> dict[int, tuple[Any, ...]]:
    query = f"SELECT id, deleted_at IS NULL, {', '.join(FIELDS)} FROM telecmi_contacts"
    with db.read() as conn:
        return {row[0]: tuple(value or "" for value in row[1:]) for row in conn.exec_driver_sql(query)}


def imported(db: Database, rows: list[Fields]) -> Batch:
    batch = Batch("people.csv", "csv", "cli", STAMP)
    candidates = [Candidate(n, fields, account="main") for n, fields in enumerate(rows, start=2)]
    for _ in Importer(db, candidates, {"main": "IN"}, lambda: STAMP).apply(batch):
        pass
    return batch


def undone(db: Database, batch: int) -> None:
    with db.read() as conn:
        spans = import_queries.spans(conn, batch)
    for _ in Undoing(db, spans, lambda _: "IN").apply(batch, lambda: STAMP):
        pass


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, max_size=8), others=st.lists(EDIT, max_size=4))
def test_a_second_import_changes_nothing_and_undo_gives_everything_back(
    made: Path, rows: list[Fields], others: list[tuple[int, str | None, str]]
) -> None:
    with copied(made) as db:
        before = contacts(db)
        batch = imported(db, rows)
        after = contacts(db)
        assert imported(db, rows).id is None and contacts(db) == after

        with closing(sqlite3.connect(db.path, isolation_level=None)) as conn:
            for row, field, value in others:
                if field is None:
                    conn.execute("DELETE FROM telecmi_contacts WHERE id = ?", (row,))
                else:
                    conn.execute(f"UPDATE telecmi_contacts SET {field} = ? WHERE id = ?", (value, row))
        edited = contacts(db)
        if batch.id is None:
            assert after == before
            return
        undone(db, batch.id)
        final = contacts(db)
        undone(db, batch.id)  # as after a kill: what was taken back stays so
        assert contacts(db) == final

    for row, values in final.items():
        # A word in other capitals is another spelling of it, no edit of somebody.
        touched = {
            n for n, (mine, theirs) in enumerate(zip(after[row], edited[row], strict=True)) if mine != theirs
        }
        if row not in before:
            respelled = all(str(after[row][n]).casefold() == str(edited[row][n]).casefold() for n in touched)
            assert values[0] == "" or not respelled or _edited_and_back(row, others)
            continue
        assert row in CONTACTS
        if 0 in touched:
            assert values == edited[row]  # deleted since: it is left alone
            continue
        for n, value in enumerate(values):
            if n not in touched:
                assert value == before[row][n]


def _edited_and_back(row: int, others: list[tuple[int, str | None, str]]) -> bool:
    """Whether an edit of the added contact was taken back by another one: it was edited, all the same."""
    return sum(one == row for one, _, _ in others) > 1
