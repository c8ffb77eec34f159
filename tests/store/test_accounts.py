"""An account with a new name: nothing of it is lost, nothing is doubled, and an edit for no account is refused."""

from __future__ import annotations

import pytest

from syncer.errors import UsageError
from syncer.store.db import integrity
from syncer.store.db.read_only import raw
from syncer.store.db.tables import metadata
from syncer.store.write import accounts
from tests.store.conftest import BEFORE, MakeMirror, Mirror

LATER = "2026-11-29T10:00:00.000Z"


@pytest.fixture
def mirror(make_mirror: MakeMirror) -> Mirror:
    """Account `office` that the config calls `chennai` now, and both have jobs."""
    made = make_mirror(("office", True, True), ("chennai", True, True))
    for name in ("office", "chennai"):
        job(made, name, "telecmi-contacts")
    return made


def job(mirror: Mirror, account: str, name: str) -> None:
    provider = name.partition("-")[0]
    mirror.insert("sync_jobs", job=name, account=account, provider=provider, every_s=900)


def forget_office(mirror: Mirror) -> None:
    mirror.accounts(("chennai", True, True))


def rename(mirror: Mirror, provider: str = "telecmi") -> dict[str, int]:
    forget_office(mirror)
    done = mirror.write(accounts.rename, provider, "office", "chennai", LATER)
    assert integrity.integrity_problems(mirror.db) == []
    assert mirror.one("SELECT count(*) FROM telecmi_contacts WHERE account = 'office'") == 0
    return done


def test_every_table_with_an_account_is_renamed(mirror: Mirror) -> None:
    """Including tables that are added later."""
    tables = {name for name, table in metadata.tables.items() if "account" in table.columns}
    covered = {
        *accounts._tables("telecmi"),
        *accounts._tables("smartflo"),
        *accounts._TABLES_OF_JOBS,
        "reported",
    }
    assert covered == tables


def test_renaming_grows_with_the_number_of_contacts_only(make_mirror: MakeMirror) -> None:
    work = []
    for count in (100, 200):
        mirror = make_mirror(("office", True, True), ("chennai", True, True))
        for account in ("office", "chennai"):
            mirror.own(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                "INSERT INTO telecmi_contacts (account, phone_no, phone_e164) "
                "SELECT ?, 919200000000 + i, '+' || (919200000000 + i) FROM n",
                count, account,
            )  # fmt: skip
        mirror.own(
            "INSERT INTO contact_base (row_id, account, source, phone_no, phone_e164) "
            "SELECT id, account, 'user_list', phone_no, phone_e164 FROM telecmi_contacts"
        )
        steps = [0]

        def step(steps: list[int] = steps) -> None:
            steps[0] += 1

        with mirror.db.read() as conn:
            raw(conn).set_progress_handler(step, 100)
        assert rename(mirror)["merged"] == count
        work.append(steps[0])
    assert work[1] < 2.5 * work[0], work


def test_all_rows_get_the_new_name(mirror: Mirror) -> None:
    row = mirror.contact(account="office")
    mirror.sql("UPDATE telecmi_contacts SET company = 'Acme Example'")
    mirror.insert("sync_runs", job="telecmi-push", account="office", started_at=BEFORE)
    mirror.own("INSERT INTO windows VALUES ('office', 'telecmi_voicemails', 1, 2, 3, 4)")
    mirror.own("INSERT INTO reported VALUES ('conflict', 1, 'telecmi.office', ?)", BEFORE)
    job(mirror, "office", "smartflo-contacts")
    assert rename(mirror)["telecmi_contacts"] == 1
    assert mirror.queue() == [(row, "update", "queued")]
    for table, account in (
        ("change_queue", "chennai"),
        ("contact_base", "chennai"),
        ("sync_runs", "chennai"),
        ("windows", "chennai"),
        ("reported", "telecmi.chennai"),
    ):
        assert mirror.sql(f"SELECT account FROM {table}") == [(account,)]
    assert mirror.sql("SELECT job, account FROM sync_jobs ORDER BY 1") == [
        ("smartflo-contacts", "office"),  # another vendor's account of the same name
        ("telecmi-contacts", "chennai"),
    ]


EDITED = {
    "neither": ("", "", "office"),
    "the old one was edited": (
        "UPDATE telecmi_contacts SET company = 'Old Example' WHERE id = {old}",
        "",
        "office",
    ),
    "the new one was edited": (
        "",
        "UPDATE telecmi_contacts SET company = 'New Example' WHERE id = {new}",
        "chennai",
    ),
    "the old one was deleted": ("DELETE FROM telecmi_contacts WHERE id = {old}", "", "office"),
    "the new one was deleted": ("", "DELETE FROM telecmi_contacts WHERE id = {new}", "chennai"),
}


