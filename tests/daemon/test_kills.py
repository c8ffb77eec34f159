"""kill -9 at random during everything: the file is sound each time, and the end is that of a life without a kill.

A real daemon, a real file, the sandbox over real HTTP. Some minutes: `make soak`
runs it. One kill in the middle of a push runs with the other tests (`test_process`).
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.sandbox import World, running
from tests.daemon.conftest import Daemon, until

FIELDS = ("phone_no", "first_name", "last_name", "email_id", "company", "job_title")

CONFIG = """
[database]
url = "sqlite:///syncer.db"
[telecmi.main]
base_url = "{url}"
app_id = 1111113
secret = "sandbox-secret"
user_id = "101_1111113"
password = "sandbox-password"
requests_per_second = 500.0
max_deletions = "100%"  # a daemon that seldom lives to see a whole listing meets many deletions at once
voicemails = {{ every = "1s", since = "2d" }}
contacts = {{ every = "1s" }}
user_contacts = {{ every = "1s" }}
push = {{ every = "1s", deletes = true }}
[smartflo.main]
base_url = "{url}"
token = "sandbox-token"
requests_per_second = 500.0
contacts = {{ every = "1s" }}
[backup]
enabled = true
every = "1s"
keep = 2
[retention]
runs = "1d"
"""


class Home:
    """One daemon and its vendors, with a sequence of edits."""

    def __init__(self, folder: Path, url: str, world: World) -> None:
        folder.mkdir()
        self.world = world
        self.daemon = Daemon(folder, url)
        self.daemon.config.write_text(CONFIG.format(url=url))
        self.process = self.daemon.start()
        self.daemon.wait_for_first_round()
        #: Rows that people edit, and those that the vendor does: what comes out depends on no race.
        self.ours = [
            row[0]
            for row in self.daemon.query(
                "SELECT contact_id FROM telecmi_contacts WHERE contact_id IS NOT NULL ORDER BY id LIMIT 20"
            )
        ]
        self.theirs = [one for one in world.org().contacts if one not in self.ours]

    def tell(self, rng: random.Random, number: int) -> None:
        """One chapter: an edit, an add and a delete here; an edit, an add, a delete and a voicemail there."""
        edit, world = self.daemon.edit, self.world
        edit(
            "UPDATE telecmi_contacts SET company = ? WHERE contact_id = ?",
            f"Example {number}",
            rng.choice(self.ours),
        )
        edit(
            "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES (?, 'Asha', ?)",
            f"92001{number:05}",
            f"Example {number}",
        )
        if number % 3 == 0 and len(self.ours) > 5:
            edit(
                "DELETE FROM telecmi_contacts WHERE contact_id = ?",
                self.ours.pop(rng.randrange(len(self.ours))),
            )
        world.contact_update(rng.choice(self.theirs), {"job_title": f"Chief {number}"})
        world.contact_insert(
            {"phone_no": f"9192002{number:05}", "first_name": "Ravi", "last_name": f"Example {number}"}
        )
        if number % 5 == 0 and len(self.theirs) > 5:
            world.contact_delete(self.theirs.pop(rng.randrange(len(self.theirs))))
        world.voicemail_insert(
            int(time.time() * 1000), 919200000000 + number, f"{int(time.time())}_{number}.mp3"
        )
        world.smartflo_upsert(None, {"phone_number": f"+9192003{number:05}", "name": f"Example {number}"})

    def wait_until_it_works(self) -> None:
        """The process of now has begun with its jobs: a run of it is on record."""
        seen = self.daemon.query("SELECT coalesce(max(id), 0) FROM sync_runs")[0][0]
        until(lambda: self.daemon.query("SELECT 1 FROM sync_runs WHERE id > ?", seen), "a run", 60.0)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def sound(self) -> None:
        assert self.daemon.query("PRAGMA integrity_check") == [("ok",)]
        assert self.daemon.query("PRAGMA foreign_key_check") == []
        for copy in self.daemon.folder.glob("backups/*.db"):
            with contextlib.closing(sqlite3.connect(copy)) as conn:
                assert conn.execute("PRAGMA quick_check").fetchall() == [("ok",)]

    def settled(self) -> bool:
        """Nothing waits, and the mirror shows what upstream holds."""
        open_ = self.daemon.query(
            "SELECT count(*) FROM change_queue WHERE state NOT IN ('done', 'discarded')"
        )
        return (
            open_ == [(0,)]
            and self.here() == self.there()
            and len(self.voicemails()) == len(self.world.org().voicemails)
        )

    def here(self) -> list[tuple[str, ...]]:
        rows = self.daemon.query(
            f"SELECT {', '.join(FIELDS)} FROM telecmi_contacts WHERE deleted_at IS NULL AND contact_id IS NOT NULL"
        )
        return sorted((row[0][-10:], *(value or "" for value in row[1:])) for row in rows)

    def there(self) -> list[tuple[str, ...]]:
        every = [one.fields for one in self.world.org().contacts.values()]
        return sorted(
            (str(one["phone_no"])[-10:], *(str(one.get(name) or "") for name in FIELDS[1:])) for one in every
        )

    def voicemails(self) -> list[Any]:
        return self.daemon.query("SELECT from_number FROM telecmi_voicemails ORDER BY 1")

    def result(self) -> dict[str, Any]:
        """What people see in the end, on both sides."""
        return {
            "upstream": self.there(),
            "mirror": self.here(),
            "tombstones": sorted(
                self.daemon.query("SELECT phone_no FROM telecmi_contacts WHERE deleted_at IS NOT NULL")
            ),
            "smartflo": self.daemon.query(
                "SELECT phone_number, name FROM smartflo_contacts WHERE deleted_at IS NULL ORDER BY 1, 2"
            ),
            "voicemails": self.voicemails(),
            "unsettled": self.daemon.query(
                "SELECT operation, state FROM change_queue WHERE state NOT IN ('done', 'discarded')"
            ),
            "held": self.daemon.query("SELECT job FROM held WHERE decided_at IS NULL"),
        }


@contextlib.contextmanager
def home(folder: Path) -> Iterator[Home]:
    world = World()
    world.seed(contacts=40, voicemails=0, smartflo=10, user_contacts=4, seed=5)
    with running(world) as url:
        made = Home(folder, url, world)
        try:
            yield made
        finally:
            for process in made.daemon.processes:
                process.kill()
                process.wait(10)


def story(folder: Path, seed: int, chapters: int, *, kills: bool) -> dict[str, Any]:
    """Make the edits. With `kills` the daemon is killed in each round, at a random moment."""
    told, fate = random.Random(seed), random.Random(seed + 1)
    with home(folder) as made:
        for number in range(chapters):
            told_already = False
            if not kills:
                made.tell(told, number)
                if number % 10 == 9:
                    until(made.settled, "a settled chapter", 300.0)
                continue
            if fate.random() < 0.3:
                time.sleep(fate.uniform(0.0, 1.5))  # while it starts
            else:
                made.wait_until_it_works()
                if fate.random() < 0.7:  # else the edits come while nobody is there
                    made.tell(told, number)
                    told_already = True
                time.sleep(fate.uniform(0.0, 1.5))
            made.kill()
            made.sound()
            if not told_already:
                made.tell(told, number)
            made.process = made.daemon.start()
        until(made.settled, "the end of it", 300.0)
        made.sound()
        return made.result()


@pytest.mark.soak
def test_a_hundred_kills_change_nothing_of_the_end(tmp_path: Path) -> None:
    kills = story(tmp_path / "killed", 4, 100, kills=True)
    assert kills == story(tmp_path / "spared", 4, 100, kills=False)
