"""`make bench`, or `python -m benchmarks [ROW...]`: runs the benchmarks and prints a table."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import docs
from benchmarks.bench import Bench
from benchmarks.report import Line, line_of, table
from benchmarks.rows import compare, growth, lookup, memory, page, pull, push, quiet, start, waiting, watch
from benchmarks.upstream import ROOT

ROWS: dict[str, Callable[[Bench], Iterator[Line]]] = {
    "compare": compare.compare,
    "directory": pull.directory,
    "user-list": pull.user_list,
    "budget": pull.budget,
    "push": push.push,
    "quiet": quiet.quiet,
    "memory": memory.memory,
    "waiting": waiting.waiting,
    "edit": watch.edit,
    "start": start.start,
    "idle": watch.idle,
    "search": start.search,
    "lookup": lookup.lookup,
    "page": page.page,
    "growth": growth.growth,
}


def machine() -> str:
    """The machine and versions of this run."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{platform.system()} {platform.release().split('-')[0]}"
    )


def main() -> int:
    """Run the named rows, or all of them."""
    given = _arguments()
    if given.write_docs:
        figures = json.loads(given.write_docs.read_text(encoding="utf-8"))
        docs.fill(given.write_docs, figures["machine"], [line_of(one) for one in figures["lines"]])
        return 0
    # As pip installs the other tools and would install syncer.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for package in ("syncer", "benchmarks"):
        compileall.compile_dir(ROOT / package, quiet=1)
    bench = Bench(
        rounds=given.rounds,
        contacts=given.contacts,
        compared=given.compared,
        idle_s=given.idle,
        big=given.big,
    )
    lines: list[Line] = []
    failed: list[str] = []
    try:
        for name in given.rows or ROWS:
            began = time.monotonic()
            try:
                for line in ROWS[name](bench):
                    lines.append(replace(line, row=name))
                    print(f"  {' | '.join(lines[-1].cells())}", file=sys.stderr, flush=True)
            except (RuntimeError, AssertionError) as error:  # continue with the other rows
                failed.append(name)
                print(f"{name} could not be measured: {error}", file=sys.stderr)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            if given.json:
                _keep(given.json, name, [line for line in lines if line.row == name])
    finally:
        bench.close()
        print(f"{machine()}\n\n{table(lines)}")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=3, help="measurements per figure (3)")
    parser.add_argument(
        "--contacts", type=int, default=100_000, help="contacts of the large account (100000)"
    )
    parser.add_argument(
        "--compared",
        type=int,
        default=10_000,
        help="contacts for the comparison with other tools, which also runs with ten times as many (10000)",
    )
    parser.add_argument(
        "--idle", type=float, default=60.0, metavar="S", help="seconds to watch the idle daemon (60)"
    )
    parser.add_argument("--big", action="store_true", help="also measure a million contacts")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="save the figures in FILE, and replace those of the same row",
    )
    parser.add_argument("--write-docs", type=Path, metavar="FILE", help="only update the docs from FILE")
    given = parser.parse_args()
    unknown = [name for name in given.rows if name not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; the rows are {', '.join(ROWS)}")
    return given


def _keep(path: Path, row: str, lines: Sequence[Line]) -> None:
    """Save the figures of a row, and replace those of an earlier run."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"lines": []}
    kept = [one for one in old["lines"] if one["row"] != row] + [line.as_json() for line in lines]
    kept.sort(key=lambda one: list(ROWS).index(one["row"]))
    path.write_text(
        json.dumps({"machine": machine(), "lines": kept}, indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    sys.exit(main())
