"""Whole pulls over HTTP against what the network alone takes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import DIRECTORY, Bench, TooSlowError, directory_only, ended_well
from benchmarks.office import OFF, raw_config
from benchmarks.report import Line, Sample
from benchmarks.upstream import Upstream

#: The latency of every request, in seconds.
LATENCY = 0.05

#: The bare client asks for one page in so many, and its time is multiplied: it has nothing to grow tired of.
PART = 5


def pull16(bench: Bench) -> Iterator[Line]:
    """A user's list, 10 a page, 16 requests in flight."""
    yield from _user_list(bench, flight=16, limit=1.15)


def pull32(bench: Bench) -> Iterator[Line]:
    """The same with 32 in flight."""
    yield from _user_list(bench, flight=32, limit=1.25)


def _user_list(bench: Bench, *, flight: int, limit: float) -> Iterator[Line]:
    pages = bench.contacts // 10
    ideal = pages / flight * LATENCY
    with Upstream(users=bench.contacts, latency=LATENCY) as upstream:
        config = raw_config(
            upstream.port,
            telecmi={"voicemails": OFF, "contacts": OFF, "push": OFF, "concurrency": flight},
            smartflo=None,
        )
        yield from _against_the_wire(
            bench, config, upstream, jobs=("telecmi-user-contacts",), path="/v2/user/contact/get",
            pages=pages, flight=flight, ideal=ideal, limit=limit,
            what=f"first pull of {bench.contacts:,} contacts, 10 a page, 50 ms, {flight} in flight",
            against=f"pages / {flight} x 50 ms",
        )  # fmt: skip


def directory(bench: Bench) -> Iterator[Line]:
    """The directory's cursor, 100 a page: one request after the other."""
    pages = bench.contacts // 100
    with Upstream(directory=bench.contacts, latency=LATENCY) as upstream:
        yield from _against_the_wire(
            bench, directory_only(upstream.port), upstream, jobs=DIRECTORY, path="/v3/contact/get",
            pages=pages, flight=1, ideal=pages * LATENCY, limit=1.06,
            what=f"first pull of {bench.contacts:,} contacts by cursor, 100 a page, 50 ms",
            against="pages x 50 ms", rounds=bench.few,
        )  # fmt: skip


def _against_the_wire(
    bench: Bench, config: dict[str, object], upstream: Upstream, *, jobs: tuple[str, ...], path: str,
    pages: int, flight: int, ideal: float, limit: float, what: str, against: str, rounds: int = 0,
) -> Iterator[Line]:  # fmt: skip
    ours, bare, cpu = [], [], []
    for _ in range(rounds or bench.rounds):
        with bench.room() as room:
            orders = bench.office(room, config)
            try:
                told = ended_well(bench.child("sync", **orders, jobs=jobs, limit=ideal * 4 + 20))
            except TooSlowError as slow:
                yield Line(what, Sample.of([slow.limit], floor=True), against, Sample.of([ideal]), limit)
                return
        ours.append(told["wall"])
        cpu.append(told["cpu"])
        some = pages // PART
        told = bench.child("floor", port=upstream.port, path=path, bodies=some, flight=flight)
        bare.append(told["wall"] * pages / some)
    yield Line(what, Sample.of(ours), against, Sample.of([ideal]), limit)
    yield Line("the same", Sample.of(ours), "bare sockets", Sample.of(bare))
    yield Line("its processor time", Sample.of(cpu))
