"""Recordings and kill -9: at every step, and at random among faults of every kind.

Real processes, real files, real HTTP. After each kill no file has a recording's name without being whole, no row
claims what is not there, and nothing half fetched outlives the next run.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncer.sandbox import World, running
from syncer.sandbox.sound import Sound
from syncer.sync.open_database import open_database
from tests.office import blank_database
from tests.sync.audio_child import settings_of
from tests.sync.forks import Live, forking


class Bed:
    """A vendor, and a program that can be killed."""

    def __init__(self, folder: Path, url: str, world: World, live: Live) -> None:
        self.folder = folder
        self.url = url
        self.world = world
        self._live = live
        self.audio = folder / "audio"
        (folder / "mirror.db").write_bytes(blank_database())

    def leave(self, *names: str) -> None:
        """Voicemails, upstream and in the mirror."""
        for name in names:
            self.world.voicemail_insert(None, 919_200_000_003, name)
        with open_database(settings_of(self.folder, self.url)) as db, db.write() as conn:
            for name in names:
                conn.exec_driver_sql(
                    "INSERT INTO telecmi_voicemails (account, voicename, received_at) VALUES ('main', ?, ?)",
                    (name, "2026-11-21T12:00:00.000Z"),
                )

    def live(self, **order: Any) -> int:
        """One life of the program; the signal that ended it, or 0."""
        return self._live(folder=str(self.folder), url=self.url, **order)

    def rows(self) -> dict[str, tuple[Any, ...]]:
        """By name: state, path, bytes, checksum."""
        query = (
            "SELECT v.voicename, a.state, a.path, a.bytes, a.sha256 "
            "FROM voicemail_audio a JOIN telecmi_voicemails v ON v.id = a.voicemail"
        )
        with closing(sqlite3.connect(self.folder / "mirror.db", timeout=10)) as conn:
            return {name: rest for name, *rest in conn.execute(query)}

    def fetched(self, *names: str) -> int:
        """How often these were asked for."""
        asked = [request.query for request in self.world.requests() if request.path == "/v2/play"]
        return sum(query is not None and query.get("file") in names for query in asked)

    def check(self, *, ended: bool) -> int:
        """What holds after every life of the program; after one that `ended` by itself nothing is half fetched."""
        rows = self.rows()
        truth = {name: Sound.of(name).sha256() for name in rows}
        by_path = {path: name for name, (_, path, _, _) in rows.items() if path}
        for file in [path for path in self.audio.rglob("*") if path.is_file()]:
            if file.name.startswith("."):
                assert not ended, f"{file.name} outlived a run"
                continue
            name = by_path[str(file.relative_to(self.audio))]  # each file is known to a row
            assert hashlib.sha256(file.read_bytes()).hexdigest() == truth[name]
        kept = [(name, path, size, sha) for name, (state, path, size, sha) in rows.items() if state == "kept"]
        for name, path, size, sha in kept:
            assert ((self.audio / path).stat().st_size, sha) == (size, truth[name])
        return len(kept)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    world = World()
    with running(world) as url, forking("tests.sync.audio_child") as live:
        yield Bed(tmp_path, url, world, live)


def test_a_kill_at_each_step_leaves_nothing_half_and_nothing_untrue(bed: Bed) -> None:
    names = ["a.mp3", "b.wav", "never.mp3"]
    bed.leave(*names)
    match = {"path": "/v2/play", "contains": "never.mp3"}
    bed.world.faults.add({"match": match, "kind": "code", "code": 502, "times": None})
    killed = 0
    for step in range(1, 99):
        if not bed.live(kill_at=step, hours=step):
            break
        killed += 1
        bed.check(ended=False)
    assert killed >= 3
    assert bed.check(ended=True) == 2
    assert bed.fetched("a.mp3", "b.wav") >= 2
    before = bed.fetched("a.mp3", "b.wav")
    assert bed.live(hours=200) == 0 and bed.check(ended=True) == 2
    assert bed.fetched("a.mp3", "b.wav") == before, "what is kept is not fetched again"


FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "half_body", "times": 2},
    {"kind": "drip", "bytes": 200, "seconds": 0.01, "times": 2},
    {"kind": "drip", "bytes": 10, "seconds": 0.2, "times": 1},
    {"kind": "code", "code": 502, "times": 3},
    {"kind": "code", "code": 502, "times": None},
    {"kind": "empty_body", "times": 2},
    {"kind": "html200", "times": 2},
    {"kind": "junk", "times": 2},
    {"kind": "drop_after", "times": 2},
    {"kind": "http", "status": 503, "times": 2},
    {"kind": "code", "code": 500, "times": 2},
)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_five_hundred_recordings_with_faults_and_fifty_kills(bed: Bed, seed: int) -> None:
    rand = random.Random(seed)
    names = [f"{1795253400000 + n}_{n}.{rand.choice(('mp3', 'wav'))}" for n in range(500)]
    bed.leave(*names)
    never = set()
    for name in names:
        if rand.random() < 0.5:
            fault = rand.choice(FAULTS)
            if fault["times"] is None:
                never.add(name)
            bed.world.faults.add({**fault, "match": {"path": "/v2/play", "contains": name}})
    kills = lives = 0
    while kills < 50:
        lives += 1
        assert lives < 200
        kills += bed.live(hours=lives, kill_after=rand.uniform(0.15, 0.8)) != 0
        bed.check(ended=False)
    for more in range(1, 140):
        assert bed.live(hours=lives + more) == 0
        kept = bed.check(ended=True)
        states = {name: state for name, (state, *_) in bed.rows().items()}
        if "waiting" not in states.values():
            break
    assert {name for name, state in states.items() if state == "gone"} == never
    assert kept == 500 - len(never), states
