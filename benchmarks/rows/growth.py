"""How cost grows with the number of contacts: the figures behind the plot in docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import DIRECTORY, Bench, directory_only, succeeded
from benchmarks.report import Line, Sample
from benchmarks.upstream import Upstream


def growth(bench: Bench) -> Iterator[Line]:
    """A first pull of the directory and a pull without changes, without latency: the cost on this machine."""
    for contacts in bench.sizes(0.1, 0.3, 1, large=(3, 10)):
        with bench.room() as room, Upstream(directory=contacts) as upstream:
            orders = bench.office(room, directory_only(upstream.port))
            first = succeeded(bench.child("sync", **orders, jobs=DIRECTORY, limit=3600))
            size = (room / "mirror.db").stat().st_size / 1e6
            quiet = succeeded(bench.child("sync", **orders, jobs=DIRECTORY, limit=3600))
        of = f"{contacts:,} contacts"
        yield Line(f"{of}, first pull: wall", Sample.of([first["wall"]]))
        yield Line(f"{of}, first pull: CPU", Sample.of([first["cpu"]]))
        yield Line(f"{of}, quiet pull: wall", Sample.of([quiet["wall"]]))
        yield Line(f"{of}, quiet pull: CPU", Sample.of([quiet["cpu"]]))
        yield Line(f"{of}: peak of memory", Sample.of([max(first["peak"], quiet["peak"])], "MB"))
        yield Line(f"{of}: file", Sample.of([size], "MB"))
