"""A mirror with a few known contacts, and `syncer` to call. No vendor is near."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from syncer.cli.main import run
from tests.cli.conftest import Syncer
from tests.office import forget_home

#: Where no vendor answers.
NOWHERE = "http://127.0.0.1:9"

#: id -> phone_no, phone_e164, and the other five fields; see tables.py.
CONTACTS: dict[int, tuple[str | None, ...]] = {
    1: ("919200000001", "+919200000001", "Asha", "Example", "asha@example.com", "Acme Example", "Manager"),
    2: ("919200000002", "+919200000002", "Ravi Kumar", "Example", None, None, None),
    3: ("98xxxxxx03", None, "Meena", "Example", None, None, None),
    4: ("919200000004", "+919200000004", "Gone", "Waiting", None, None, None),
    5: ("919200000005", "+919200000005", "Gone", "Longer", None, None, None),
    6: ("919200000006", "+919200000006", "Bina", "Example", None, None, None),
    7: ("919200000006", "+919200000006", "Mina", "Example", None, None, None),
    8: (None, None, "Kiran", "Example", None, None, None),
}


def fill(syncer: Syncer) -> None:
    """Put the contacts in, as a pull would have; 4 and 5 are deleted by hand, and the delete of 5 is over."""
    names = "phone_no, phone_e164, first_name, last_name, email_id, company, job_title"
    for row, values in CONTACTS.items():
        places = ", ".join("NULL" if one is None else f"'{one}'" for one in values)
        bare = ", ".join(f"'{one or ''}'" for one in values)
        syncer.as_program(
            f"INSERT INTO telecmi_contacts (id, account, contact_id, {names}) VALUES ({row}, 'main', 'c{row}', {places})",
            f"INSERT INTO contact_base (row_id, account, source, contact_id, {names}) "
            f"VALUES ({row}, 'main', 'directory', 'c{row}', {bare})",
        )
    syncer.sql("DELETE FROM telecmi_contacts WHERE id IN (4, 5)")
    syncer.as_program("UPDATE change_queue SET state = 'done' WHERE contact_row = 5")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the config and the mirror, made once."""
    folder = tmp_path_factory.mktemp("imports")
    syncer = Syncer(folder, None, NOWHERE)  # type: ignore[arg-type] - nothing is captured here
    syncer.write_config()
    assert run(["--config", str(syncer.config), "db", "upgrade"]) == 0
    fill(syncer)
    return folder


@pytest.fixture
def syncer(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Syncer:
    """`syncer` with a mirror of its own."""
    folder = tmp_path / "own"
    shutil.copytree(made, folder)
    forget_home(folder / "mirror.db")
    return Syncer(folder, capsys, NOWHERE)


@pytest.fixture
def reading(made: Path, capsys: pytest.CaptureFixture[str]) -> Syncer:
    """`syncer` with the mirror that all share: for what changes nothing."""
    return Syncer(made, capsys, NOWHERE)
