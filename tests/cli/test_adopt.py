"""A copy of a database: it pulls and can be edited, and nothing is sent from it until a person adopts it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Syncer, Upstream

EDIT = "UPDATE telecmi_contacts SET company = 'Acme Example' WHERE id = 1"


def copy(syncer: Syncer, folder: Path, transfer: Callable[[Path, Path], object] = shutil.copy2) -> Syncer:
    folder.mkdir()
    for name in ("mirror.db", "mirror.db-wal", "mirror.db-shm", "syncer.toml"):
        if (syncer.folder / name).exists():
            transfer(syncer.folder / name, folder / name)
    return replace(syncer, folder=folder)


def move(syncer: Syncer, folder: Path) -> Syncer:
    return copy(syncer, folder, shutil.move)


def copy_of_a_backup(syncer: Syncer, folder: Path) -> Syncer:
    folder.mkdir()
    syncer.ok("db", "backup", str(folder / "mirror.db"))
    shutil.copy2(syncer.config, folder / "syncer.toml")
    return replace(syncer, folder=folder)


def copy_of_another_machine(syncer: Syncer, folder: Path) -> Syncer:
    del folder
    syncer.as_program("UPDATE home SET machine = 'another'")
    return syncer


def copy_in_a_container(syncer: Syncer, folder: Path) -> Syncer:
    del folder
    syncer.as_program("UPDATE home SET path = '/data/mirror.db', machine = NULL")
    return syncer


def mark_of(upstream: Upstream) -> int:
    return max((request.n for request in upstream.world.requests()), default=0)


def sent(upstream: Upstream, mark: int) -> list[str]:
    paths = [request.path for request in upstream.world.requests(mark)]
    return [path for path in paths if path.startswith("/v3/contact/") and path != "/v3/contact/get"]


@pytest.mark.parametrize(
    "make",
    [move, copy, copy_of_a_backup, copy_of_another_machine, copy_in_a_container],
    ids=lambda f: f.__name__,
)
def test_nothing_is_sent_from_a_copy_until_it_is_adopted(
    upstream: Upstream, tmp_path: Path, make: Callable[[Syncer, Path], Syncer]
) -> None:
    upstream.syncer.ok("sync")
    upstream.syncer.sql(EDIT)
    syncer = make(upstream.syncer, tmp_path / "elsewhere")
    syncer.sql("UPDATE telecmi_contacts SET company = 'Acme Other' WHERE id = 2")
    new = upstream.world.contact_insert(
        {"phone_no": "919200009999", "first_name": "Asha", "last_name": "New"}
    )
    mark = mark_of(upstream)
    done = syncer("sync", "--json")
    runs = {run["job"]: run for run in done.json["runs"]}
    assert done.code == 1
    assert (
        runs["telecmi-push"]["outcome"] == "incomplete" and "syncer db adopt" in runs["telecmi-push"]["error"]
    )
    assert [run["outcome"] for job, run in runs.items() if job != "telecmi-push"] == ["ok"] * 4
    assert sent(upstream, mark) == []
    assert syncer.one("SELECT count(*) FROM telecmi_contacts WHERE contact_id = ?", new) == 1, "it pulls"
    assert syncer.one("SELECT count(*) FROM change_queue WHERE state = 'queued'") == 2, "it can be edited"
    assert "syncer db adopt" in syncer.ok("status").out
    assert "syncer db adopt" in syncer.ok("status", "--json").json["elsewhere"]
    assert "syncer db adopt" in syncer.ok("doctor").out
    planned = syncer("sync", "--dry-run", "telecmi-push")
    assert planned.code == 1 and "syncer db adopt" in planned.out

    assert "It belonged to" in syncer.ok("db", "adopt").out
    syncer.ok("sync")
    assert sent(upstream, mark) == ["/v3/contact/update"]
    assert syncer.one("SELECT count(*) FROM change_queue WHERE state = 'done'") == 2
    for command in (("status",), ("doctor",)):
        assert "adopt" not in syncer.ok(*command).out
    assert "already" in syncer.ok("db", "adopt").out


def test_at_home_nothing_has_to_be_adopted(upstream: Upstream, tmp_path: Path) -> None:
    """Not after a restore to the same place, for a linked folder, or for a dry run on a copy."""
    syncer = upstream.syncer
    syncer.ok("sync")
    syncer.ok("db", "backup", str(tmp_path / "backup.db"))
    for name in ("mirror.db", "mirror.db-wal", "mirror.db-shm"):
        (syncer.folder / name).unlink(missing_ok=True)
    shutil.copy2(tmp_path / "backup.db", syncer.database)
    syncer.sql(EDIT)
    planned = syncer.ok("sync", "--dry-run", "telecmi-push", "--json").json["plans"]
    assert [plan["outcome"] for plan in planned] == ["ok"] and planned[0]["lines"]
    (tmp_path / "link").symlink_to(syncer.folder)
    mark = mark_of(upstream)
    replace(syncer, folder=tmp_path / "link").ok("sync")
    assert sent(upstream, mark) == ["/v3/contact/update"]
    assert "adopt" not in syncer.ok("status").out


def test_a_database_from_before_gets_its_home_when_it_is_opened(upstream: Upstream) -> None:
    syncer = upstream.syncer
    syncer.ok("sync")
    syncer.as_program("DELETE FROM home")
    syncer.sql(EDIT)
    syncer.ok("sync")
    assert syncer.one("SELECT path FROM home") == str(syncer.database.resolve())
    assert syncer.one("SELECT state FROM change_queue") == "done"


def test_nobody_else_writes_the_home(upstream: Upstream) -> None:
    upstream.syncer.ok("sync")
    with pytest.raises(Exception, match="syncer db adopt"):
        upstream.syncer.sql("UPDATE home SET path = '/srv/mirror.db'")
