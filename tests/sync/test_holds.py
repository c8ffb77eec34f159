"""What a listing would take away, and who has to be asked: tombstones, limits, holds and decisions."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncer.store.write import holds
from syncer.sync import jobs
from syncer.sync.run import Run
from tests.office import Office, forget_home
from tests.sync.conftest import MakeOffice

ROWS = 60
MANY = 120


@dataclass(frozen=True)
class Kind:
    """One mirrored list, and what somebody upstream can do to it."""

    job: str
    table: str
    key: str
    column: str  #: a column that may turn blank
    add: Callable[[Office, int], Any]
    take: Callable[[Office, Any], None]
    blank: Callable[[Office, Any], None]
    change: Callable[[Office, Any], None]


def _add_directory(office: Office, n: int) -> str:
    name = {"first_name": "Asha", "last_name": f"Rao {n}"}
    return office.world.contact_insert({"phone_no": f"91920000{n:04d}", **name, "company": f"Firm {n}"})


def _add_user(office: Office, n: int) -> str:
    office.world.user_contact_upsert(
        f"930000{n:04d}", {"name": f"Ravi Iyer {n}", "email": f"r{n}@example.com"}
    )
    return f"930000{n:04d}"


def _add_flo(office: Office, n: int) -> int:
    return office.world.smartflo_upsert(
        n + 1, {"phone_number": f"+91940000{n:04d}", "name": f"Meera Nair {n}", "company_name": f"Firm {n}"}
    )


KINDS = {
    "v3": Kind(
        "telecmi-contacts",
        "telecmi_contacts",
        "contact_id",
        "company",
        _add_directory,
        lambda o, key: o.world.contact_delete(key),
        lambda o, key: o.world.contact_update(key, {"company": ""}),
        lambda o, key: o.world.contact_update(key, {"job_title": "Buyer"}),
    ),
    "v2": Kind(
        "telecmi-user-contacts",
        "telecmi_user_contacts",
        "mobile",
        "name",
        _add_user,
        lambda o, key: o.world.user_contact_delete(key),
        lambda o, key: o.world.user_contact_upsert(key, {"name": ""}),
        lambda o, key: o.world.user_contact_upsert(key, {"tag": "vip"}),
    ),
    "smartflo": Kind(
        "smartflo-contacts",
        "smartflo_contacts",
        "smartflo_id",
        "name",
        _add_flo,
        lambda o, key: o.world.smartflo_delete(key, hard=True),
        lambda o, key: o.world.smartflo_upsert(key, {"name": ""}),
        lambda o, key: o.world.smartflo_upsert(key, {"address": "1 Example Road"}),
    ),
    "groups": Kind(
        "smartflo-contacts",
        "smartflo_contact_groups",
        "group_id",
        "description",
        lambda o, n: o.world.group_upsert(n + 1, {"description": f"Group number {n}"}),
        lambda o, key: o.world.smartflo.groups.pop(key) and None,
        lambda o, key: o.world.group_upsert(key, {"description": ""}) and None,
        lambda o, key: o.world.group_upsert(key, {"name": "Renamed"}) and None,
    ),
}


class Bench:
    """An office with one list of many rows, pulled once."""

    def __init__(self, office: Office, kind: Kind, keys: list[Any]) -> None:
        self.office = office
        self.kind = kind
        self.keys = keys
        self.number = {key: n for n, key in enumerate(keys)}
        self.taken: dict[str, Any] = {}  #: contacts of the directory that were removed

    def pull(self, *, full: bool = True) -> Run:
        return self.office.run(full=full)[0]

    def living(self) -> int:
        return int(self.office.one(f"SELECT count(*) FROM {self.kind.table} WHERE deleted_at IS NULL"))

    def lives(self, key: Any) -> bool:
        query = f"SELECT deleted_at IS NULL FROM {self.kind.table} WHERE {self.kind.key} = ?"
        return bool(self.office.one(query, str(key)))

    def gone(self) -> set[str]:
        """The keys of the tombstones."""
        query = f"SELECT {self.kind.key} FROM {self.kind.table} WHERE deleted_at IS NOT NULL"
        return {str(key) for (key,) in self.office.sql(query)}

    def take(self, count: int) -> list[Any]:
        """Somebody upstream removes the last `count` rows."""
        gone, self.keys = self.keys[len(self.keys) - count :], self.keys[: len(self.keys) - count]
        self.taken |= self.office.world.org().contacts
        for key in gone:
            self.kind.take(self.office, key)
        return gone

    def bring_back(self, keys: list[Any]) -> None:
        """Somebody upstream adds the rows of these keys again. The directory gives no id out twice."""
        for key in keys:
            if self.kind is KINDS["v3"]:
                self.office.world.org().contacts[key] = self.taken[key]
            else:
                self.kind.add(self.office, self.number[key])

    def fill(self, key: Any) -> None:
        if self.kind is KINDS["v3"]:
            self.office.world.contact_update(key, {"company": f"Firm {self.number[key]}"})
        else:
            self.kind.add(self.office, self.number[key])

    def blank(self, keys: list[Any]) -> None:
        for key in keys:
            self.kind.blank(self.office, key)

    def blanks(self) -> int:
        """Rows whose column is empty here."""
        column = self.kind.column
        query = (
            f"SELECT count(*) FROM {self.kind.table} WHERE deleted_at IS NULL AND coalesce({column}, '') = ''"
        )
        return int(self.office.one(query))

    def held(self) -> list[tuple[Any, ...]]:
        """The open holds: number, rows."""
        return self.office.sql("SELECT id, rows FROM held WHERE decided_at IS NULL")

    def decide(self, decision: str) -> None:
        """What a person says to the open hold."""
        (number, _), *more = self.held()
        assert not more, "at most one is open"
        assert self.office.write(holds.decide, number, decision, self.office.clock.now().isoformat()) is None


class Benches:
    """Makes benches. The first pull of each list is done once, and its file is copied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[tuple[str, int], Path] = {}
        self.made: list[Office] = []

    def make(self, name: str, rows: int = ROWS) -> Bench:
        """A bench; upstream hands out the same ids each time."""
        kind = KINDS[name]
        home = self.folder / f"office{len(self.made)}"
        home.mkdir()
        if (name, rows) in self.files:
            shutil.copy(self.files[name, rows], home / "mirror.db")
            forget_home(home / "mirror.db")
        office = Office(home, only=(kind.job,))
        self.made.append(office)
        bench = Bench(office, kind, [kind.add(office, n) for n in range(rows)])
        if (name, rows) not in self.files:
            assert bench.pull(full=False).outcome == "ok"
            self.files[name, rows] = self.folder / f"{name}-{rows}.db"
            office.db.pragma(f"VACUUM INTO '{self.files[name, rows]}'")
        assert bench.living() == rows
        return bench


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benches]:
    """Where benches come from."""
    made = Benches(tmp_path_factory.mktemp("benches"))
    yield made
    for office in made.made:
        office.close()


