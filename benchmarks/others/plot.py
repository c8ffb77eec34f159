"""Plots how cost grows: `.venv-bench/bin/python -m benchmarks.others.plot FIGURES.json OUT.svg`. Needs matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

MEMORY = "Peak of memory"

#: The plots: title, unit, and series.
PICTURES = (
    ("First pull, no latency", "s", ("first pull: wall", "first pull: CPU")),
    ("Quiet pull, no latency", "s", ("quiet pull: wall", "quiet pull: CPU")),
    (MEMORY, "MB", ("peak of memory",)),
    ("Database file", "MB", ("file",)),
)


def series(lines: list[dict[str, object]], name: str) -> tuple[list[int], list[float]]:
    """The points of a series."""
    sizes, values = [], []
    for line in lines:
        what = str(line["what"])
        if line["row"] == "growth" and what.endswith((f", {name}", f": {name}")):
            sizes.append(int(what.split(" ")[0].replace(",", "")))
            values.append(float(line["ours"][0]))  # type: ignore[index]
    return sizes, values


def people(count: float, _: object = None) -> str:
    """10 k, 1 M."""
    return f"{count / 1e6:g} M" if count >= 1e6 else f"{count / 1e3:g} k"


def main(figures: str, out: str) -> None:
    """Four plots in a row."""
    lines = json.loads(Path(figures).read_text(encoding="utf-8"))["lines"]
    plt.rcParams.update({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "syncer"})
    figure, axes = plt.subplots(1, len(PICTURES), figsize=(12, 2.9), layout="constrained")
    for axis, (title, unit, names) in zip(axes, PICTURES, strict=True):
        axis.set(title=title, ylabel=unit, xscale="log")
        sizes: list[int] = []
        for name, style in zip(names, ("o-", "s--"), strict=False):
            sizes, values = series(lines, name)
            axis.plot(sizes, values, style, markersize=4, label=name.rsplit(": ", 1)[-1])
        if title == MEMORY:
            axis.axhline(100, linestyle=":", color="grey", label="goal")
            axis.set_ylim(0, None)
        else:  # linear growth is a straight line
            axis.set_yscale("log")
        if len(axis.lines) > 1:
            axis.legend(frameon=False, loc="best")
        axis.set_xticks(sizes)
        axis.xaxis.set_major_formatter(FuncFormatter(people))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    figure.supxlabel("contacts", fontsize=9)
    figure.savefig(out, metadata={"Date": None})
    drawn = Path(out)
    drawn.write_text(
        "\n".join(line.rstrip() for line in drawn.read_text("utf-8").splitlines()) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
