"""Whole pulls over HTTP, compared with the network alone."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import DIRECTORY, Bench, TooSlowError, directory_only, succeeded
from benchmarks.office import OFF, raw_config
from benchmarks.report import Line, Sample
from benchmarks.upstream import Upstream

#: The latency of every request, in seconds.
LATENCY = 0.05

#: The bare client requests one page in this many, and its time is multiplied.
PART = 5

#: Requests in flight.
FLIGHT = 16

#: TeleCMI's default budget, in requests a second.
BUDGET = 5.0


def user_list(bench: Bench) -> Iterator[Line]:
    """A user list, 10 per page, 16 requests in flight."""
    pages = bench.contacts // 10
    ideal = pages / FLIGHT * LATENCY
    with Upstream(users=bench.contacts, latency=LATENCY) as upstream:
        config = raw_config(
            upstream.port,
            telecmi={"voicemails": OFF, "contacts": OFF, "push": OFF, "concurrency": FLIGHT},
            smartflo=None,
        )
        yield from _against_the_wire(
            bench, config, upstream, jobs=("telecmi-user-contacts",), path="/v2/user/contact/get",
            pages=pages, flight=FLIGHT, ideal=ideal, limit=1.2,
            what=f"first pull of a user's list of {bench.contacts:,}, 10 a page, 50 ms, {FLIGHT} in flight",
            against=f"pages / {FLIGHT} x 50 ms",
        )  # fmt: skip


def directory(bench: Bench) -> Iterator[Line]:
    """The directory by cursor, 100 per page, one request after the other."""
    pages = bench.contacts // 100
    with Upstream(directory=bench.contacts, latency=LATENCY) as upstream:
        yield from _against_the_wire(
            bench, directory_only(upstream.port), upstream, jobs=DIRECTORY, path="/v3/contact/get",
            pages=pages, flight=1, ideal=pages * LATENCY, limit=1.06,
            what=f"first pull of {bench.contacts:,} contacts by cursor, 100 a page, 50 ms",
            against="pages x 50 ms", rounds=bench.few,
        )  # fmt: skip


def budget(bench: Bench) -> Iterator[Line]:
    """The directory with the default budget."""
    pages = bench.compared // 100
    took = []
    for _ in range(bench.few):
        with bench.room() as room, Upstream(directory=bench.compared, latency=LATENCY) as upstream:
            config = directory_only(upstream.port, requests_per_second=BUDGET)
            orders = bench.office(room, config)
            result = succeeded(bench.child("sync", **orders, jobs=DIRECTORY, paced=True))
            requests = result["runs"][0]["requests"]
            took.append(result["wall"])
    yield Line(
        f"first pull of {bench.compared:,} contacts at {BUDGET:g} requests a second",
        Sample.of(took), f"{requests} requests / {BUDGET:g} a second", Sample.of([requests / BUDGET]), 1.02,
        notes=(f"{pages} pages are needed; one more proves that the list did not change meanwhile",),
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
                result = succeeded(bench.child("sync", **orders, jobs=jobs, limit=ideal * 4 + 20))
            except TooSlowError as slow:
                yield Line(what, Sample.of([slow.limit], floor=True), against, Sample.of([ideal]), limit)
                return
        ours.append(result["wall"])
        cpu.append(result["cpu"])
        some = pages // PART
        result = bench.child("floor", port=upstream.port, path=path, bodies=some, flight=flight)
        bare.append(result["wall"] * pages / some)
    yield Line(what, Sample.of(ours), against, Sample.of([ideal]), limit)
    yield Line("the same", Sample.of(ours), "bare sockets", Sample.of(bare))
    yield Line("its CPU time", Sample.of(cpu))
