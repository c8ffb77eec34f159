"""A field that a hold keeps from turning blank keeps its value on every path, whatever a person does to the row."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.store.write import decisions, holds
from tests.office import Office, forget_home
from tests.sync.push_bench import person

ROWS = 30

#: How the directory is looked at: by one contact's id, by a listing, or by a pull in front of the push.
PATHS = ("by id", "by a listing", "after a pull")


class Mirror:
    """Thirty contacts; upstream has blanked two columns."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.at = office.clock.now().isoformat()

    def blank_upstream(self) -> None:
        for column in ("company", "email_id"):
            self.office.world.contacts_blank(column)

    def hold(self, decision: str) -> None:
        """A pull holds it, and a person may decide."""
        self.blank_upstream()
        assert self.office.contacts().outcome == "incomplete"
        assert self.office.sql("SELECT rows FROM held WHERE decided_at IS NULL") == [(2 * ROWS,)]
        if decision != "open":
            self.office.write(holds.decide, 1, decision, self.at)

    def edit(self, row: int, **fields: str) -> None:
        names = ", ".join(f"{name} = ?" for name in fields)
        self.office.sql(f"UPDATE telecmi_contacts SET {names} WHERE id = ?", *fields.values(), row)

    def push(self, path: str) -> None:
        """Push twice, looking at the directory in one of the ways."""
        if path == "by a listing":
            self.office.world.settings.change({"telecmi.by_id": "ignored"})
        for _ in range(2):
            if path == "after a pull":
                self.office.contacts()
            self.office.push()

    def kept(self, row: int) -> tuple[str, str]:
        found = self.office.row(row)
        return found["company"], found["email_id"]

    def upstream(self, row: int) -> dict[str, Any]:
        return self.office.directory()[self.office.row(row)["contact_id"]]


