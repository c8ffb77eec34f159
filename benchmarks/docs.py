"""Fills the marked blocks of docs/performance.md and the README with figures, and draws the plot.

A block begins with `<!-- figures: NAME -->` and ends with `<!-- /figures -->`. The text around it is written by hand.
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

#: The lines in the README: row, and the beginning of the text.
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


def goals(lines: Sequence[Line]) -> str:
    """All lines with a goal."""
    return _table(HEADERS, [line.cells() for line in lines if line.limit is not None])


def rest(lines: Sequence[Line]) -> str:
    """Lines without a goal, except the comparison (its own block) and the growth (the plot)."""
    rows = [
        line.cells()[:5] for line in lines if line.limit is None and line.row not in ("compare", "growth")
    ]
    return _table(HEADERS[:5], rows)


def notes(lines: Sequence[Line]) -> str:
    """The notes of all lines."""
    return "\n".join(dict.fromkeys(f"- {line.row}: {note}" for line in lines for note in line.notes))


def comparison(lines: Sequence[Line]) -> str:
    """For each pass and size, a table of tools."""
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
        rows = [[name, *(figures.get(word, "") for word in words)] for name, figures in tools.items()]
        parts.append(f"**{stage[0].upper()}{stage[1:]}**\n\n{_table(['tool', *words], rows)}")
    return "\n\n".join(parts)


def brief(lines: Sequence[Line]) -> str:
    """The lines of the README."""
    rows = [
        line.cells()[1:3]
        for name, beginning in SHORT
        for line in lines
        if line.row == name and line.limit is not None and line.what.startswith(beginning)
    ]
    return _table(("what", "median (spread)"), rows)


#: By name of the block: its content, and how the sentence about the machine begins (if there is one).
BLOCKS: dict[str, tuple[Callable[[Sequence[Line]], str], str]] = {
    "goals": (goals, "Measured on"),
    "rest": (rest, ""),
    "notes": (notes, ""),
    "comparison": (comparison, "Medians, measured on"),
    "brief": (brief, "Measured on"),
}

#: A block: beginning, name, end.
MARKS = re.compile(r"(<!-- figures: (\w+) -->)\n.*?(<!-- /figures -->)", re.DOTALL)


def filled(text: str, machine: str, lines: Sequence[Line]) -> str:
    """A page with its blocks filled."""

    def block(found: re.Match[str]) -> str:
        content, measured = BLOCKS[found[2]]
        footer = f"\n\n{measured} {machine}." if measured else ""
        return f"{found[1]}\n{content(lines)}{footer}\n{found[3]}"

    return MARKS.sub(block, text)


def fill(figures: Path, machine: str, lines: Sequence[Line]) -> None:
    """Write the blocks of both pages, and the plot."""
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), machine, lines), encoding="utf-8")
    if any(line.row == "growth" for line in lines):
        subprocess.run(
            [str(OTHERS), "-m", "benchmarks.others.plot", str(figures), str(PLOT)], cwd=ROOT, check=True
        )
