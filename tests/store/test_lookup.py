"""What a PBX and phones ask of the mirror: the same names as the views, and every contact once."""

from __future__ import annotations

from syncer.store.read import callers, lookup_queries
from tests.store.conftest import Mirror
from tests.store.test_views import PHONE, flo, listed

NUMBER = f"+{PHONE}"


def test_the_sources_have_the_order_of_the_view_callbacks(mirror: Mirror) -> None:
    mirror.insert("callback_marks", phone_e164=NUMBER, marked_at="2026-11-20T08:00:00.000Z")
    mirror.own(
        f"INSERT INTO telecmi_voicemails (account, voicename, phone_e164, received_at) VALUES ('main', 'v', '{NUMBER}', "
        "'2026-11-21T08:00:00.000Z')"
    )
    rows = [flo(mirror), flo(mirror), listed(mirror), mirror.contact(company="Acme")]
    unnamed = mirror.contact(contact_id="c-2", first_name="", last_name="")
    tables = ("smartflo_contacts", "smartflo_contacts", "telecmi_user_contacts", "telecmi_contacts")
    seen = []
    while True:
        with mirror.db.read() as conn:
            found = lookup_queries.find(conn, NUMBER)
            first = callers.named(callers.sources(conn, NUMBER))
        shown = mirror.sql(f"SELECT caller_name, caller_company FROM callbacks WHERE phone_e164 = '{NUMBER}'")
        assert shown == [(found.name, found.company) if found else (None, None)]
        if first is None:
            break
        seen.append((first.table, first.row))
        mirror.own(f"UPDATE {first.table} SET deleted_at = '2026-11-22T08:00:00.000Z' WHERE id = {first.row}")
    assert seen == [
        (tables[3], rows[3]), (tables[2], rows[2]), (tables[0], rows[0]), (tables[1], rows[1])
    ]  # fmt: skip
    found = mirror.read(lookup_queries.find, NUMBER)
    assert found is not None and (found.name, found.provider, found.table) == (
        None,
        "telecmi",
        "telecmi_contacts",
    )
    mirror.own(f"UPDATE telecmi_contacts SET deleted_at = '2026-11-22T08:00:00.000Z' WHERE id = {unnamed}")
    assert mirror.read(lookup_queries.find, NUMBER) is None


def test_every_row_of_the_view_comes_once_and_by_name(mirror: Mirror) -> None:
    for n in range(70):
        mirror.contact(f"9192000{n:05d}", contact_id=f"c-{n}", first_name="Asha", last_name=f"{n:03d}")
        flo(mirror, phone_e164=f"+9193000{n:05d}", name=f"asha {n:03d} flo")
    listed(mirror, mobile="9194000000000", name=None)
    with mirror.db.read() as conn:
        keys = lookup_queries.contact_keys(conn)
        found = [
            row
            for at in range(0, len(keys), lookup_queries.CHUNK)
            for row in lookup_queries.load_contacts(conn, keys[at : at + lookup_queries.CHUNK])
        ]
        assert lookup_queries.contact_keys(conn, 140, 5) == keys[140:]
        assert lookup_queries.contact_keys(conn, 3, 2) == keys[3:5]
    assert found == mirror.sql(
        "SELECT name, phone_e164, email, company FROM contacts ORDER BY name COLLATE NOCASE"
    )
    assert [row[0] for row in found[:4]] == [None, "Asha 000", "asha 000 flo", "Asha 001"]


def test_a_row_that_went_between_two_chunks_is_left_out(mirror: Mirror) -> None:
    mirror.contact()
    gone = mirror.contact("919200000002", contact_id="c-2")
    with mirror.db.read() as conn:
        keys = lookup_queries.contact_keys(conn)
    mirror.own(f"UPDATE telecmi_contacts SET deleted_at = '2026-11-22T08:00:00.000Z' WHERE id = {gone}")
    with mirror.db.read() as conn:
        assert [row[1] for row in lookup_queries.load_contacts(conn, keys)] == [f"+{PHONE}"]
