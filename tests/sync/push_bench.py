"""A workbench for pushes: an office with hooks for calls and steps, and helpers for what people and vendors do."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import httpx

from syncer.store.db import copies
from syncer.store.write import decisions
from syncer.sync.env import Env
from syncer.sync.open_database import open_database
from tests.office import Office, forget_home

READ, ADD, UPDATE, DELETE = (f"/v3/contact/{name}" for name in ("get", "add", "update", "delete"))
WRITE_CALLS = (ADD, UPDATE, DELETE)
USER_LIST = "/v2/user/contact/get"

#: The database after the first pull, by the options that matter to it.
_pulled: dict[str, bytes] = {}

#: Called with the path and the body of a call.
Watcher = Callable[[str, Any], None]


class KilledError(BaseException):
    """The process was killed here."""


def die() -> None:
    raise KilledError


class Wire(httpx.AsyncBaseTransport):
    """The network, with hooks right before a call arrives and right after its answer is sent."""

    def __init__(self, inner: httpx.AsyncBaseTransport, bench: Bench) -> None:
        self.inner = inner
        self.bench = bench

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        await asyncio.sleep(0)  # lets other tasks run during a call
        for watcher in list(self.bench.before_call):
            watcher(request.url.path, body)
        response = await self.inner.handle_async_request(request)
        for watcher in list(self.bench.after_call):
            watcher(request.url.path, body)
        return response


class Bench(Office):
    """An office that only mirrors and pushes a directory of `contacts` people."""

    def __init__(self, folder: Path, contacts: int = 6, **options: Any) -> None:
        self.before_call: list[Watcher] = []
        self.after_call: list[Watcher] = []
        self.steps: list[str] = []
        self.at_step: Callable[[str], None] = lambda name: None
        options.setdefault("only", ("telecmi-contacts", "telecmi-user-contacts", "telecmi-push"))
        options["telecmi"] = {"token": "sandbox-user-token", **options.get("telecmi", {})}
        kind = f"{contacts} {sorted(options.items())}"
        ready = _pulled.get(kind)
        if ready is not None:  # a world gives the same ids each time, so one pull will do for all
            (folder / "mirror.db").write_bytes(ready)
        super().__init__(folder, **options)
        self.ids = [self.world.contact_insert(person(n)) for n in range(1, contacts + 1)]
        if contacts and ready is None:
            self.run()
            copies.backup(self.db, folder / "pulled.db")
            forget_home(folder / "pulled.db")
            _pulled[kind] = (folder / "pulled.db").read_bytes()

    def env(self) -> Env:
        env = super().env()
        for source in env.sources.values():
            source.api.transport = Wire(source.api.transport, self)

        def step(name: str) -> None:
            self.steps.append(name)
            self.at_step(name)

        env.step = step
        return env

    def pull(self, times: int) -> None:
        """Pull the directory, several times."""
        for _ in range(times):
            self.contacts()

    def later(self, times: int, *, person: bool = True, **pause: float) -> None:
        """Push several times, each after a pause."""
        for _ in range(times):
            self.clock.pass_(**pause)
            self.push(person=person)

    def pushed(self) -> list[tuple[str, Any]]:
        """Push once. Returns the write calls that reached the vendor: (operation, body)."""
        mark = self.mark()
        self.push()
        return self.writes(mark)

    def push_killed_at(self, step: int, *, person: bool = True) -> bool:
        """Push, and kill the process at the n-th step. Returns whether it got there."""
        left = [step]

        def count(_: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                die()

        self.at_step = count
        try:
            self.push(person=person)
        except* KilledError:
            self.restart()
        self.at_step = lambda name: None
        return left[0] <= 0

    def before_next(self, path: str, act: Callable[[], object]) -> None:
        """Do something right before the next call of `path` arrives."""
        _once(self.before_call, path, act)

    def after_next(self, path: str, act: Callable[[], object]) -> None:
        """Do something right after the next call of `path` was answered."""
        _once(self.after_call, path, act)

    def at_next(self, step: str, act: Callable[[], object]) -> None:
        """Do something the next time that a push is at this step."""

        def once(name: str) -> None:
            if name == step:
                self.at_step = lambda _: None
                act()

        self.at_step = once

    # -- a person at a keyboard

    def insert(self, **fields: Any) -> int:
        """INSERT a contact; its row id."""
        names, marks = ", ".join(fields), ", ".join("?" * len(fields))
        self.sql(f"INSERT INTO telecmi_contacts ({names}) VALUES ({marks})", *fields.values())
        return int(self.one("SELECT max(id) FROM telecmi_contacts"))

    def edit(self, row: int, **fields: Any) -> None:
        sets = ", ".join(f"{name} = ?" for name in fields)
        self.sql(f"UPDATE telecmi_contacts SET {sets} WHERE id = ?", *fields.values(), row)

    def delete(self, row: int) -> None:
        self.sql("DELETE FROM telecmi_contacts WHERE id = ?", row)

    def back(self, row: int) -> None:
        self.sql("UPDATE telecmi_contacts SET deleted_at = NULL WHERE id = ?", row)

    def queue(self, row: int | None = None) -> list[dict[str, Any]]:
        """The whole queue, or the changes of one row."""
        numbers = self.sql(
            "SELECT id FROM change_queue WHERE ? IS NULL OR contact_row = ? ORDER BY id", row, row
        )
        return [self.change(number) for (number,) in numbers]

    def reason(self, state: str) -> str:
        """Why the only change is in this state."""
        (change,) = self.queue()
        assert change["state"] == state
        return str(change["last_error"])

    def states_of(self, row: int) -> list[str]:
        return [change["state"] for change in self.queue(row)]

    def logged(self, row: int) -> set[Any]:
        """Every value of a row in the log."""
        pairs = self.sql("SELECT old, new FROM change_log WHERE row_id = ? AND field IS NOT NULL", row)
        return {value for pair in pairs for value in pair}

    def decide(self, what: str, number: int, keep: Literal["local", "remote"] = "local") -> str:
        """A person's decision about a change: retry, approve, discard, resolve."""
        at = self.env().stamp()
        with self.db.write() as conn:
            match what:
                case "retry":
                    return decisions.retry(conn, number, at)
                case "approve":
                    return decisions.approve(conn, number, at)
                case "discard":
                    return decisions.discard(conn, number, at, "IN")
                case _:
                    return decisions.resolve(conn, number, keep, at, "IN")

    def drop_triggers(self, *tables: str) -> None:
        """Drop the triggers of these tables, or all, by hand, as a tool that copies tables does."""
        for name, table in self.sql("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"):
            if table in (tables or (table,)):
                self.sql(f"DROP TRIGGER {name}")

    def restore(self, backup: Path) -> None:
        """Put a backup in the database's place."""
        self.close()
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)
        shutil.copy(backup, self.path)
        self.db = open_database(self.settings)

    # -- an unkind vendor

    def switch(self, **switches: Any) -> None:
        self.world.settings.change({"telecmi": switches})

    def blind_after(self, path: str, times: int = 8) -> None:
        """After the next call of `path`, reading the directory fails `times` times."""

        self.before_next(path, lambda: self.fault(READ, "drop", times=times))

    def lose_answer(self, path: str, applied: str) -> None:
        """Push, and lose the answer of a call that was applied ("after") or not ("before"). Nothing is read back."""
        self.fault(path, "drop", applied=applied)
        self.blind_after(path)
        self.push()
        assert self.states() == ["unknown"]
        self.world.faults.clear()

    def upstream(self, row: int) -> dict[str, Any]:
        """The directory's contact of a row."""
        return self.directory()[self.row(row)["contact_id"]]

    def phones(self) -> list[str]:
        return sorted(one["phone_no"] for one in self.directory().values())

    # -- the rest

    def settle(self, days: int = 0) -> None:
        """Run twice, and check that a third run has nothing to do."""
        self.world.faults.clear()
        self.clock.pass_(days=days, hours=2)
        self.run()
        self.clock.pass_(hours=2)
        self.run()
        self.quiet()

    def is_settled(self) -> None:
        """Check that all changes are settled, and that a run writes nothing."""
        assert set(self.states()) <= {"done", "discarded"}, self.queue()
        self.quiet()

    def quiet(self, *states: str, times: int = 1) -> None:
        """Check that a run writes nothing on either side, and no change is left for the program to settle.

        With `states`, that those are the states of the changes.
        """
        if states:
            assert self.states() == list(states), self.queue()
        before, mark = self.everything(), self.mark()
        for _ in range(times):
            self.clock.pass_(minutes=20)
            runs = self.run()
            assert [run.outcome for run in runs] == ["ok"] * len(runs), [run.problem for run in runs]
        assert self.everything() == before
        assert self.writes(mark) == []
        assert not set(self.states()) & {"queued", "sending", "unknown"}, self.queue()


def _once(watchers: list[Watcher], path: str, act: Callable[[], object]) -> None:
    def once(called: str, _: Any) -> None:
        if called == path:
            watchers.remove(once)
            act()

    watchers.append(once)


def person(n: int, **more: Any) -> dict[str, Any]:
    """The n-th invented contact of the directory."""
    return {
        "phone_no": str(919200000000 + n),
        "first_name": "Asha",
        "last_name": f"Rao{n}",
        "company": "Example Traders",
        "email_id": f"asha{n}@example.com",
        "job_title": "Buyer",
        **more,
    }


def newcomer(n: int, **more: Any) -> dict[str, Any]:
    """The n-th invented contact that is inserted locally."""
    return {"phone_no": str(919300000000 + n), "first_name": "Ravi", "last_name": f"Iyer{n}", **more}
