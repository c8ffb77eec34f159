"""The storing path alone: parsed pages to committed rows, against `sqlite3` and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.report import Line, Sample


def storing(bench: Bench) -> Iterator[Line]:
    """Parsed pages of the directory into the mirror, bases, log and triggers included."""
    first, again, plain, plain_again = [], [], [], []
    for _ in range(bench.rounds):
        with bench.room() as room:
            told = bench.child("storing", folder=str(room), contacts=bench.contacts)
            first.append(told["first"])
            again.append(told["again"])
            plain.append(told["plain"])
            plain_again.append(told["plain_again"])
    rows = f"{bench.contacts:,} rows"
    raw = Sample.of(plain)
    yield Line(f"{rows}, first load", Sample.of(first), "executemany of sqlite3", raw, 3.0)
    yield Line(f"{rows}, nothing changed", Sample.of(again), "executemany of sqlite3", raw, 1.0)
    upsert = Sample.of(plain_again)
    yield Line(f"{rows}, nothing changed", Sample.of(again), "its upsert of the same rows again", upsert)
