"""Thirty days of the daemon in virtual time: every job, edits on both sides, faults, outages, restarts, a machine
that sleeps. What it holds and writes stays bounded, and in the end both sides agree.

`make soak` runs it, after two eventful hours, and prints the figures of each day.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncer.config import Settings
from syncer.config.load import settings_from
from syncer.core.normalise import utc_text
from syncer.sandbox import World
from syncer.sandbox.faults import KINDS
from syncer.store.write import decisions
from tests.daemon.timeless import NOW, Process, Time, live
from tests.office import LOGIN, unpaced

MIB = 1024 * 1024
HOUR = 3600.0
DAY = 24 * HOUR

RETENTION_DAYS, KEEP = 5, 3

#: The living contacts of each side stay about so many: what grows has to grow by itself to be seen.
PEOPLE = 120

CALLS = (
    "/v2/*",
    "/v3/contact/*",
    "/v3/contact/get",
    "/v3/contact/add",
    "/v3/contact/update",
    "/v2/voicemail",
    "/v1/*",
)


class Log:
    """Counts what is said, by level and event, and keeps the first bug whole."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.bug = ""

    def bind(self, **_: object) -> Log:
        return self

    def __getattr__(self, level: str) -> Callable[..., None]:
        def say(event: str, **values: Any) -> None:
            self.counts[level, event] += 1
            if level in ("exception", "error") and not self.bug:
                import traceback

                self.bug = f"{event} {values}\n{traceback.format_exc()}"

        return say


def settings_in(folder: Path) -> Settings:
    url = "http://127.0.0.1:1"
    raw = {
        "database": {"url": "sqlite:///mirror.db"},
        "telecmi": {
            "main": {
                "base_url": url,
                **LOGIN,
                "voicemails": {"every": "40m", "since": "3d"},
                "contacts": {"every": "40m"},
                "user_contacts": {"every": "3h"},
                "push": {"every": "20m", "deletes": True, "on_conflict": "local"},
            }
        },
        "smartflo": {
            "main": {
                "base_url": url,
                "email": "ops@example.com",
                "password": "sandbox-password",
                "contacts": {"every": "40m", "full_every": "7h"},
            }
        },
        "backup": {"enabled": True, "every": "12h", "keep": KEEP},
        "retention": {"runs": f"{RETENTION_DAYS}d", "log": f"{RETENTION_DAYS}d"},
    }
    return unpaced(settings_from(raw, folder, {}))


