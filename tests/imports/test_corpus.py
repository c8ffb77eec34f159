"""What an import says of each file of the corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Syncer
from tests.imports.cards import CARDS
from tests.imports.case import Case
from tests.imports.tables import TABLES

CORPUS = [*TABLES, *CARDS]


def test_the_corpus_is_large_enough() -> None:
    assert len({one.name for one in CORPUS}) == len(CORPUS) >= 40


@pytest.mark.parametrize("one", CORPUS, ids=lambda one: one.name)
def test_a_file_gets_its_plan(reading: Syncer, tmp_path: Path, one: Case) -> None:
    file = tmp_path / one.name
    file.write_bytes(one.content)
    planned = reading.ok("contacts", "import", str(file), "--json", *one.args).json
    assert planned["batch"] is None
    rows = planned["rows"]
    assert [(row["row"], row["verdict"]) for row in rows] == [
        (row["row"], row["verdict"]) for row in one.rows
    ], rows
    for row, expected in zip(rows, one.rows, strict=True):
        for name, value in expected.items():
            found = row[name]
            assert (value in found) if name == "reason" else (found == value), row
