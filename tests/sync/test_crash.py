"""A crash at every step: the process is killed at each commit of a push, and before and after each request.

Real processes, a real file, real HTTP. After each kill, the restarted program has the same result as without a kill,
and one more run writes nothing on either side.
"""

from __future__ import annotations

import copy
import json
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncer.sandbox import World, running
from tests.office import MEMORY, NOON, blank_database
from tests.sync.forks import Live, forking
from tests.sync.push_bench import newcomer, person

PUSH = ("telecmi-push",)
ALL = ("telecmi-contacts", "telecmi-push")


class Bed:
    """A vendor that can be reset, and a program that can be killed."""

    def __init__(self, folder: Path, url: str, world: World, live: Live) -> None:
        self.folder = folder
        self.url = url
        self.world = world
        self._live = live
        self.hour = 0

    def live(self, *rounds: tuple[str, ...], kill_at: int | None = None) -> int:
        """Run the program for some rounds. Returns the signal that ended it, or 0."""
        self.hour += 2
        place = {"folder": str(self.folder), "url": self.url}
        return self._live(**place, kill_at=kill_at, rounds=rounds or [PUSH], hour=self.hour)

    def result(self) -> Any:
        """The result of each round of the last run that was not killed."""
        return json.loads((self.folder / "result.json").read_text())

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "mirror.db")) as conn, conn:
            return conn.execute(statement, values).fetchall()

    def keep(self) -> Callable[[], None]:
        """Save both sides. The returned function restores them."""
        shutil.copytree(self.folder, saved := self.folder.with_name("saved"), dirs_exist_ok=True)
        organizations = copy.deepcopy(self.world.organizations)
        faults = [rule.as_json() for rule in self.world.faults.rules()]

        def set_back() -> None:
            shutil.rmtree(self.folder)
            shutil.copytree(saved, self.folder)
            self.world.organizations = copy.deepcopy(organizations)
            self.world.faults.clear()
            for rule in faults:
                self.world.faults.add({k: v for k, v in rule.items() if k not in ("seen", "acted")})

        return set_back

    def upstream(self) -> list[tuple[Any, ...]]:
        """The directory without its ids."""
        rows = self.world.snapshot()["telecmi"]["1111113"]["contacts"]
        return sorted(
            tuple(sorted((k, v or "") for k, v in row.items() if k != "contact_id")) for row in rows
        )

    def mirror(self) -> dict[str, Any]:
        """What people see, without times and counters that a second attempt may change."""
        columns = (
            "phone_no, first_name, last_name, company, job_title, deleted_at IS NULL, contact_id IS NULL"
        )
        changes = "contact_row, operation, state"
        return {
            "contacts": self.sql(f"SELECT id, {columns} FROM telecmi_contacts ORDER BY id"),
            "queue": self.sql(f"SELECT {changes} FROM change_queue ORDER BY contact_row, operation"),
            "intents of settled rows": self.sql(
                "SELECT row_id FROM push_intents WHERE row_id NOT IN "
                "(SELECT contact_row FROM change_queue WHERE state NOT IN ('done', 'discarded'))"
            ),
        }


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with forking("tests.sync.crash_child") as forked:
        yield forked


@pytest.fixture
def bed(live: Live) -> Iterator[Bed]:
    world = World(clock=NOON.timestamp)
    for n in range(1, 7):
        world.contact_insert(person(n))
    with tempfile.TemporaryDirectory(prefix="syncer-crash-", dir=MEMORY) as there, running(world) as url:
        folder = Path(there, "office")
        folder.mkdir()
        (folder / "mirror.db").write_bytes(blank_database())
        made = Bed(folder, url, world, live)
        assert made.live(("telecmi-contacts",)) == 0
        yield made


def insert(bed: Bed, n: int, **more: Any) -> None:
    one = newcomer(n, **more)
    names, marks = ", ".join(one), ", ".join("?" * len(one))
    bed.sql(f"INSERT INTO telecmi_contacts ({names}) VALUES ({marks})", *one.values())


def an_add(bed: Bed) -> None:
    insert(bed, 1, company="Acme")


def an_update(bed: Bed) -> None:
    bed.sql("UPDATE telecmi_contacts SET company = 'New', phone_no = '92000 00091' WHERE id = 1")