@pytest.fixture(params=KINDS)
def large(request: pytest.FixtureRequest, benches: Benches) -> Bench:
    """A bench of 120 rows for each list."""
    return benches.make(request.param, MANY)


@pytest.fixture(params=["v3", "v2", "smartflo"])
def bench(request: pytest.FixtureRequest, benches: Benches) -> Bench:
    return benches.make(request.param)


def by_id(office: Office, after: int) -> int:
    """How often a row was asked for by its own id."""
    asked = {"contact_id", "contact_group_id"}
    return sum(
        bool(asked & set(request.body or request.query or {})) for request in office.world.requests(after)
    )


def test_failures_02_one_row_of_120_goes_with_the_second_listing_and_comes_back(large: Bench) -> None:
    office, kind = large.office, large.kind
    (key,) = large.take(1)
    first = large.pull()
    assert (first.outcome, first.removed) == ("ok", 0)
    assert large.lives(key)
    mark = office.mark()
    second = large.pull()
    assert (second.outcome, second.removed, large.living()) == ("ok", 1, MANY - 1)
    if kind.table != "telecmi_user_contacts":  # which has no such call
        assert by_id(office, mark) == 1, "it was asked for by its id before it got its tombstone"
    seq = office.log_size()
    assert large.pull().removed == 0
    assert office.log_size() == seq
    if kind.table == "telecmi_contacts":
        return  # the directory gives no id out twice
    again = kind.add(office, MANY - 1)
    assert again == key
    assert large.pull().outcome == "ok"
    assert large.living() == MANY


def test_failures_02_a_contact_of_the_directory_comes_back_under_its_id(benches: Benches) -> None:
    bench = benches.make("v3", 20)
    org = bench.office.world.org()
    key = bench.keys[3]
    kept = org.contacts.pop(key)
    for _ in range(2):
        bench.pull()
    assert not bench.lives(key)
    org.contacts[key] = kept
    assert bench.pull().outcome == "ok"
    assert bench.lives(key)
    assert bench.office.one("SELECT count(*) FROM telecmi_contacts") == 20


