"""`contacts edit` of several contacts: a plan first, and one batch."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Syncer


def companies(syncer: Syncer) -> dict[int, str | None]:
    return dict(syncer.sql("SELECT id, company FROM telecmi_contacts ORDER BY id"))


def test_several_contacts_are_shown_first_and_changed_with_apply(syncer: Syncer) -> None:
    before = companies(syncer)
    args = ["contacts", "edit", "1", "+919200000002", "id:1", "6", "--company", "Acme Example"]
    shown = syncer.ok(*args).out
    assert "contact 1      Asha Example: has these values already" in shown
    assert "contact 2      Ravi Kumar Example: company '' -> 'Acme Example'" in shown
    assert "2 of 3 contacts would change. Nothing was changed" in shown and companies(syncer) == before
    assert "Batch 1: 2 contacts changed" in syncer.ok(*args, "--apply").out
    assert companies(syncer) == before | {2: "Acme Example", 6: "Acme Example"}
    states = syncer.sql("SELECT contact_row, state FROM change_queue WHERE operation = 'update' ORDER BY 1")
    assert states == [(2, "queued"), (6, "queued")]
    assert "3 contacts: there is nothing to change." in syncer.ok(*args, "--apply").out
    assert "edit" in syncer.ok("contacts", "imports").out
    assert (
        'company: (empty) -> "Acme Example", by an edit of several, batch 1 (cli)'
        in syncer.ok("why", "2").out
    )
    syncer.ok("contacts", "undo", "1")
    assert companies(syncer) == before


def test_contacts_are_found_by_search(syncer: Syncer) -> None:
    shown = syncer.ok("contacts", "edit", "--search", "9200000006", "--company", "Acme Example").out
    assert "2 of 2 contacts would change" in shown
    before = companies(syncer)
    args = ("contacts", "edit", "--search", "asha", "--company", "One Example")
    one = syncer.ok(*args).out
    assert "1 of 1 contact would change. Nothing was changed" in one and companies(syncer) == before
    assert "Batch 1: 1 contact changed" in syncer.ok(*args, "--apply").out
    assert companies(syncer) == before | {1: "One Example"}


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--company", "x"], 2, "name the contacts to edit, or find them with --search"),
        (["1", "--search", "x", "--company", "x"], 2, "name the contacts to edit"),
        (["1", "2", "--phone", "9200000099"], 2, "--phone is for one contact"),
        (["1", "2"], 2, "nothing to change was given"),
        (["1", "2", "--last-name", ""], 1, "upstream takes no contact without --last-name"),
        (["1", "4", "--company", "x"], 1, "contact row 4 is deleted locally"),
        (["1", "99", "--company", "x"], 1, "no contact has this phone number"),
        (["--search", " ", "--company", "x"], 2, "--search is empty"),
        (["--search", "nobody", "--company", "x"], 1, "no contact in the mirror matches"),
    ],
)
def test_what_cannot_be_done_is_refused(reading: Syncer, args: list[str], code: int, said: str) -> None:
    done = reading("contacts", "edit", *args, "--apply")
    assert done.code == code and said in done.err and done.out == ""
