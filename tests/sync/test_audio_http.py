"""Recordings over real HTTP: cut, slow, hanging, endless, unmeasured; and the secret in the address."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.clock import SystemClock
from syncer.config import Settings
from syncer.config.load import settings_from
from syncer.errors import TransientError
from syncer.logs import get_logger, set_up_logs
from syncer.remote.tokens import TokenStore
from syncer.sandbox import World, running
from syncer.sandbox.sound import Sound
from syncer.store.db.connection import Database
from syncer.sync import jobs, registry
from syncer.sync.env import build
from syncer.sync.open_database import open_database
from syncer.sync.run import Run
from tests.office import LOGIN, blank_database, unpaced
from tests.remote.fakes import listening, read_request

NAMES = ("1795253400_a.mp3", "1795253401_b.wav")


class Place:
    """A mirror that keeps the recordings of a vendor on loopback."""

    def __init__(self, folder: Path, url: str, **account: Any) -> None:
        self.settings: Settings = unpaced(
            settings_from(
                {
                    "database": {"url": "sqlite:///mirror.db"},
                    "telecmi": {"main": {"base_url": url, **LOGIN, "audio": {"enabled": True}, **account}},
                },
                folder,
                {},
            )
        )
        self.folder = folder
        self.settings.database.path.write_bytes(blank_database())

    def leave(self, *names: str) -> None:
        """Voicemails are in the mirror."""
        with open_database(self.settings) as db, db.write() as conn:
            for name in names:
                conn.exec_driver_sql(
                    "INSERT INTO telecmi_voicemails (account, voicename, received_at) VALUES ('main', ?, ?)",
                    (name, "2026-11-21T12:00:00.000Z"),
                )

    def run(self, patience: float = math.inf) -> Run:
        chosen = registry.select(registry.specs(self.settings), ["telecmi-audio"], None)

        async def work() -> Run:
            with open_database(self.settings) as db:
                env = build(self.settings, db, SystemClock(), tokens=TokenStore(None))
                env.sources["telecmi.main"].api.patience = patience
                try:
                    return await jobs.run_job(env, chosen[0], person=True)
                finally:
                    await env.aclose()

        return asyncio.run(work())

    def rows(self) -> list[tuple[Any, ...]]:
        with Database(self.settings.database.path) as db, db.read() as conn:
            query = (
                "SELECT state, bytes, sha256, attempts, last_error FROM voicemail_audio ORDER BY voicemail"
            )
            return [tuple(row) for row in conn.exec_driver_sql(query)]

    def files(self) -> list[Path]:
        return [path for path in self.settings.audio.path.rglob("*") if path.is_file()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[World, Place]]:
    """A vendor with two recordings, and a mirror that has their voicemails; calls time out after a second."""
    made = World()
    for name in NAMES:
        made.voicemail_insert(None, 919_200_000_003, name)
    with running(made) as url:
        place = Place(tmp_path, url, timeout="1s")
        place.leave(*NAMES)
        yield made, place


def fault(world: World, kind: str, name: str = "", times: int | None = 1, **more: Any) -> None:
    match = {"path": "/v2/play", **({"contains": name} if name else {})}
    world.faults.add({"match": match, "kind": kind, "times": times, **more})


def test_a_cut_recording_is_not_there_and_comes_whole_the_next_time(world: tuple[World, Place]) -> None:
    vendor, place = world
    fault(vendor, "half_body", NAMES[0])
    run = place.run()
    assert (run.outcome, run.added) == ("incomplete", 1) and "the connection broke" in run.problem
    assert [row[0] for row in place.rows()] == ["waiting", "kept"] and len(place.files()) == 1
    assert place.run().added == 1
    assert [row[2] for row in place.rows()] == [Sound.of(name).sha256() for name in NAMES]


def test_one_that_comes_slowly_may_take_longer_than_a_call_but_not_forever(
    world: tuple[World, Place],
) -> None:
    vendor, place = world
    vendor.settings.change({"telecmi.audio_bytes": 30_000})
    fault(vendor, "drip", NAMES[0], bytes=2_000, seconds=0.1)  # 20 kB a second
    fault(vendor, "drip", NAMES[1], bytes=100, seconds=0.1)
    began = time.monotonic()
    run = place.run()
    assert 1.5 < time.monotonic() - began < 4
    assert [row[0] for row in place.rows()] == ["kept", "waiting"] and "no complete answer" in run.problem


def test_a_vendor_that_hangs_does_not_hold_up_a_persons_sync(world: tuple[World, Place]) -> None:
    vendor, place = world
    fault(vendor, "hang", times=None, seconds=30)
    began = time.monotonic()
    run = place.run(patience=0.5)
    assert time.monotonic() - began < 5 and run.seen == 1, "the second is not even tried"
    assert run.outcome == "incomplete" and place.files() == []
    run = place.run(patience=0)  # other jobs have waited long enough
    assert (run.outcome, run.seen) == ("incomplete", 0) and run.problem.startswith("not tried: ")


def test_where_nobody_answers_no_try_is_spent(tmp_path: Path) -> None:
    place = Place(tmp_path, "http://127.0.0.1:9", timeout="1s")
    place.leave(*NAMES)
    run = place.run(patience=0.1)
    assert isinstance(run.error, TransientError) and run.outcome in ("failed", "incomplete")
    assert [row[3] for row in place.rows()] == [0, 0]


def test_an_answer_without_a_length_is_believed_once_it_comes_twice(tmp_path: Path) -> None:
    sound = b"".join(Sound.of("a.mp3").pieces())
    bodies = [sound[:700], sound, sound]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bodies.pop(0))
        await writer.drain()

    async def fetch() -> list[str]:
        states = []
        async with listening(serve) as url:
            place = Place(tmp_path, url)
            place.leave("a.mp3")
            for _ in range(3):
                run = await asyncio.to_thread(place.run)
                assert run.outcome == "ok", run.problem
                states.append(place.rows()[0][0])
        assert len(place.files()) == 1 and place.files()[0].read_bytes() == sound
        return states

    assert asyncio.run(fetch()) == ["waiting", "waiting", "kept"]


def test_the_secret_in_the_address_reaches_no_log_no_error_and_no_file(
    world: tuple[World, Place], capsys: pytest.CaptureFixture[str]
) -> None:
    vendor, place = world
    set_up_logs("debug", {})
    try:
        said = []
        for kind, more in (
            ("half_body", {}), ("html200", {}), ("http", {"status": 503}), ("drop", {}), ("bad_token", {}), ("too_many", {}),
            ("code", {"code": 404}), ("drop_after", {}), ("hang", {"seconds": 5}),
        ):  # fmt: skip
            vendor.faults.clear()
            fault(vendor, kind, times=None, **more)
            run = place.run(patience=0.1)
            get_logger().warning("failing", problem=run.problem, error=run.error, run=repr(run))
            said += [run.problem, repr(run.error), repr(run.error.__cause__ if run.error else None)]
        vendor.faults.clear()
        assert place.run().added == 2
    finally:
        set_up_logs("warning", {})
    log = capsys.readouterr().err
    assert log.count("failing") >= 9
    held = b"".join(path.read_bytes() for path in place.folder.rglob("*") if path.is_file())
    secret = LOGIN["secret"]
    assert len([one for one in said if one]) > 9
    assert secret not in " ".join(said) and secret not in log and secret.encode() not in held
    assert "/v2/play?" not in log


@pytest.mark.parametrize("size", [20_000_000, pytest.param(100_000_000, marks=pytest.mark.soak)])
def test_a_large_recording_costs_no_memory(world: tuple[World, Place], size: int) -> None:
    vendor, place = world
    vendor.settings.change({"telecmi.audio_bytes": size, "telecmi.audio_kind": "wav"})
    place.run()
    tracemalloc.start()
    try:
        with open_database(place.settings) as db, db.write() as conn:
            conn.exec_driver_sql("UPDATE voicemail_audio SET state = 'waiting'")
        for path in place.files():
            path.unlink()
        assert place.run().added == 2
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    for name, path in zip(NAMES, sorted(place.files()), strict=True):
        with path.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == Sound.of(name, "wav", size).sha256()
