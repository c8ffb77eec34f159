"""A hostile paging server: whatever it does between two pages, no live row is ever lost here.

The server is a network of its own below the real clients, the real cycle and a real SQLite file.
"""

from __future__ import annotations

import json
import random
import shutil
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from syncer.sync.run import Run
from tests.office import Office

JOBS = {
    "v3": "telecmi-contacts",
    "v2": "telecmi-user-contacts",
    "smartflo": "smartflo-contacts",
    "groups": "smartflo-contacts",
}
PATHS = {
    "v3": "/v3/contact/get",
    "v2": "/v2/user/contact/get",
    "smartflo": "/v1/contacts",
    "groups": "/v1/contact/groups",
}
TABLES = {
    "v3": ("telecmi_contacts", "contact_id"),
    "v2": ("telecmi_user_contacts", "mobile"),
    "smartflo": ("smartflo_contacts", "smartflo_id"),
    "groups": ("smartflo_contact_groups", "group_id"),
}
#: How each call names the one row that it is asked for; v2 has no such thing.
BY_ID = {"v3": "contact_id", "smartflo": "contact_id", "groups": "contact_group_id"}
KINDS = st.sampled_from(list(JOBS))

Action = tuple[str, int]

#: What may happen at a request: something moves, or the answer lies.
ACTIONS = st.tuples(
    st.sampled_from(
        ["quiet", "quiet", "insert", "late", "delete", "swap", "reorder", "cap", "repeat", "empty", "back", "drop", "502"]
    ),
    st.integers(0, 30),
)  # fmt: skip


@dataclass
class Hostile(httpx.AsyncBaseTransport):
    """One list of one vendor, and a script of what happens to it, a step a request."""

    kind: str
    count: int
    keyset: bool = False
    lasting: str = "honest"  #: how it goes on for good: `honest`, `last_again`, `new_cursors`, `shuffled`
    script: list[Action] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    cap: int = 5
    calls: int = 0
    last: list[int] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)
    late: dict[int, int] = field(default_factory=dict)  #: rows that show only after so many calls
    hidden: int = 0  #: so many rows at the end are counted and never listed

    def __post_init__(self) -> None:
        self.rows = list(range(1, self.count + 1))
        self.next = self.count + 1

    def settle(self) -> None:
        """From now on nothing changes, answers are right, and everything late shows."""
        self.script.clear()
        self.late.clear()
        self.lasting = "honest"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        body: dict[str, Any] = dict(request.url.params)
        if request.method == "POST":
            body = json.loads(await request.aread())
        if request.url.path != PATHS[self.kind]:
            return self._answer([], None)
        if BY_ID.get(self.kind) in body:
            wanted = int(str(body[BY_ID[self.kind]]).rpartition("-")[2])
            return self._answer([wanted] if wanted in self.visible else [], None)
        action, number = self.script.pop(0) if self.script else ("quiet", 0)
        self._move(action, number)
        if action == "drop":
            raise httpx.ReadError("cut")
        if action == "502":
            return httpx.Response(502, text="<html>")
        if self.kind == "v3":
            return self._by_cursor(body.get("page_state"), action, number)
        page = int(body.get("page", 1))
        listed = self.visible[: len(self.visible) - self.hidden]
        return self._answer(self._lie(listed[(page - 1) * self.cap : page * self.cap], action), None)

    def _move(self, action: str, number: int) -> None:
        rows = self.rows
        if action in ("insert", "late"):
            rows.insert(number % (len(rows) + 1), self.next)
            if action == "late":  # it lives, and is listed only some calls later
                self.late[self.next] = self.calls + number
            self.next += 1
        elif action == "delete" and len(rows) > 4:
            del rows[number % len(rows)]
        elif action == "swap" and len(rows) > 4:  # one goes, one comes: the total stays
            del rows[number % len(rows)]
            rows.append(self.next)
            self.next += 1
        elif action == "reorder" or self.lasting == "shuffled":
            random.Random(number + self.calls).shuffle(rows)
        elif action == "cap":
            self.cap = 1 + number % 9

    @property
    def visible(self) -> list[int]:
        """The rows that are listed by now."""
        return [row for row in self.rows if self.late.get(row, 0) <= self.calls]

    def _lie(self, ids: list[int], action: str) -> list[int]:
        if action == "repeat":
            return self.last
        if action == "empty":
            return []
        if not ids and self.lasting == "last_again":
            return self.last
        self.last = ids or self.last
        return ids

    def _by_cursor(self, state: str | None, action: str, number: int) -> httpx.Response:
        start, rows = 0, self.visible
        if state:
            kind, _, at = state.partition(":")[0], None, state.split(":")[1]
            start = int(at)
            if kind == "key":
                start = next((n + 1 for n, row in enumerate(rows) if row == int(at)), start)
        true = rows[start : start + self.cap]
        ids = self._lie(true, action)
        end = start + len(true)
        cursor: str | None = f"at:{end}:{self.calls}" if self.keyset else f"at:{end}"
        if self.keyset and true:
            cursor = f"key:{true[-1]}"
        if end >= len(rows):
            cursor = None
            if self.lasting == "last_again":
                cursor, ids = state, ids or self.last
            elif self.lasting == "new_cursors":
                cursor = f"at:0:{self.calls}"
        if action == "back" and self.cursors:
            cursor = self.cursors[number % len(self.cursors)]
        if cursor:
            self.cursors.append(cursor)
        return self._answer(ids, cursor)

    def _answer(self, ids: list[int], cursor: str | None) -> httpx.Response:
        if self.kind == "v3":
            one = {"first_name": "Asha"}
            rows = [
                one | {"contact_id": f"c-{n}", "phone_no": f"9192000{n:05d}", "last_name": f"R{n}"}
                for n in ids
            ]
            found = {"code": 200, "contacts": rows, "count": len(self.visible), "page_state": cursor}
        elif self.kind == "v2":
            rows = [{"mobile": 9_200_000_000 + n, "name": f"Asha {n}", "time": n} for n in ids]
            found = {"code": 200, "contacts": rows, "count": len(self.visible)}
        else:
            rows = [{"id": n, "phone_number": f"+919200{n:06d}", "name": f"Asha {n}"} for n in ids]
            if self.kind == "groups":
                rows = [{"id": n, "name": f"Group {n}"} for n in ids]
            found = {"results": rows, "page": 1, "size": len(rows), "limit": 100}
        return httpx.Response(200, json=found)

    def keys(self) -> set[str]:
        """The ids of live upstream rows, in the mirror's spelling."""
        form = {"v3": "c-{}", "v2": "92{:08d}"}.get(self.kind, "{}")
        return {form.format(n) for n in self.rows}


