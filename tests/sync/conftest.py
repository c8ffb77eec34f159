"""Offices for the cycle tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.office import Office

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
        made.world.contact_insert(
            {
                "phone_no": f"9192000000{n:02d}",
                "first_name": "Asha",
                "last_name": f"Rao{n}",
                "company": "Example Traders",
                "email_id": f"asha{n}@example.com",
                "job_title": "Buyer",
            }
        )
    made.run()
    return made