def test_a_row_that_shows_again_before_the_second_listing_starts_over(bench: Bench) -> None:
    (key,) = bench.take(1)
    bench.pull()
    bench.bring_back([key])
    bench.pull()
    bench.kind.take(bench.office, key)
    assert bench.pull().removed == 0
    assert bench.living() == ROWS
    assert bench.pull().removed == 1


@pytest.mark.parametrize("share", [0.11, 0.51, 1.0])
def test_failures_02_many_rows_gone_are_held_and_the_rest_is_applied(large: Bench, share: float) -> None:
    office, kind = large.office, large.kind
    count = round(MANY * share) + (share < 1)
    gone = large.take(count)
    if large.keys:
        kind.change(office, large.keys[0])
    if share < 1:
        kind.add(office, 500)
    runs = office.run(full=True)
    assert runs[0].outcome == "incomplete"
    assert jobs.exit_code(runs) == 1
    assert "held approve" in runs[0].problem
    assert (runs[0].removed, runs[0].changed, runs[0].added) == (0, int(share < 1), int(share < 1))
    assert large.held() == [(1, count)]
    assert not large.gone()
    large.pull()
    assert large.held() == [(1, count)], "a later listing updates it and opens no other"
    large.decide("approved")
    last = large.pull()
    assert (last.outcome, last.removed) == ("ok", count)
    assert large.gone() == set(map(str, gone))
    assert large.living() == MANY - count + (share < 1)
    with office.unchanged():
        assert large.pull().outcome == "ok"


def test_failures_02_nearly_half_of_a_directory_is_no_less_held(benches: Benches) -> None:
    bench = benches.make("v3", MANY)
    bench.take(round(MANY * 0.49))
    for _ in range(2):
        assert bench.pull().outcome == "incomplete"
        assert (bench.living(), [rows for _, rows in bench.held()]) == (MANY, [59])


def test_an_approval_lets_exactly_the_listed_rows_go(bench: Bench) -> None:
    listed = bench.take(20)
    bench.pull()
    later = bench.take(15)
    bench.decide("approved")
    run = bench.pull()
    assert run.outcome == "incomplete", "the fifteen are too many of their own"
    assert run.removed == 20
    assert bench.gone() == set(map(str, listed))
    assert later
    assert [rows for _, rows in bench.held()] == [15]


def test_a_hold_is_updated_by_later_listings(bench: Bench) -> None:
    bench.take(20)
    bench.pull()
    bench.take(5)
    bench.pull()
    assert bench.held() == [(1, 25)]


def test_a_rejection_keeps_the_rows(bench: Bench) -> None:
    gone = bench.take(20)
    bench.pull()
    bench.decide("rejected")
    for _ in range(3):
        run = bench.pull()
        assert (run.outcome, run.removed) == ("ok", 0)
    assert not bench.gone() & set(map(str, gone))
    assert not bench.held()


def test_a_hold_is_superseded_when_the_rows_are_back(bench: Bench) -> None:
    gone = bench.take(20)
    bench.pull()
    bench.bring_back(gone)
    run = bench.pull(full=False)
    assert (run.outcome, run.removed) == ("ok", 0)
    assert bench.office.sql("SELECT decision FROM held") == [("superseded",)]
    assert bench.living() == ROWS


def test_an_approved_row_that_shows_again_keeps_its_life(bench: Bench) -> None:
    gone = bench.take(20)
    bench.pull()
    bench.decide("approved")
    bench.bring_back(gone)
    assert bench.pull().removed == 0
    bench.keys += gone
    bench.take(20)
    assert bench.pull().removed == 0, "the approval is used up"
    assert [rows for _, rows in bench.held()] == [20]


def test_failures_02_an_account_that_is_empty_from_the_start_is_fine(make_office: MakeOffice) -> None:
    office = make_office()
    for _ in range(3):
        runs = office.run(full=True)
        assert [run.outcome for run in runs] == ["ok"] * 5, [run.problem for run in runs]
    assert office.one("SELECT count(*) FROM held") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_failures_02_a_mirror_of_three_rows_that_is_suddenly_empty_is_held(
    benches: Benches, kind: str
) -> None:
    bench = benches.make(kind, 3)
    bench.take(3)
    for _ in range(3):
        run = bench.pull()
        assert run.outcome == "incomplete" and "suddenly empty" in run.problem
    assert bench.living() == 3