class HostileOffice(Office):
    """An office whose only vendor is hostile."""

    server: Hostile

    def pull(self) -> Run:
        return self.run(JOBS[self.server.kind], full=True)[0]

    def mirrored(self, *, gone: bool = False) -> set[str]:
        """The identities of the rows that live in the mirror, or of its tombstones."""
        table, key = TABLES[self.server.kind]
        return {
            row[0] for row in self.sql(f"SELECT {key} FROM {table} WHERE (deleted_at IS NOT NULL) = ?", gone)
        }

    def check(self, run: Run) -> None:
        """What must hold after every listing, however it went."""
        assert not self.mirrored(gone=True) & self.server.keys(), "a live row got a tombstone"
        assert run.requests <= 150, "it has to end"


ANY_LIMIT = {"max_deletions": "100%", "token": "t"}


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh database to copy."""
    folder = tmp_path_factory.mktemp("blank")
    Office(folder).close()
    return folder


def open_office(blank: Path, server: Hostile) -> HostileOffice:
    number = len(list(blank.parent.glob("hostile*")))
    folder = blank.parent / f"hostile{number}"
    folder.mkdir()
    shutil.copy(blank / "mirror.db", folder / "mirror.db")
    office = HostileOffice(folder, telecmi=ANY_LIMIT, smartflo=ANY_LIMIT)
    office.server = office.network = server
    return office


QUICK = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUICK
@given(
    kind=KINDS,
    count=st.integers(4, 16),
    keyset=st.booleans(),
    scripts=st.lists(st.lists(ACTIONS, max_size=12), min_size=1, max_size=4),
)
def test_failures_13_14_no_live_row_is_lost_and_each_deletion_is_found(
    blank: Path, kind: str, count: int, keyset: bool, scripts: list[list[Action]]
) -> None:
    server = Hostile(kind, count, keyset)
    with closing(open_office(blank, server)) as office:
        office.check(office.pull())
        for script in scripts:
            server.script = list(script)
            office.check(office.pull())
        server.settle()
        for _ in range(3):
            run = office.pull()
            office.check(run)
        assert run.outcome == "ok", run.problem
        assert office.mirrored() == server.keys()


@settings(QUICK, max_examples=25)
@given(
    kind=KINDS,
    count=st.integers(1, 16),
    lasting=st.sampled_from(["last_again", "new_cursors", "shuffled"]),
    scripts=st.lists(st.lists(ACTIONS, max_size=8), min_size=2, max_size=4),
)
def test_failures_14_a_server_that_never_ends_is_left_in_time(
    blank: Path, kind: str, count: int, lasting: str, scripts: list[list[Action]]
) -> None:
    server = Hostile(kind, count, keyset=True, lasting=lasting)
    with closing(open_office(blank, server)) as office:
        for script in scripts:
            server.script = list(script)
            office.check(office.pull())


@pytest.mark.parametrize("kind", JOBS)
def test_failures_13_one_goes_and_one_comes_in_mid_listing(blank: Path, kind: str) -> None:
    """The total stays and the first page too: only a second listing shows what the first passed over."""
    server = Hostile(kind, 16)
    with closing(open_office(blank, server)) as office:
        office.pull()
        victims = set()
        for step in range(3):
            before = set(server.keys())
            server.script = [("quiet", 0), ("quiet", 0), ("swap", 6 + step)]
            office.check(office.pull())
            victims |= before - server.keys()
        server.settle()
        for _ in range(3):
            office.check(office.pull())
        assert office.mirrored(gone=True) >= victims
        assert office.mirrored() == server.keys()


@pytest.mark.parametrize("kind", JOBS)
def test_failures_13_a_row_that_is_passed_over_twice_is_not_gone(blank: Path, kind: str) -> None:
    """The first row goes and one comes at the end, just after the first page: the sixth slips through.

    This happens in each listing, and the total stays the same: only the first page shows it.
    """
    server = Hostile(kind, 16)
    with closing(open_office(blank, server)) as office:
        office.pull()
        for _ in range(3):
            server.script = [("quiet", 0), ("swap", 0)]
            office.check(office.pull())
            server.rows.insert(0, server.next)
            server.next += 1
        assert 6 in server.rows
        for _ in range(3):
            office.check(office.pull())
        assert office.mirrored() == server.keys()


def test_failures_13_14_groups_that_two_listings_pass_over_are_asked_for(blank: Path) -> None:
    """A list without a total is cut off at the same place twice: five groups are not gone for that."""
    server = Hostile("groups", 15)
    with closing(open_office(blank, server)) as office:
        office.check(office.pull())
        for _ in range(3):
            server.script = [("quiet", 0), ("quiet", 0), ("empty", 0)]
            run = office.pull()
            office.check(run)
            assert (run.outcome, run.removed) == ("incomplete", 0)
        assert office.pull().outcome == "ok"


def test_a_count_that_promises_the_missing_rows_is_believed(blank: Path) -> None:
    """Suddenly sixteen are counted and thirteen listed, in each listing: the three are not gone."""
    server = Hostile("v2", 16)
    with closing(open_office(blank, server)) as office:
        office.pull()
        server.hidden = 3
        for _ in range(5):
            office.check(office.pull())
        assert len(office.mirrored()) == 16
        server.hidden = 0
        del server.rows[-3:]
        for _ in range(2):
            office.check(office.pull())
        assert office.mirrored() == server.keys()


def test_a_count_that_was_always_off_hides_no_deletion(blank: Path) -> None:
    server = Hostile("v2", 16, hidden=3)
    with closing(open_office(blank, server)) as office:
        for _ in range(3):
            office.pull()
        assert len(office.mirrored()) == 13
        del server.rows[2]
        for _ in range(2):
            office.pull()
        assert len(office.mirrored()) == 12