@pytest.mark.parametrize("how", EDITED)
def test_a_contact_that_both_have_becomes_one_with_the_edit(mirror: Mirror, how: str) -> None:
    old, new = mirror.contact(account="office"), mirror.contact(account="chennai")
    settled = mirror.change(new, "update", "done", account="chennai", settled_at=BEFORE)
    *edits, kept = EDITED[how]
    for statement in filter(None, edits):
        mirror.sql(statement.format(old=old, new=new))
    before = {old: mirror.row(old), new: mirror.row(new)}
    stays = old if kept == "office" else new
    assert rename(mirror)["merged"] == 1
    assert mirror.sql("SELECT id FROM telecmi_contacts") == [(stays,)]
    assert mirror.row(stays) == before[stays] | {"account": "chennai"}
    assert mirror.sql("SELECT row_id, account FROM contact_base") == [(stays, "chennai")]
    assert mirror.one("SELECT contact_row FROM change_queue WHERE id = ?", settled) == stays
    waiting = mirror.sql("SELECT contact_row, state FROM change_queue WHERE id <> ?", settled)
    assert waiting == ([] if how == "neither" else [(stays, "queued")])
    gone = new if stays == old else old
    assert mirror.log()[-1] == (gone, "delete", None, None, None, "local")


def test_edits_under_both_names_are_left_to_a_person(mirror: Mirror) -> None:
    old, new = mirror.contact(account="office"), mirror.contact(account="chennai")
    mirror.sql("UPDATE telecmi_contacts SET company = 'Acme Example'")
    forget_office(mirror)
    before = mirror.everything()
    with (
        pytest.raises(UsageError, match=rf"rows {old} and {new}.*--account telecmi\.chennai"),
        mirror.db.write() as conn,
    ):
        accounts.rename(conn, "telecmi", "office", "chennai", LATER)
    assert mirror.everything() == before


def test_a_living_contact_stays_before_a_tombstone_of_upstream_s(mirror: Mirror) -> None:
    mirror.contact(account="office", deleted_at=BEFORE, source="gone")
    new = mirror.contact(account="chennai")
    rename(mirror)
    assert mirror.sql("SELECT id, deleted_at FROM telecmi_contacts") == [(new, None)]


@pytest.mark.parametrize("listed", ["both", "old", "new"])
def test_a_contact_of_the_users_list_is_not_doubled(mirror: Mirror, listed: str) -> None:
    of_list = {"contact_id": None, "source": "user_list"}
    old = mirror.contact(account="office", **(of_list if listed in ("both", "old") else {}))  # type: ignore[arg-type]
    mirror.contact(account="chennai", **(of_list if listed in ("both", "new") else {}))  # type: ignore[arg-type]
    rename(mirror)
    assert mirror.sql("SELECT id FROM telecmi_contacts") == [(old,)]


def test_a_contact_that_upstream_never_had_is_still_added(mirror: Mirror) -> None:
    mirror.sql(
        "INSERT INTO telecmi_contacts (account, phone_no, first_name) VALUES ('office', '919200000009', 'Mira')"
    )
    mirror.contact(account="chennai")
    assert rename(mirror)["merged"] == 0
    assert mirror.queue() == [(1, "add", "queued")]


def test_what_only_mirrors_is_there_once(mirror: Mirror) -> None:
    for name in ("office", "chennai"):
        for job_name in ("telecmi-voicemails", "telecmi-user-contacts"):
            job(mirror, name, job_name)
        mirror.own("INSERT INTO telecmi_voicemails (account, voicename) VALUES (?, 'one.wav')", name)
        user = mirror.insert("telecmi_user_contacts", account=name, mobile="919200000001")
        for text in ("the same", name):
            mirror.insert("telecmi_notes", account=name, contact_row=user, msg=text, first_seen_at=BEFORE)
        mirror.own("INSERT INTO windows VALUES (?, 'telecmi_voicemails', 1, 2, 3, 4)", name)
        mirror.insert("held", job="telecmi-contacts", account=name, reason="x", rows=1, created_at=BEFORE)
    mirror.own("INSERT INTO telecmi_voicemails (account, voicename) VALUES ('office', 'two.wav')")
    rename(mirror)
    assert mirror.sql("SELECT account, voicename FROM telecmi_voicemails ORDER BY 2") == [
        ("chennai", "one.wav"),
        ("chennai", "two.wav"),
    ]
    assert mirror.sql("SELECT id, account FROM telecmi_user_contacts") == [(1, "chennai")]
    notes = mirror.sql("SELECT contact_row, account, msg FROM telecmi_notes ORDER BY 3")
    assert notes == [(1, "chennai", text) for text in ("chennai", "office", "the same")]
    assert mirror.one("SELECT count(*) FROM windows") == 1
    assert mirror.sql("SELECT decision FROM held ORDER BY id") == [(None,), ("superseded",)]


