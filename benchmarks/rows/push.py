"""Pushes thousands of edits."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from benchmarks.bench import Bench, TooSlowError, directory_only, one, succeeded
from benchmarks.report import Line, Sample
from benchmarks.rows.pull import BUDGET, LATENCY
from benchmarks.upstream import Upstream


def push(bench: Bench) -> Iterator[Line]:
    """A bulk UPDATE of a tenth of the contacts, pushed with the default budget."""
    # The minimum: a listing before, a call per hundred updates, a listing after. Listings of several pages read the
    # first one again. In addition, a push reads back on the way, so that a large one is not unknown until its end.
    edits = bench.contacts // 10
    pages = edits // 100
    needed = 2 * (pages + (pages > 1)) + pages
    ideal = needed / BUDGET
    ours, calls = [], []
    what = f"{edits:,} edits of {edits:,} contacts at {BUDGET:g} requests a second"
    against = f"{needed} calls / {BUDGET:g} a second"
    for n in range(bench.few):
        with bench.room() as room, Upstream(directory=edits, latency=LATENCY) as upstream:
            orders = bench.office(
                room, directory_only(upstream.port, requests_per_second=BUDGET), contacts=edits
            )
            with contextlib.closing(sqlite3.connect(room / "mirror.db")) as shell, shell:
                shell.execute("UPDATE telecmi_contacts SET job_title = ?", (f"Pushed {n}",))
            try:
                succeeded(
                    result := bench.child(
                        "sync", **orders, jobs=("telecmi-push",), paced=True, limit=ideal * 4 + 20
                    )
                )
            except TooSlowError as slow:
                done = one(room / "mirror.db", "SELECT count(*) FROM change_queue WHERE state = 'done'")
                note = f"{done:,} of {edits:,} were done when it was stopped"
                yield Line(
                    what,
                    Sample.of([slow.limit], floor=True),
                    against,
                    Sample.of([ideal]),
                    1.05,
                    notes=(note,),
                )
                return
            done = one(room / "mirror.db", "SELECT count(*) FROM change_queue WHERE state = 'done'")
            assert done == edits == upstream.control()["edited"], done
        ours.append(result["wall"])
        calls.append(result["runs"][0]["requests"])
    made = Sample.of([number / BUDGET for number in calls])
    yield Line(what, Sample.of(ours), f"{calls[-1]} calls / {BUDGET:g} a second", made, 1.05)
    yield Line("its calls", Sample.of(calls, ""), "calls at the least", Sample.of([needed], ""))