class Soak:
    """One office over days, with everything that happens to it."""

    def __init__(self, folder: Path, seed: int, time: Time, hurry: float) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.time = time
        self.hurry = hurry  #: how much more often things happen
        self.log = Log()
        self.settings = settings_in(folder)
        self.path = self.settings.database.path
        self.world = World(clock=lambda: NOW.timestamp() + time.elsewhere())
        self.world.seed(contacts=PEOPLE, voicemails=30, smartflo=60, user_contacts=12)
        self.numbers = iter(range(9200100000, 9200900000))
        self.process = self._process()
        self.happened: Counter[str] = Counter()
        self.largest_wal = 0
        self.in_order = True  #: the daemon runs, and its clock is right

    def _process(self) -> Process:
        return Process(self.settings, self.world, self.rng, self.log)

    # -- what people, vendors and the weather do --------------------------------------------------------

    async def every_now_and_then(self, hours: float, actions: Iterable[Callable[[], Any]]) -> None:
        choices = list(actions)
        chance = random.Random(f"{self.seed} {choices[0].__name__}")  # however many calls there are meanwhile
        while True:
            await asyncio.sleep(chance.expovariate(self.hurry / (hours * HOUR)))
            chance.choice(choices)()

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=5)) as conn, conn:
            return conn.execute(statement, values).fetchall()

    def _rows(self) -> list[int]:
        return [
            row[0]
            for row in self.sql(
                "SELECT id FROM telecmi_contacts WHERE deleted_at IS NULL AND contact_id IS NOT NULL"
            )
        ]

    def person_edits(self) -> None:
        self.happened["edits here"] += 1
        for row in self.rng.sample(rows := self._rows(), min(len(rows), self.rng.randint(1, 4))):
            column = self.rng.choice(("company", "job_title", "first_name"))
            self.sql(f"UPDATE telecmi_contacts SET {column} = ? WHERE id = ?", self._word(), row)

    def person_adds_or_deletes(self) -> None:
        rows = self._rows()
        if len(rows) > PEOPLE:
            self.happened["deletes here"] += 1
            self.sql("DELETE FROM telecmi_contacts WHERE id = ?", self.rng.choice(rows))
        else:
            self.happened["adds here"] += 1
            self.sql(
                "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES (?, ?, 'Example')",
                str(next(self.numbers)),
                self._word(),
            )

    def vendor_edits(self) -> None:
        self.happened["edits there"] += 1
        contacts = list(self.world.org().contacts)
        for contact_id in self.rng.sample(contacts, min(len(contacts), 3)):
            self.world.contact_update(contact_id, {self.rng.choice(("company", "job_title")): self._word()})

    def vendor_adds_or_deletes(self) -> None:
        contacts = list(self.world.org().contacts)
        if len(contacts) > PEOPLE:
            self.happened["deletes there"] += 1
            self.world.contact_delete(self.rng.choice(contacts))
        else:
            self.happened["adds there"] += 1
            number = next(self.numbers)
            self.world.contact_insert(
                {"phone_no": f"91{number}", "first_name": self._word(), "last_name": "Example"}
            )

    def somebody_calls(self) -> None:
        self.happened["calls"] += 1
        self.world.voicemail_insert(int(self.world.now() * 1000), 919200000000 + self.rng.randrange(10**6))

    def smartflo_edits(self) -> None:
        self.happened["edits at Smartflo"] += 1
        chosen = self.rng.choice(list(self.world.smartflo.contacts))
        self.world.smartflo_upsert(chosen, {"company_name": self._word()})

    def a_fault(self) -> None:
        kind = self.rng.choice(sorted(KINDS))
        self.happened["faults"] += 1
        self.world.faults.clear()  # spent ones, too
        self.world.faults.add(
            {
                "match": {"path": self.rng.choice(CALLS)},
                "kind": kind,
                "times": self.rng.randint(1, 6),
                "applied": self.rng.choice(("before", "after")),
                "seconds": self.rng.choice((1.0, 20.0, 90.0)),
            }
        )

    def an_outage(self) -> None:
        self.happened["outages"] += 1
        self.world.faults.clear()
        kind = self.rng.choice(("http", "drop", "hang", "html502", "empty_body", "zero_rows", "bad_token"))
        self.world.faults.add({"match": {"path": "/*"}, "kind": kind, "times": None, "seconds": 600.0})
        self.time.call_later(self.rng.uniform(0.2, 3.0) * HOUR, self.world.faults.clear)

    def _word(self) -> str:
        return "".join(self.rng.choices("abcdefghij", k=6)).title()

    async def life_goes_on(self) -> None:
        """Now and then the daemon is restarted, killed, or the machine sleeps."""
        while True:
            await asyncio.sleep(self.rng.expovariate(self.hurry / (7 * HOUR)))
            self.in_order = False
            match self.rng.choice(("stop", "fall", "sleep", "clock")):
                case "stop":
                    self.happened["restarts"] += 1
                    await self.process.stop()
                    await asyncio.sleep(self.rng.uniform(1, 900))
                    await self._begin()
                case "fall":
                    self.happened["falls"] += 1
                    await self.process.fall()
                    await asyncio.sleep(self.rng.uniform(1, 60))
                    await self._begin()
                case "sleep":
                    self.happened["sleeps"] += 1
                    self.time.suspend(hours=self.rng.uniform(0.1, 3))
                case _:
                    self.happened["clock set back"] += 1
                    minutes = self.rng.uniform(1, 50)
                    self.time.set_clock(minutes=-minutes)
                    await asyncio.sleep(2 * HOUR)
                    self.time.set_clock(minutes=minutes)
            self.in_order = True

    async def _begin(self) -> None:
        self.process = self._process()
        await self.process.start()

    async def a_person_looks_in(self) -> None:
        """Once a day, what waits for a person is settled."""
        while True:
            await asyncio.sleep(DAY)
            for (number,) in self.sql(
                "SELECT id FROM change_queue WHERE state IN ('conflict', 'rejected', 'held')"
            ):
                self.happened["discarded by a person"] += 1
                with self.process.db.write() as conn:
                    decisions.discard(conn, number, utc_text(self.process.env.now()), "IN")

    # -- what is looked at ------------------------------------------------------------------------------

    async def look(self) -> None:
        while True:
            await asyncio.sleep(HOUR / 4)
            assert self.process.tasks_alive() or not self.in_order
            assert not self.log.bug, self.log.bug
            wal = self.path.with_name(f"{self.path.name}-wal")
            self.largest_wal = max(self.largest_wal, wal.stat().st_size if wal.exists() else 0)

    def figures(self) -> dict[str, float]:
        count = {
            table: self.sql(f"SELECT count(*) FROM {table}")[0][0]
            for table in (
                "sync_runs",
                "change_log",
                "change_queue",
                "telecmi_contacts",
                "set_aside",
                "held",
                "push_intents",
            )
        }
        made = self.settings.backup.path
        return {
            "rss MiB": _rss() / MIB,
            "file MiB": self.path.stat().st_size / MIB,
            "largest WAL MiB": self.largest_wal / MIB,
            **count,
            "backups": len(list(made.glob("*.db"))) if made.exists() else 0,
        }

    async def run(self, hours: float) -> list[dict[str, float]]:
        """Let it all happen for so long, then be quiet; the figures of each day."""
        await self.process.start()
        doings = [
            self.every_now_and_then(1.5, [self.person_edits, self.person_edits, self.person_adds_or_deletes]),
            self.every_now_and_then(2.0, [self.vendor_edits, self.vendor_adds_or_deletes]),
            self.every_now_and_then(2.0, [self.somebody_calls, self.smartflo_edits]),
            self.every_now_and_then(1.5, [self.a_fault] * 6 + [self.an_outage]),
            self.life_goes_on(),
            self.a_person_looks_in(),
            self.look(),
        ]
        tasks = [asyncio.create_task(one) for one in doings]
        days = []
        while hours > 0:
            passing = min(hours, 24.0)
            done, _ = await asyncio.wait(tasks, timeout=passing * HOUR, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # none should end
            hours -= passing
            self.world.journal.clear()
            days.append(self.figures())
            print(
                f"day {len(days)}:",
                ", ".join(f"{name} {value:.1f}" for name, value in days[-1].items()),
                flush=True,
            )
        while not self.in_order:
            await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        # The vendors are well again and nobody edits. Refused credentials pause for up to 6 hours.
        self.world.faults.clear()
        await asyncio.sleep(7 * HOUR)
        return days

    def check(self) -> None:
        """Both sides agree, nothing waits, and the file is sound."""
        assert not self.log.bug, self.log.bug
        assert self.sql("PRAGMA integrity_check") == [("ok",)]
        waits = self.sql(
            "SELECT id, contact_row, operation, state, last_error FROM change_queue WHERE state IN ('queued', 'sending', 'unknown')"
        )
        assert waits == []
        fields = "phone_no, first_name, last_name, email_id, company, job_title"
        here = {
            row[0]: tuple(value or "" for value in row[1:])
            for row in self.sql(
                f"SELECT contact_id, {fields} FROM telecmi_contacts WHERE deleted_at IS NULL AND contact_id IS NOT NULL"
            )
        }
        there = {
            one.contact_id: tuple(one.fields.get(name) or "" for name in fields.split(", "))
            for one in self.world.org().contacts.values()
        }
        parked = {
            row[0]
            for row in self.sql(
                "SELECT c.contact_id FROM change_queue q JOIN telecmi_contacts c ON c.id = q.contact_row "
                "WHERE q.state IN ('conflict', 'rejected', 'held')"
            )
        }
        assert set(here) == set(there)
        assert {k: v for k, v in here.items() if k not in parked} == {
            k: v for k, v in there.items() if k not in parked
        }
        phones = [fields[0][-10:] for fields in there.values()]
        assert len(phones) == len(set(phones)), "a number stands upstream twice"


#: A short life in which the most of it happens.
SHORT_SEED = 6


def _rss() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def soak(folder: Path, hours: float, seed: int, hurry: float = 1) -> tuple[Soak, list[dict[str, float]]]:
    async def body(time: Time) -> tuple[Soak, list[dict[str, float]]]:
        made = Soak(folder, seed, time, hurry)
        days = await made.run(hours)
        try:
            made.check()
        finally:
            print("what happened:", dict(made.happened))
            print("what was said:", dict(made.log.counts))
        await made.process.stop()
        return made, days

    return live(body, NOW)


@pytest.mark.soak
def test_two_hours_of_everything(tmp_path: Path) -> None:
    made, _ = soak(tmp_path, hours=2, seed=SHORT_SEED, hurry=5)
    assert {"edits here", "adds here", "edits there", "faults", "falls", "sleeps"} <= set(made.happened)


@pytest.mark.soak
def test_thirty_days_of_everything(tmp_path: Path) -> None:
    _, days = soak(tmp_path, hours=30 * 24, seed=2)
    warm, last = days[RETENTION_DAYS + 3], days[-1]
    assert last["rss MiB"] < warm["rss MiB"] + 30
    assert last["largest WAL MiB"] < 32
    for table in ("sync_runs", "change_log"):
        assert last[table] < 1.5 * warm[table]
    assert max(day["backups"] for day in days) <= KEEP
    assert last["file MiB"] < 2 * warm["file MiB"]