def test_smartflo_s_rows_get_the_new_name_and_are_there_once(mirror: Mirror) -> None:
    for name in ("office", "chennai"):
        job(mirror, name, "smartflo-contacts")
        mirror.own("INSERT INTO smartflo_contacts (account, smartflo_id) VALUES (?, '7')", name)
    mirror.own("UPDATE smartflo_contacts SET deleted_at = ? WHERE account = 'office'", BEFORE)
    mirror.contact(account="other")
    assert rename(mirror, "smartflo")["merged"] == 1
    assert mirror.sql("SELECT id, account, deleted_at FROM smartflo_contacts") == [(2, "chennai", None)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE telecmi_contacts SET company = 'Acme Example' WHERE id = 1",
        "UPDATE telecmi_contacts SET deleted_at = NULL WHERE id = 2",
        "DELETE FROM telecmi_contacts WHERE id = 1",
    ],
)
@pytest.mark.parametrize("own_column", [False, True])
def test_an_edit_of_an_account_that_the_config_does_not_have_is_refused(
    mirror: Mirror, statement: str, own_column: bool
) -> None:
    mirror.contact(account="office")
    mirror.contact("919200000002", account="office", contact_id="c-2", deleted_at=BEFORE)
    if own_column:
        mirror.sql("ALTER TABLE telecmi_contacts ADD COLUMN note TEXT")
    forget_office(mirror)
    told = mirror.refused(statement)
    assert told.startswith("telecmi_contacts.account: the config has no account of this name")
    assert "`syncer db rename-account`" in told


def test_an_account_without_a_section_is_named_with_what_it_has(mirror: Mirror) -> None:
    mirror.contact(account="office")
    mirror.sql("UPDATE telecmi_contacts SET company = 'Acme Example'")
    with mirror.db.read() as conn:
        assert accounts.strays(conn, {"telecmi.office", "telecmi.chennai"}) == []
        [stray] = accounts.strays(conn, {"telecmi.chennai"})
    assert str(stray) == (
        "telecmi.office is not in the config, and the database has 1 contact, 1 open change of it; its changes are never sent"
    )
    assert "`syncer db rename-account telecmi.office NEW`" in stray.advice


def test_recordings_stay_with_their_voicemail_and_one_of_two_is_removed(mirror: Mirror) -> None:
    for row, account, name, state, path in (
        (1, "office", "a.mp3", "kept", "office/2026-11/a-1.mp3"),  # both have it
        (2, "chennai", "a.mp3", "kept", "chennai/2026-11/a-2.mp3"),
        (3, "office", "b.mp3", "gone", None),  # only the new one has it
        (4, "chennai", "b.mp3", "kept", "chennai/2026-11/b-4.mp3"),
        (5, "office", "c.mp3", "kept", "office/2026-11/c-5.mp3"),
        (6, "chennai", "c.mp3", "waiting", None),
        (7, "office", "d.mp3", None, None),
        (8, "chennai", "d.mp3", "waiting", None),
    ):
        mirror.insert("telecmi_voicemails", id=row, account=account, voicename=name)
        if state:
            insert = (
                "INSERT INTO voicemail_audio (voicemail, state, path, bytes, sha256) VALUES (?, ?, ?, 1, 'x')"
            )
            mirror.own(insert, row, state, path)
    forget_office(mirror)
    removed: list[str] = []
    mirror.write(accounts.rename, "telecmi", "office", "chennai", LATER, removed.extend)
    assert integrity.integrity_problems(mirror.db) == []
    assert removed == ["chennai/2026-11/a-2.mp3"]
    assert mirror.sql("SELECT voicemail, state, path FROM voicemail_audio ORDER BY 1") == [
        (1, "kept", "office/2026-11/a-1.mp3"),
        (3, "kept", "chennai/2026-11/b-4.mp3"),
        (5, "kept", "office/2026-11/c-5.mp3"),
        (7, "waiting", None),
    ]
