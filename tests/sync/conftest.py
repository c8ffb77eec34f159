"""Offices and benches for the tests of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.office import Office
from tests.sync.push_bench import Bench, person

MakeOffice = Callable[..., Office]


@pytest.fixture
def make_office(tmp_path: Path) -> Iterator[MakeOffice]:
    """Open offices in folders of their own; they are closed at the end."""
    offices: list[Office] = []

    def make(**options: Any) -> Office:
        folder = tmp_path / f"office{len(offices)}"
        folder.mkdir()
        offices.append(Office(folder, **options))
        return offices[-1]

    yield make
    for office in offices:
        office.close()


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    """An office with a small directory, pulled once."""
    made = make_office(only=("telecmi-contacts", "telecmi-user-contacts", "telecmi-push"))
    for n in range(1, 13):
        made.world.contact_insert(person(n))
    made.run()
    return made


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    """Open benches in folders of their own; they are closed at the end."""
    benches: list[Bench] = []

    def make(**options: Any) -> Bench:
        folder = tmp_path / f"bench{len(benches)}"
        folder.mkdir()
        benches.append(Bench(folder, **options))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()
