"""What a cycle writes in which little or nothing changed upstream."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import DIRECTORY, Bench, directory_only, ended_well
from benchmarks.report import Line, Sample
from benchmarks.upstream import Upstream

NOTE = (
    "bytes are those given to write calls on files (wchar of /proc/self/io): database, WAL, what a checkpoint "
    "copies at the end, lock files and log lines"
)


def quiet(bench: Bench) -> Iterator[Line]:
    """A second pull in which nothing changed, then pulls in which one contact in a thousand did."""
    still, still_wall, still_cpu, moved = [], [], [], []
    changed = 0
    with bench.room() as room, Upstream(directory=bench.contacts) as upstream:
        orders = bench.office(room, directory_only(upstream.port), contacts=bench.contacts)
        for n in range(bench.rounds):
            told = ended_well(bench.child("sync", **orders, jobs=DIRECTORY))
            still.append(told["written"] / 1000)
            still_wall.append(told["wall"])
            still_cpu.append(told["cpu"])
            upstream.control(revision=n + 1)
            told = ended_well(bench.child("sync", **orders, jobs=DIRECTORY))
            changed = told["runs"][0]["changed"]
            assert changed == bench.contacts // 1000, told["runs"]
            moved.append(told["written"] / 1000 / changed)
    of = f"{bench.contacts:,} contacts"
    yield Line(
        f"{of}, nothing changed: bytes written",
        Sample.of(still, "kB"),
        limit=100,
        judged="ours",
        notes=(NOTE,),
    )
    yield Line("its wall time, no latency", Sample.of(still_wall))
    yield Line("its processor time", Sample.of(still_cpu))
    yield Line(
        f"{changed} of {of} changed: bytes written for each", Sample.of(moved, "kB"), limit=10, judged="ours"
    )
