"""How long commands and SQL searches take with 100,000 contacts."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import people
from benchmarks.bench import Bench, directory_only
from benchmarks.office import write_config
from benchmarks.report import Line, Sample
from benchmarks.upstream import ROOT

TIMES = 10


def start(bench: Bench) -> Iterator[Line]:
    """`syncer --help`, `status` and `contacts`, each in its own process."""
    with bench.room() as room:
        config = room / "syncer.toml"
        write_config(directory_only(1), config)
        shutil.copy(bench.mirror(bench.contacts), room / "mirror.db")
        program = [str(Path(sys.executable).with_name("syncer")), "--config", str(config)]
        number = f"+91{people.mobile(bench.contacts // 2)}"
        commands = {
            "syncer --help": ([*program[:1], "--help"], 0.1),
            "syncer status": ([*program, "status"], 0.25),
            "syncer contacts show": ([*program, "contacts", "show", number], 0.25),
            "syncer contacts list --search": ([*program, "contacts", "list", "--search", number], None),
        }
        took: dict[str, list[float]] = {}
        for _ in range(TIMES):
            took.setdefault("python", []).append(_seconds([sys.executable, "-c", "pass"]))
            for name, (command, _) in commands.items():
                took.setdefault(name, []).append(_seconds(command))
    python = Sample.of(took["python"])
    for name, (_, limit) in commands.items():
        what = f"`{name}`, {bench.contacts:,} contacts"
        yield Line(what, Sample.of(took[name]), "python -c pass", python, limit, "ours")


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def search(bench: Bench) -> Iterator[Line]:
    """Searches by phone and by name, in the table and the view, with SQLite's query plan."""
    number = bench.contacts // 2
    first, last = people.names(number)
    phone = f"+91{people.mobile(number)}"
    searches = {
        "telecmi_contacts by phone": ("SELECT * FROM telecmi_contacts WHERE phone_e164 = ?", (phone,)),
        "telecmi_contacts by name": (
            "SELECT * FROM telecmi_contacts WHERE last_name = ? AND first_name = ?", (last, first),
        ),
        "view contacts by phone": ("SELECT * FROM contacts WHERE phone_e164 = ?", (phone,)),
    }  # fmt: skip
    with contextlib.closing(sqlite3.connect(bench.mirror(bench.contacts))) as conn:
        for name, (query, values) in searches.items():
            took = []
            for _ in range(TIMES * 2):
                began = time.perf_counter()
                found = conn.execute(query, values).fetchall()
                took.append((time.perf_counter() - began) * 1000)
            assert found
            yield Line(
                f"search in {bench.contacts:,} contacts: {name}", Sample.of(took, "ms"), limit=5, judged="ours",
                notes=(f"{name}: {'; '.join(plan(conn, query, values))}",),
            )  # fmt: skip
        yield from _everyday(conn)


def plan(conn: sqlite3.Connection, query: str, values: tuple[str, ...] = ()) -> list[str]:
    """The query plan."""
    return [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {query}", values)]


def _everyday(conn: sqlite3.Connection) -> Iterator[Line]:
    """The queries of docs/queries.md."""
    chapter = (ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
    took, notes = [], []
    for number, query in enumerate(re.findall(r"^```sql\n(.*?)^```$", chapter, re.DOTALL | re.MULTILINE), 1):
        began = time.perf_counter()
        conn.execute(query).fetchall()
        took.append((time.perf_counter() - began) * 1000)
        scans = [step for step in plan(conn, query.rstrip().rstrip(";")) if step.startswith("SCAN")]
        notes.append(f"everyday query {number}: {took[-1]:.0f} ms; scans: {', '.join(scans) or 'none'}")
    yield Line(f"the {len(took)} queries of docs/queries.md", Sample.of(took, "ms"), notes=tuple(notes))