Make = Callable[..., Mirror]


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database after the first pull, for all tests of this module."""
    folder = tmp_path_factory.mktemp("held")
    office = _office(folder)
    office.run()
    office.db.pragma(f"VACUUM INTO '{folder / 'pulled.db'}'")
    office.close()
    return folder / "pulled.db"


def _office(folder: Path, **push: Any) -> Office:
    office = Office(folder, only=("telecmi-contacts",), telecmi={"push": {"deletes": True, **push}})
    for n in range(1, ROWS + 1):
        office.world.contact_insert(person(n, company=f"Firm {n}"))
    return office


@pytest.fixture
def make(tmp_path: Path, pulled: Path) -> Iterator[Make]:
    offices: list[Office] = []

    def open_(**push: Any) -> Mirror:
        shutil.copy(pulled, tmp_path / "mirror.db")
        forget_home(tmp_path / "mirror.db")
        offices.append(_office(tmp_path, **push))
        return Mirror(offices[-1])

    yield open_
    for office in offices:
        office.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("decision", ["open", "rejected"])
@pytest.mark.parametrize("edited", [1, ROWS])
def test_an_edit_of_another_field_goes_upstream_and_blanks_nothing(
    make: Make, path: str, decision: str, edited: int
) -> None:
    mirror = make()
    mirror.hold(decision)
    for row in range(1, edited + 1):
        mirror.edit(row, job_title="Seller")
    mirror.push(path)
    assert set(mirror.office.states()) == {"done"}
    for row in range(1, edited + 1):
        assert mirror.kept(row) == (f"Firm {row}", f"asha{row}@example.com")
        assert mirror.upstream(row)["job_title"] == "Seller"
    assert mirror.office.contacts().outcome == ("incomplete" if decision == "open" else "ok")
    assert mirror.kept(1) == ("Firm 1", "asha1@example.com")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("decision", ["open", "rejected"])
def test_a_delete_goes_upstream_and_the_blank_brings_nothing_back(
    make: Make, path: str, decision: str
) -> None:
    mirror = make()
    mirror.hold(decision)
    contact_id = mirror.office.row(1)["contact_id"]
    mirror.office.sql("DELETE FROM telecmi_contacts WHERE id = 1")
    mirror.push(path)
    assert mirror.office.states() == ["done"]
    assert mirror.office.row(1)["deleted_at"]
    assert contact_id not in mirror.office.directory()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("decision", ["open", "rejected"])
def test_an_edit_of_the_kept_field_itself_goes_upstream(make: Make, path: str, decision: str) -> None:
    mirror = make()
    mirror.hold(decision)
    mirror.edit(1, company="New Firm")
    mirror.push(path)
    assert mirror.office.states() == ["done"]
    assert mirror.upstream(1)["company"] == "New Firm"
    assert mirror.kept(1) == ("New Firm", "asha1@example.com")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("decision", ["open", "rejected"])
def test_a_discarded_edit_brings_the_kept_value_back(make: Make, path: str, decision: str) -> None:
    mirror = make()
    mirror.hold(decision)
    mirror.edit(1, company="New Firm")
    mirror.office.write(decisions.discard, 1, mirror.at, "IN")
    mirror.push(path)
    assert mirror.kept(1) == ("Firm 1", "asha1@example.com")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("decision", ["open", "rejected"])
def test_on_conflict_remote_does_not_decide_a_hold(make: Make, path: str, decision: str) -> None:
    mirror = make(on_conflict="remote")
    mirror.hold(decision)
    mirror.edit(1, company="New Firm")
    mirror.push(path)
    assert mirror.kept(1) == ("New Firm", "asha1@example.com")


@pytest.mark.parametrize("path", ["by id", "by a listing"])
@pytest.mark.parametrize("edited", [1, 3, ROWS])
def test_a_lookup_blanks_nothing_that_no_pull_has_counted(make: Make, path: str, edited: int) -> None:
    mirror = make()
    mirror.blank_upstream()
    for row in range(1, edited + 1):
        mirror.edit(row, job_title="Seller")
    mirror.push(path)
    assert set(mirror.office.states()) == {"done"}
    assert mirror.kept(1) == ("Firm 1", "asha1@example.com")
    assert mirror.office.contacts().outcome == "incomplete"
    assert mirror.office.sql("SELECT rows FROM held") == [(2 * ROWS,)]


@pytest.mark.parametrize("path", PATHS)
def test_an_approved_blank_comes_with_the_next_pull_of_an_edited_row_too(make: Make, path: str) -> None:
    mirror = make()
    mirror.hold("open")
    mirror.edit(1, job_title="Seller")
    mirror.push(path)
    mirror.office.write(holds.decide, 1, "approved", mirror.at)
    assert mirror.office.contacts().outcome == "ok"
    assert mirror.kept(1) == (None, None)
    assert mirror.upstream(1)["job_title"] == "Seller"


@pytest.mark.parametrize("on_conflict", ["ask", "local", "remote"])
def test_a_single_blank_is_merged_as_ever_once_a_pull_shows_it(make: Make, on_conflict: str) -> None:
    mirror = make(on_conflict=on_conflict)
    mirror.office.world.contact_update(mirror.office.row(1)["contact_id"], {"company": ""})
    mirror.edit(1, company="New Firm")
    mirror.office.contacts()
    mirror.push("by id")
    expected = {
        "ask": ("conflict", "New Firm", ""),
        "local": ("done", "New Firm", "New Firm"),
        "remote": ("discarded", None, ""),
    }[on_conflict]
    shown = mirror.office.row(1)["company"]
    assert (mirror.office.states()[-1], shown, mirror.upstream(1)["company"]) == expected


@pytest.mark.parametrize("path", PATHS)
def test_a_rejection_that_is_used_up_keeps_nothing_any_more(make: Make, path: str) -> None:
    """Upstream showed the values again: what it blanks later is a new matter, and a conflict with an edit here."""
    mirror = make()
    mirror.hold("rejected")
    for row in range(1, ROWS + 1):
        values = {"company": f"Firm {row}", "email_id": f"asha{row}@example.com"}
        mirror.office.world.contact_update(mirror.office.row(row)["contact_id"], values)
    assert mirror.office.contacts().outcome == "ok"
    mirror.office.world.contact_update(mirror.office.row(1)["contact_id"], {"company": ""})
    mirror.edit(1, company="New Firm")
    mirror.push(path)
    assert mirror.office.states() == ["conflict"]
    assert not mirror.upstream(1)["company"]