@pytest.mark.parametrize("share", [0.11, 1.0])
def test_failures_26_a_column_that_turns_blank_is_held(bench: Bench, share: float) -> None:
    office = bench.office
    count = round(ROWS * share) + (share < 1)
    bench.blank(bench.keys[:count])
    bench.kind.change(office, bench.keys[0])
    bench.kind.change(office, bench.keys[-1])
    run = bench.pull(full=False)
    assert run.outcome == "incomplete" and f"{bench.kind.column} would turn blank" in run.problem
    assert (bench.blanks(), run.changed) == (0, 2), "the other changes of the same rows are applied"
    seq = office.log_size()
    bench.pull(full=False)
    assert bench.held() == [(1, count)]
    assert (bench.blanks(), office.log_size()) == (0, seq)
    bench.decide("approved")
    assert bench.pull(full=False).outcome == "ok"
    assert bench.blanks() == count
    with office.unchanged():
        assert bench.pull().outcome == "ok"


def test_failures_26_blanks_that_are_filled_again_close_the_hold(bench: Bench) -> None:
    bench.blank(bench.keys)
    bench.pull(full=False)
    assert bench.held()
    for key in bench.keys:
        bench.fill(key)
    assert bench.pull(full=False).outcome == "ok"
    assert bench.office.sql("SELECT decision FROM held") == [("superseded",)]


def test_failures_26_a_rejected_blank_keeps_the_value_until_it_is_filled(bench: Bench) -> None:
    office, key = bench.office, bench.keys[0]
    bench.blank(bench.keys)
    bench.pull()
    bench.decide("rejected")
    with office.unchanged():
        for _ in range(2):
            run = bench.pull()
            assert (run.outcome, run.problem, bench.blanks()) == ("ok", "", 0)
    # The decision was about that blank. A later one is decided again.
    bench.fill(key)
    bench.pull()
    bench.blank([key])
    assert bench.pull().outcome == "ok"
    assert bench.blanks() == 1


def test_one_person_clearing_one_company_is_applied(bench: Bench) -> None:
    bench.blank(bench.keys[:1])
    run = bench.pull(full=False)
    assert (run.outcome, run.changed, bench.blanks()) == ("ok", 1, 1)


def test_failures_26_blanks_of_a_listing_that_broke_off_wait(large: Bench) -> None:
    """Ten of 120 are within the limit, but nobody knows what the rest would have said."""
    large.office.world.settings.change({"telecmi.page_cap": 10, "smartflo.page_cap": 10})
    path = {
        "telecmi_contacts": "/v3/contact/get",
        "telecmi_user_contacts": "/v2/user/contact/get",
        "smartflo_contacts": "/v1/contacts",
        "smartflo_contact_groups": "/v1/contact/groups",
    }[large.kind.table]
    large.blank(large.keys)
    for page in (2, 3):
        large.office.fault(path, "html502", times=None, match={"page": page})
        assert large.pull().outcome != "ok"
        assert large.blanks() == 0
        large.office.world.faults.clear()


@pytest.mark.parametrize("kind", ["v3", "v2", "smartflo"])
def test_a_hold_outlives_listings_that_prove_less(benches: Benches, kind: str) -> None:
    """Broken off, or moving while it is read: what is held stays held, neither gone nor forgotten."""
    bench = benches.make(kind)
    office = bench.office
    bench.take(20)
    bench.blank(bench.keys[:10])
    assert bench.pull().outcome == "incomplete"
    ((number, rows),) = bench.held()
    assert rows == 30
    office.world.settings.change({"telecmi.page_cap": 9, "smartflo.page_cap": 9})
    office.fault("/v*/contact*", "html502", times=None, match={"page": 3})
    for _ in range(2):
        assert bench.pull().outcome != "ok"
        assert bench.held() == [(number, 30)]
    office.world.faults.clear()
    office.world.settings.change({"telecmi.order": "shuffled", "smartflo.order": "shuffled"})
    for _ in range(2):
        assert bench.pull().outcome == "incomplete"
        ((still, rows),) = bench.held()
        assert still == number and 20 <= rows <= 30
        assert not bench.gone() and bench.blanks() == 0


