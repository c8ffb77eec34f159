"""Other tools with the same pages, in the same run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.bench import DIRECTORY, Bench, directory_only
from benchmarks.office import write_config
from benchmarks.report import Line, Sample, Unit
from benchmarks.rows.pull import LATENCY
from benchmarks.upstream import ROOT, Upstream

OTHERS = ROOT / ".venv-bench" / "bin" / "python"

#: The passes, and the revision of the directory at each.
PASSES = {"first load": 0, "0.1 % changed": 1, "nothing changed": 1}

#: What is measured of each pass -> its label, its unit, and the divisor.
FIGURES: dict[str, tuple[str, Unit, float]] = {
    "wall": ("wall", "s", 1),
    "cpu": ("CPU", "s", 1),
    "peak": ("memory", "MB", 1),
    "written": ("written", "kB", 1000),
}

Figures = dict[str, float]
Tool = Callable[[Bench, str, Path], Figures]

NOTE = (
    "whole processes, start included, one pass each; Singer's is a tap and a target of the SDK, their memory "
    "added up (the published target-sqlite 0.2.0 does not start on Python 3.10 or newer). Only syncer detects "
    "deletions, keeps edits and a log of changes"
)


def ours(bench: Bench, url: str, room: Path) -> Figures:
    """`syncer sync telecmi-contacts`."""
    write_config(directory_only(int(url.rsplit(":", 1)[1])), room / "syncer.toml")
    return bench.child("command", args=["--config", str(room / "syncer.toml"), "sync", *DIRECTORY])


def other(module: str, bench: Bench, url: str, room: Path) -> Figures:
    """A module of `benchmarks.others`."""
    return bench.measured([str(OTHERS), "-m", f"benchmarks.others.{module}", url, str(room)], 900)


def singer(bench: Bench, url: str, room: Path) -> Figures:
    """A tap piped into a target."""
    del bench
    module = [str(OTHERS), "-m"]
    with (room / "tap.log").open("w+") as log:
        tap = subprocess.Popen(
            [*module, "benchmarks.others.singer_tap", url], cwd=ROOT, stdout=subprocess.PIPE, stderr=log
        )
        target = subprocess.run(
            [*module, "benchmarks.others.singer_target", str(room / "singer.db")],
            cwd=ROOT, stdin=tap.stdout, capture_output=True, text=True, check=False,
        )  # fmt: skip
        tap.wait(30)
        log.seek(0)
        output = log.read()
    if target.returncode or tap.returncode:
        raise RuntimeError(f"{output[-2000:]}\n{target.stderr[-2000:]}")
    source: Figures = json.loads(output.strip().splitlines()[-1])
    sink: Figures = json.loads(target.stdout.strip().splitlines()[-1])
    both = {name: source[name] + sink[name] for name in ("cpu", "peak")}
    return both | {"written": sink["written"], "rows": sink["rows"]}  # the tap only writes to the pipe


TOOLS: dict[str, Tool] = {
    "syncer": ours,
    "requests + sqlite-utils": partial(other, "plain"),
    "dlt": partial(other, "dlt_pull"),
    "Singer tap and target": singer,
}


def compare(bench: Bench) -> Iterator[Line]:
    """A first load, a run with 0.1 % changed, and a run with nothing changed."""
    if not OTHERS.exists():
        print(
            "the other tools are not installed: run `make bench` or `make .venv-bench/.ready`",
            file=sys.stderr,
        )
        return
    yield from _compare(bench, bench.compared, bench.rounds)
    yield from _compare(bench, 10 * bench.compared, bench.few)


def _compare(bench: Bench, contacts: int, rounds: int) -> Iterator[Line]:
    found: dict[tuple[str, str], list[Figures]] = {}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        for name, tool in TOOLS.items():
            if name in missing:
                continue
            with bench.room() as room, Upstream(directory=contacts, latency=LATENCY) as upstream:
                for stage, revision in PASSES.items():
                    upstream.control(revision=revision)
                    began = time.monotonic()
                    try:
                        figures = tool(bench, f"http://127.0.0.1:{upstream.port}", room)
                    except RuntimeError as error:
                        missing[name] = str(error)
                        print(f"{name} did not work: {error}", file=sys.stderr)
                        break
                    figures["wall"] = time.monotonic() - began
                    assert figures.get("rows", contacts) == contacts, (name, figures)
                    found.setdefault((name, stage), []).append(figures)
    yield from _goals(contacts, found)
    for stage in PASSES:
        for figure, (word, unit, divisor) in FIGURES.items():
            mine = Sample.of([one[figure] / divisor for one in found["syncer", stage]], unit)
            for name in TOOLS:
                theirs = found.get((name, stage))
                if theirs and name != "syncer":
                    baseline = Sample.of([one[figure] / divisor for one in theirs], unit)
                    yield Line(f"{stage}, {contacts:,} contacts: {word}", mine, name, baseline, notes=(NOTE,))
    for name, why in missing.items():
        yield Line(
            f"{name} did not work here", Sample.of([0], ""), notes=(why.strip().splitlines()[-1][:200],)
        )


def _goals(contacts: int, found: Mapping[tuple[str, str], Sequence[Figures]]) -> Iterator[Line]:
    """Wall time of each pass against the fastest other tool, and CPU time of the quiet pass against two of them."""

    def sample(name: str, stage: str, figure: str) -> Sample | None:
        there = found.get((name, stage))
        return Sample.of([one[figure] for one in there]) if there else None

    for stage in PASSES:
        mine = sample("syncer", stage, "wall")
        others = {name: wall for name in TOOLS if name != "syncer" and (wall := sample(name, stage, "wall"))}
        if mine is not None and others:
            fastest = min(others, key=lambda name: others[name].median)
            yield Line(f"whole process, {contacts:,} contacts, {stage}", mine, fastest, others[fastest], 1.0)
    quiet = list(PASSES)[-1]
    mine = sample("syncer", quiet, "cpu")
    for name, limit in (("requests + sqlite-utils", 2.0), ("dlt", 1 / 3)):
        theirs = sample(name, quiet, "cpu")
        if mine is not None and theirs is not None:
            yield Line(f"its CPU time, {contacts:,} contacts, {quiet}", mine, name, theirs, limit)
