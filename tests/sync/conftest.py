"""Offices and benches for the tests of runs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.office import Office
from tests.sync.push_bench import Bench, person

Opened = TypeVar("Opened", bound=Office)
MakeOffice = Callable[..., Office]
MakeBench = Callable[..., Bench]


def opened(kind: type[Opened], folder: Path) -> Iterator[Callable[..., Opened]]:
    """Open offices in folders of their own, and close them at the end."""
    with ExitStack() as stack:

        def make(**options: Any) -> Opened:
            home = Path(tempfile.mkdtemp(dir=folder))
            return stack.enter_context(closing(kind(home, **options)))

        yield make


@pytest.fixture
def make_office(tmp_path: Path) -> Iterator[MakeOffice]:
    yield from opened(Office, tmp_path)


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    """An office with a small directory, pulled once."""
    made = make_office(only=("telecmi-contacts", "telecmi-user-contacts", "telecmi-push"))
    for n in range(1, 13):
        made.world.contact_insert(person(n))
    made.run()
    return made


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    yield from opened(Bench, tmp_path)


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()
