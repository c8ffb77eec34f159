"""Measurements as a table and as JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["s", "ms", "MB", "B", "kB", "%", ""]


@dataclass(frozen=True)
class Sample:
    """The same thing measured several times."""

    values: tuple[float, ...]
    unit: Unit = "s"
    floor: bool = False  #: the measurement was stopped: the true value is larger

    @classmethod
    def of(cls, values: Iterable[float], unit: Unit = "s", *, floor: bool = False) -> Sample:
        """From any numbers."""
        return cls(tuple(values), unit, floor)

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        text = f"{'> ' if self.floor else ''}{short(self.median)} {self.unit}".strip()
        if len(self.values) > 1:
            text += f" ({short(min(self.values))} to {short(max(self.values))})"
        return text


def short(value: float) -> str:
    """A number with three significant digits."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def p99(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


@dataclass(frozen=True)
class Line:
    """A line of the table."""

    what: str
    ours: Sample
    against: str = ""  #: what the baseline is
    baseline: Sample | None = None
    limit: float | None = None  #: the goal: at most this
    judged: Literal["ratio", "ours"] = "ratio"
    notes: tuple[str, ...] = ()
    row: str = ""

    @property
    def ratio(self) -> float | None:
        """Our median divided by the baseline's."""
        if self.baseline is None or not self.baseline.median:
            return None
        return self.ours.median / self.baseline.median

    @property
    def met(self) -> bool | None:
        """Whether the goal is met, or None if there is none."""
        value = self.ratio if self.judged == "ratio" else self.ours.median
        if self.limit is None or value is None:
            return None
        return value <= self.limit and not self.ours.floor

    def cells(self) -> tuple[str, ...]:
        """The cells of the line in a table."""
        goal = ""
        if self.limit is not None:
            goal = f"≤ {short(self.limit)}" + ("" if self.judged == "ratio" else f" {self.ours.unit}")
        baseline = "" if self.baseline is None else f"{self.baseline} {self.against}".strip()
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        met = {True: "yes", False: "NO", None: ""}[self.met]
        return (self.row, self.what, str(self.ours), baseline, ratio, goal, met)

    def as_json(self) -> dict[str, Any]:
        """The line for figures.json."""
        return {
            "row": self.row,
            "what": self.what,
            "unit": self.ours.unit,
            "ours": list(self.ours.values),
            "unfinished": self.ours.floor,
            "against": self.against,
            "baseline": None if self.baseline is None else list(self.baseline.values),
            "baseline_unit": None if self.baseline is None else self.baseline.unit,
            "ratio": self.ratio,
            "limit": self.limit,
            "judged": self.judged,
            "met": self.met,
            "notes": list(self.notes),
        }


def line_of(written: dict[str, Any]) -> Line:
    """The line that `as_json` wrote."""
    baseline = None
    if written["baseline"] is not None:
        baseline = Sample.of(written["baseline"], written["baseline_unit"])
    ours = Sample.of(written["ours"], written["unit"], floor=written["unfinished"])
    return Line(
        written["what"], ours, written["against"], baseline, written["limit"], written["judged"], tuple(written["notes"]),
        written["row"],
    )  # fmt: skip


HEADERS = ("row", "what", "median (spread)", "baseline", "ratio", "goal", "met")


def table(lines: Sequence[Line]) -> str:
    """All lines in columns, with their notes below."""
    rows = [HEADERS, *(line.cells() for line in lines)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEADERS))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    text.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"{line.row}: {note}" for line in lines for note in line.notes]
    return "\n".join([*text, "", *dict.fromkeys(notes)])