def a_delete(bed: Bed) -> None:
    bed.sql("DELETE FROM telecmi_contacts WHERE id = 1")


def three_adds(bed: Bed) -> None:
    for n in range(3):
        insert(bed, n)


def one_of_each(bed: Bed) -> None:
    an_add(bed)
    bed.sql("UPDATE telecmi_contacts SET company = 'New' WHERE id = 2")
    bed.sql("DELETE FROM telecmi_contacts WHERE id = 3")


def a_bisect(bed: Bed) -> None:
    bed.sql("UPDATE telecmi_contacts SET company = 'New' WHERE id <= 2")
    bed.sql("UPDATE telecmi_contacts SET last_name = '' WHERE id = 2")


def a_lost_add(bed: Bed) -> None:
    an_add(bed)
    bed.world.faults.add({"match": {"path": "/v3/contact/add"}, "kind": "drop_after"})


def an_edit_upstream_deleted(bed: Bed) -> None:
    an_update(bed)
    (contact_id,) = bed.sql("SELECT contact_id FROM telecmi_contacts WHERE id = 1")[0]
    bed.world.contact_delete(contact_id)


def nothing(bed: Bed) -> None:
    del bed


def another_number(bed: Bed) -> None:
    """The row no longer shows what was sent: only the intent does."""
    bed.sql("UPDATE telecmi_contacts SET phone_no = '919300000099' WHERE id = 7")


@dataclass(frozen=True)
class Case:
    prepare: Callable[[Bed], None]
    states: tuple[str, ...]
    least: int  #: commits and HTTP edges that such a push has at least
    meanwhile: Callable[[Bed], None] = nothing  #: what a person does between the crash and the restart

    @property
    def name(self) -> str:
        """For the test's id."""
        return self.prepare.__name__ + ("" if self.meanwhile is nothing else f"-{self.meanwhile.__name__}")


CASES = [
    Case(an_add, ("done",), 10),
    Case(an_update, ("done",), 10),
    Case(a_delete, ("done",), 10),
    Case(a_bisect, ("done", "rejected"), 15),
    Case(an_add, ("done", "done"), 10, another_number),
]
LONG_CASES = [
    Case(three_adds, ("done",) * 3, 10),
    Case(a_lost_add, ("done",), 10),
    Case(one_of_each, ("done",) * 3, 20),
    Case(an_edit_upstream_deleted, ("done",), 15),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_crash_at_every_step(bed: Bed, case: Case) -> None:
    kill_at_every_step(bed, case)


@pytest.mark.soak
@pytest.mark.parametrize("case", LONG_CASES, ids=lambda case: case.name)
def test_a_crash_at_every_step_of_a_long_push(bed: Bed, case: Case) -> None:
    kill_at_every_step(bed, case)


def kill_at_every_step(bed: Bed, case: Case) -> None:
    """Kill, restart, and compare with the result without a kill. One more run changes nothing."""
    case.prepare(bed)
    set_back = bed.keep()
    assert bed.live() == 0
    steps = bed.result()[0]["steps"]
    assert len(steps) >= case.least, steps
    case.meanwhile(bed)
    assert bed.live(PUSH, ALL) == 0
    upstream, mirror = bed.upstream(), bed.mirror()
    assert sorted(state for _, _, state in mirror["queue"]) == sorted(case.states)
    for number, step in enumerate(steps, start=1):
        set_back()
        assert bed.live(kill_at=number) == signal.SIGKILL, (number, step)
        case.meanwhile(bed)
        assert bed.live(PUSH, ALL) == 0
        restarted, again = bed.result()
        assert restarted["outcomes"] == ["ok"], (number, step, restarted["outcomes"])
        assert bed.upstream() == upstream, (number, step)
        found = bed.mirror()
        if case.meanwhile is not nothing:  # one change or two, by whether the first had gone out
            assert {state for _, _, state in found["queue"]} <= {"done", "discarded"}, (number, step)
            found["queue"] = mirror["queue"]
        assert found == mirror, (number, step)
        assert again["tables"] == restarted["tables"], (number, step)
        calls = [name for name in again["steps"] if name.startswith("before ")]
        assert set(calls) == {"before /v3/contact/get"}, (number, step, calls)