def test_a_row_that_is_there_when_asked_for_the_second_time_is_kept(benches: Benches) -> None:
    """Nothing could be asked when it was first missed; the second time it can be, and it is there."""
    bench = benches.make("v3", 20)
    world = bench.office.world
    contact = world.org().contacts[bench.keys[4]]
    world.settings.change({"telecmi.by_id": "500"})
    world.org().hold_back(contact, 0.0, 50)
    assert bench.pull().outcome == "ok"
    assert bench.office.one("SELECT count(*) FROM absences") == 1
    world.settings.change({"telecmi.by_id": "works"})
    run = bench.pull()
    assert (run.outcome, run.removed) == ("incomplete", 0)
    assert not bench.gone()


@pytest.mark.parametrize("kind", ["v3", "smartflo", "groups"])
def test_a_question_without_an_answer_removes_nothing_at_first(benches: Benches, kind: str) -> None:
    """Twice missing, and the vendor fails when asked for the row: one more whole listing is needed."""
    bench = benches.make(kind, 20)
    (key,) = bench.take(1)
    assert bench.pull().outcome == "ok"
    asked = {"telecmi_contacts": "/v3/contact/get", "smartflo_contacts": "/v1/contacts"}
    path = asked.get(bench.kind.table, "/v1/contact/groups")
    by = "contact_group_id" if kind == "groups" else "contact_id"
    bench.office.fault(path, "html502", times=None, match={"contains": by})
    assert (bench.pull().removed, bench.lives(key)) == (0, True)
    bench.office.world.faults.clear()
    assert (bench.pull().removed, bench.lives(key)) == (1, False)


def test_failures_26_the_look_before_a_push_does_not_blank_what_is_held(benches: Benches) -> None:
    bench = benches.make("v3")
    office, keys = bench.office, bench.keys
    office.only = ("telecmi-contacts", "telecmi-push")
    office.world.contacts_blank("last_name")
    office.sql("UPDATE telecmi_contacts SET company = 'Example Traders' WHERE contact_id = ?", keys[0])
    for _ in range(2):
        office.run()
    assert office.one("SELECT count(*) FROM telecmi_contacts WHERE coalesce(last_name, '') = ''") <= 1
    assert office.one("SELECT count(*) FROM held WHERE decided_at IS NULL") == 1


def test_two_lists_of_one_job_share_a_hold_and_lose_nothing_of_it(make_office: MakeOffice) -> None:
    """Smartflo's groups and contacts are one job, which has one open hold at most."""
    office = make_office(only=("smartflo-contacts",))
    groups = [KINDS["groups"].add(office, n) for n in range(20)]
    flo = [KINDS["smartflo"].add(office, n) for n in range(40)]
    office.run()
    for key in groups[:8]:
        KINDS["groups"].take(office, key)
    for key in flo[:10]:
        KINDS["smartflo"].take(office, key)
    for _ in range(2):
        assert office.run(full=True)[0].outcome == "incomplete"
        assert office.sql("SELECT id, rows FROM held") == [(1, 18)]
    for key in range(8):
        KINDS["groups"].add(office, key)
    assert office.run(full=True)[0].outcome == "incomplete"
    assert office.sql("SELECT rows, decision FROM held") == [(10, None)]
    office.write(holds.decide, 1, "approved", office.clock.now().isoformat())
    run = office.run()[0]
    assert (run.outcome, run.removed) == ("ok", 10)
    assert office.one("SELECT count(*) FROM smartflo_contact_groups WHERE deleted_at IS NULL") == 20


def test_an_increment_does_not_close_a_hold(make_office: MakeOffice) -> None:
    """Rows that the vendor calls deleted are held; later increments, which do not show them, change nothing."""
    office = make_office(only=("smartflo-contacts",))
    office.world.settings.change({"smartflo.list_deleted": True})
    keys = [KINDS["smartflo"].add(office, n) for n in range(60)]
    office.run()
    office.clock.pass_(hours=1)
    for key in keys[:20]:
        office.world.smartflo_delete(key)
    for _ in range(4):
        run = office.run()[0]
        assert (run.outcome, run.removed) == ("incomplete", 0)
        assert office.sql("SELECT id, rows FROM held") == [(1, 20)]
        office.clock.pass_(hours=1)
    office.write(holds.decide, 1, "approved", office.clock.now().isoformat())
    run = office.run()[0]
    assert (run.outcome, run.removed) == ("ok", 20)


def test_max_deletions_is_the_accounts_own(make_office: MakeOffice) -> None:
    office = make_office(only=("telecmi-contacts",), telecmi={"max_deletions": "60%"})
    keys = [_add_directory(office, n) for n in range(40)]
    office.run()
    for key in keys[:20]:
        office.world.contact_delete(key)
    assert [office.contacts().removed for _ in range(2)] == [0, 20]
