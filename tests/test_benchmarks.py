"""The benchmarks still run, and the docs show what they measured. No test checks speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "benchmarks" / "figures.json"


def test_the_docs_show_the_figures_that_were_measured() -> None:
    """Each marked block is generated from the figures, not edited by hand."""
    from benchmarks import docs
    from benchmarks.report import line_of

    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    lines = [line_of(one) for one in figures["lines"]]
    found = []
    for page in docs.PAGES:
        before = page.read_text(encoding="utf-8")
        found += docs.MARKS.findall(before)
        assert docs.filled(before, figures["machine"], lines) == before, f"run --write-docs: {page.name}"
    assert {name for _, name, _ in found} == set(docs.BLOCKS)


@pytest.mark.soak
def test_every_row_runs_and_prints_its_line(tmp_path: Path) -> None:
    """A small account is enough to see that no row has fallen behind the code."""
    from benchmarks.__main__ import ROWS

    out = tmp_path / "figures.json"
    small = ["--contacts", "1000", "--compared", "100", "--rounds", "1", "--idle", "1", "--json", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *small], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {line["row"] for line in json.loads(out.read_text(encoding="utf-8"))["lines"]}
    assert rows >= set(ROWS) - {"compare"}  # the other tools may not be installed
