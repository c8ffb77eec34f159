"""Where a database lives: what is one place, and what is another."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.store.db import home
from syncer.store.db.home import Place
from tests.store.conftest import Mirror


@pytest.mark.parametrize("text", [None, "", "\n", "uninitialized\n"])
def test_a_container_may_have_no_machine_id(tmp_path: Path, text: str | None) -> None:
    machine_id = tmp_path / "machine-id"
    if text is not None:
        machine_id.write_text(text)
    assert home.place_of(tmp_path / "m.db", machine_id) == Place(str(tmp_path / "m.db"), None)


def test_the_machine_id_itself_is_not_kept(tmp_path: Path) -> None:
    machine_id = tmp_path / "machine-id"
    machine_id.write_text("4c4c4544004a3010805ac4c04f4a3233\n")
    machine = home.place_of(tmp_path / "m.db", machine_id).machine
    assert machine is not None and "4c4c4544" not in machine
    assert home.place_of(tmp_path / "other.db", machine_id).machine == machine
    machine_id.write_text("4c4c4544004a3010805ac4c04f4a3234\n")
    assert home.place_of(tmp_path / "m.db", machine_id).machine != machine


def test_a_folder_that_is_a_link_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    assert home.place_of(tmp_path / "link" / "m.db") == home.place_of(tmp_path / "data" / "m.db")
    assert home.place_of(tmp_path / "data" / ".." / "link" / "m.db").path == str(tmp_path / "data" / "m.db")


HERE = Place("/srv/mirror.db", "this machine")


@pytest.mark.parametrize(
    "recorded, away",
    [
        (None, None),
        (HERE, None),
        (Place("/srv/other.db", "this machine"), "belongs to /srv/other.db, so"),
        (Place("/srv/mirror.db", "another"), "belongs to /srv/mirror.db on another machine"),
        (Place("/srv/other.db", "another"), "belongs to /srv/other.db on another machine"),
        (Place("/srv/mirror.db", None), "belongs to /srv/mirror.db on another machine"),
    ],
)
def test_any_other_path_or_machine_is_elsewhere(
    mirror: Mirror, recorded: Place | None, away: str | None
) -> None:
    with mirror.db.write() as conn:
        if recorded is not None:
            home.adopt(conn, recorded)
        said = home.elsewhere(conn, HERE)
    assert (said is None) == (away is None)
    if away is not None and said is not None:
        assert away in said and "`syncer db adopt`" in said


def test_without_machine_ids_the_path_alone_counts(mirror: Mirror) -> None:
    with mirror.db.write() as conn:
        home.adopt(conn, Place("/srv/mirror.db", None))
        assert home.elsewhere(conn, Place("/srv/mirror.db", None)) is None
        assert home.elsewhere(conn, HERE) is not None
