"""Ids that an older version stored in another writing are found again, as one row, without a word in the log."""

from __future__ import annotations

import pytest

from syncer.store.write import canonical_ids
from tests.store.conftest import BEFORE, Mirror

UUID = "550e8400-e29b-41d4-a716-446655440000"
TABLES = {
    "telecmi_user_contacts": "mobile",
    "smartflo_contacts": "smartflo_id",
    "smartflo_contact_groups": "group_id",
}


def insert(mirror: Mirror, table: str, written: str, deleted_at: str | None = None) -> int:
    return mirror.own(
        f"INSERT INTO {table} (account, {TABLES[table]}, deleted_at, raw) VALUES ('main', ?, ?, '{{}}')",
        written,
        deleted_at,
    )


def stored(mirror: Mirror, table: str) -> list[tuple[object, ...]]:
    key = TABLES.get(table, "contact_id")
    return mirror.sql(f"SELECT id, {key}, deleted_at IS NULL FROM {table} ORDER BY id")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1.0", "1"),
        ("+1", "1"),
        (" 1", "1"),
        (UUID.upper(), UUID),
        (f"{{{UUID}}}", UUID),
        ("01", "01"),
        ("A-1", "A-1"),
    ],
)
@pytest.mark.parametrize("deleted_at", [None, BEFORE])
def test_a_stored_id_gets_its_canonical_form(
    mirror: Mirror, table: str, written: str, canonical: str, deleted_at: str | None
) -> None:
    row = insert(mirror, table, written, deleted_at)
    assert canonical_ids.make_canonical(mirror.db) == (written != canonical)
    assert stored(mirror, table) == [(row, canonical, deleted_at is None)]
    assert mirror.log() == [] and canonical_ids.make_canonical(mirror.db) == 0


def test_a_contact_keeps_its_base_its_changes_and_its_edits(mirror: Mirror) -> None:
    row = mirror.contact(contact_id=UUID.upper())
    mirror.sql("UPDATE telecmi_contacts SET company = 'Acme Example'")
    size = len(mirror.log())
    assert canonical_ids.make_canonical(mirror.db) == 1
    assert stored(mirror, "telecmi_contacts") == [(row, UUID, 1)]
    assert mirror.one("SELECT contact_id FROM contact_base") == UUID
    assert mirror.queue() == [(row, "update", "queued")] and len(mirror.log()) == size
    assert mirror.row(row)["company"] == "Acme Example"


@pytest.mark.parametrize("table", TABLES)
def test_of_two_rows_with_one_id_the_canonical_one_stays(mirror: Mirror, table: str) -> None:
    other, canonical, older = (
        insert(mirror, table, "1.0"),
        insert(mirror, table, "1"),
        insert(mirror, table, "+1", BEFORE),
    )
    assert canonical_ids.make_canonical(mirror.db) == 1
    assert stored(mirror, table) == [(other, "1.0", 0), (canonical, "1", 1), (older, "+1", 0)]
    assert [(row, kind) for row, kind, *_ in mirror.log()] == [(other, "delete")]
    assert canonical_ids.make_canonical(mirror.db) == 0


@pytest.mark.parametrize("edited", [False, True])
def test_of_two_contacts_with_one_id_an_edited_one_waits(mirror: Mirror, edited: bool) -> None:
    other = mirror.contact("919200000001", contact_id=f"{{{UUID}}}")
    canonical = mirror.contact("919200000002", contact_id=UUID)
    if edited:
        mirror.sql("UPDATE telecmi_contacts SET company = 'Acme Example' WHERE id = ?", other)
    assert canonical_ids.make_canonical(mirror.db) == (not edited)
    assert stored(mirror, "telecmi_contacts") == [(other, f"{{{UUID}}}", int(edited)), (canonical, UUID, 1)]
    assert mirror.queue() == ([(other, "update", "queued")] if edited else [])


def test_the_accounts_are_apart(mirror: Mirror) -> None:
    mirror.own("INSERT INTO smartflo_contacts (account, smartflo_id) VALUES ('main', '1.0'), ('other', '1')")
    assert canonical_ids.make_canonical(mirror.db) == 1
    assert mirror.sql("SELECT smartflo_id, deleted_at FROM smartflo_contacts") == [("1", None), ("1", None)]


def test_it_is_read_off_an_index(mirror: Mirror) -> None:
    """It is looked for at each start, also among a million rows."""
    for table, key in canonical_ids.KEYS.items():
        ((*_, plan),) = mirror.sql("EXPLAIN QUERY PLAN " + canonical_ids.SUSPECT.format(table=table, key=key))
        assert "COVERING INDEX" in plan, table
