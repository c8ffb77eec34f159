"""Fills the marked blocks of docs/performance.md and the README from measured figures, and draws the plot.

A block begins with `<!-- figures: NAME -->` and ends with `<!-- /figures -->`; people write the text around it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.report import HEADERS, Line, short
from benchmarks.rows.compare import FIGURES, OTHERS
from benchmarks.upstream import ROOT

PLOT = ROOT / "docs" / "growth.svg"
PAGES = (ROOT / "docs" / "performance.md", ROOT / "README.md")

#: What the README shows: a row, and how the line's text begins.
SHORT = (
    ("user-list", "first pull"),
    ("budget", "first pull"),
    ("quiet", "100,000 contacts, nothing changed"),
    ("edit", ""),
    ("memory", "the daemon, 1,000,000"),
    ("start", "`syncer status`"),
)


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join([_cells(headers), _cells(["---"] * len(headers)), *map(_cells, rows)])


def goals(machine: str, lines: Sequence[Line]) -> str:
    """Every line that has a goal."""
    rows = [line.cells() for line in lines if line.limit is not None]
    return f"{_table(HEADERS, rows)}\n\nMeasured on {machine}."


def rest(machine: str, lines: Sequence[Line]) -> str:
    """What has none, but for the comparison and the growth, which have their own."""
    del machine
    rows = [
        line.cells()[:5] for line in lines if line.limit is None and line.row not in ("compare", "growth")
    ]
    return _table(HEADERS[:5], rows)


def notes(machine: str, lines: Sequence[Line]) -> str:
    """How it was measured, where that needs saying."""
    del machine
    said = dict.fromkeys(f"- {line.row}: {note}" for line in lines for note in line.notes)
    return "\n".join(said)


def comparison(machine: str, lines: Sequence[Line]) -> str:
    """A table of tools for each pass and size: all figures of each."""
    compared: dict[str, list[Line]] = {}
    for line in lines:
        if line.row == "compare" and line.limit is None and line.baseline is not None:
            compared.setdefault(line.what.rsplit(": ", 1)[0], []).append(line)
    parts = []
    for stage, found in compared.items():
        tools: dict[str, dict[str, str]] = {}
        for line in found:
            assert line.baseline is not None
            word = line.what.rsplit(": ", 1)[1]
            tools.setdefault("syncer", {})[word] = f"{short(line.ours.median)} {line.ours.unit}"
            tools.setdefault(line.against, {})[word] = f"{short(line.baseline.median)} {line.baseline.unit}"
        words = [word for word, _, _ in FIGURES.values()]
        rows = [[name, *(told.get(word, "") for word in words)] for name, told in tools.items()]
        parts.append(f"**{stage[0].upper()}{stage[1:]}**\n\n{_table(['tool', *words], rows)}")
    return "\n\n".join(parts) + f"\n\nMedians, measured on {machine}."


def brief(machine: str, lines: Sequence[Line]) -> str:
    """The few lines of the README."""
    rows = [
        line.cells()[1:3]
        for name, beginning in SHORT
        for line in lines
        if line.row == name and line.limit is not None and line.what.startswith(beginning)
    ]
    return f"{_table(('what', 'median (spread)'), rows)}\n\nMeasured on {machine}."


BLOCKS: dict[str, Callable[[str, Sequence[Line]], str]] = {
    "goals": goals,
    "rest": rest,
    "notes": notes,
    "comparison": comparison,
    "brief": brief,
}


#: A block: how it begins, its name, how it ends.
MARKS = re.compile(r"(<!-- figures: (\w+) -->)\n.*?(<!-- /figures -->)", re.DOTALL)


def filled(text: str, machine: str, lines: Sequence[Line]) -> str:
    """A page with its blocks filled in again."""
    return MARKS.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]](machine, lines)}\n{found[3]}", text)


def fill(figures: Path, machine: str, lines: Sequence[Line]) -> None:
    """Write the blocks of both pages, and the plot."""
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), machine, lines), encoding="utf-8")
    if any(line.row == "growth" for line in lines):
        subprocess.run(
            [str(OTHERS), "-m", "benchmarks.others.plot", str(figures), str(PLOT)], cwd=ROOT, check=True
        )
