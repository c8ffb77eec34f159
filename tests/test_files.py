"""`syncer/files.py`: nothing is followed, nothing odd is opened, and root works where root alone decides."""

from __future__ import annotations

import grp
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer import files
from syncer.errors import ConfigError
from tests.planted import KINDS, Decoy

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="takes root, and another user")

#: Users that no process of this machine runs as.
PI, OTHER = 54321, 54322

#: What names the folder.
KEY = "database.url"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of root's own that others can reach; pytest's are root's alone."""
    with tempfile.TemporaryDirectory(prefix="syncer-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def possible(kind: str) -> None:
    if kind == "device" and not ROOT:
        pytest.skip("takes root to make")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT])
def test_nothing_but_a_plain_file_is_opened(tmp_path: Path, decoy: Decoy, kind: str, flags: int) -> None:
    possible(kind)
    path = tmp_path / "file"
    decoy.put(kind, path)
    before = decoy.state()
    with pytest.raises(OSError, match="it is a"):
        os.close(files.open_plain(path, flags))
    assert files.oddity_at(path)
    assert decoy.state() == before


def test_a_plain_file_is_made_for_its_owner_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert files.oddity_at(path) is None
    with os.fdopen(files.open_plain(path, os.O_RDWR | os.O_CREAT), "w") as file:
        file.write("kept")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    os.close(files.open_plain(path, os.O_RDWR | os.O_CREAT))
    assert path.read_text() == "kept" and files.oddity_at(path) is None


@pytest.mark.parametrize("kind", [*KINDS, "file"])
def test_a_new_file_takes_the_place_of_nothing(tmp_path: Path, decoy: Decoy, kind: str) -> None:
    possible(kind)
    path = tmp_path / "file"
    if kind == "file":
        path.touch()
    else:
        decoy.put(kind, path)
    before = decoy.state()
    with pytest.raises(FileExistsError):
        os.close(files.create(path))
    assert decoy.state() == before


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder"])
@pytest.mark.parametrize("make", [False, True])
def test_nothing_but_a_folder_is_opened_as_one(tmp_path: Path, decoy: Decoy, kind: str, make: bool) -> None:
    possible(kind)
    decoy.put(kind, tmp_path / "folder")
    before = decoy.state()
    with pytest.raises(OSError, match="it is a"):
        os.close(files.open_folder(tmp_path / "folder", make=make))
    assert decoy.state() == before


def test_a_folder_is_made_with_its_parents_for_its_owner_alone(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    with pytest.raises(FileNotFoundError):
        files.open_folder(inner)
    os.close(files.open_folder(inner, make=True))
    os.close(files.open_folder(inner, make=True))
    assert [stat.S_IMODE(one.stat().st_mode) for one in (inner, inner.parent)] == [0o700] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_a_plain_file(tmp_path: Path, decoy: Decoy, kind: str) -> None:
    possible(kind)
    decoy.put(kind, tmp_path / "file")
    with pytest.raises(OSError, match="it is a"):
        files.read(tmp_path / "file", 10)


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device", "folder", "link to a folder"])
def test_what_a_person_wrote_is_a_file(tmp_path: Path, decoy: Decoy, kind: str) -> None:
    possible(kind)
    decoy.put(kind, tmp_path / "file")
    with pytest.raises(OSError, match="it is a"):
        files.read_linked(tmp_path / "file", 10)


@pytest.mark.parametrize("kind", ["link to a file", "hard link"])
def test_what_a_person_wrote_may_be_linked_from_elsewhere(tmp_path: Path, decoy: Decoy, kind: str) -> None:
    decoy.put(kind, tmp_path / "file")
    whole = (decoy.folder / "file").read_bytes()
    assert files.read_linked(tmp_path / "file", len(whole)) == whole
    assert files.read_linked(tmp_path / "file", 3) == whole[:4]


# -- who else could change what a path means -----------------------------------------------------------


def give(path: Path, uid: int = 0, gid: int = 0, mode: int | None = None) -> None:
    os.chown(path, uid, gid, follow_symlinks=False)
    if mode is not None:
        path.chmod(mode)


@as_root
@pytest.mark.parametrize(
    ("where", "uid", "gid", "mode", "who"),
    [
        ("folder/file", 0, 0, 0o600, None),
        ("folder/file", 0, OTHER, 0o640, None),
        ("folder/file", 0, 0, 0o664, None),  # nobody but root is in group 0
        ("folder/file", 0, OTHER, 0o660, f"group {OTHER}"),
        ("folder/file", 0, 0, 0o602, "everybody"),
        ("folder/file", PI, 0, 0o600, f"user {PI}"),
        ("folder/file", PI, 0, 0o400, f"user {PI}"),
        ("folder", PI, 0, 0o755, f"user {PI}"),
        ("folder", 0, OTHER, 0o770, f"group {OTHER}"),
        ("folder", 0, 0, 0o777, "everybody"),
        ("folder", 0, 0, 0o1777, None),  # a file of root's in a folder such as /tmp
        ("", PI, 0, 0o755, f"user {PI}"),
    ],
)
def test_who_else_could_change_a_file(
    place: Path, where: str, uid: int, gid: int, mode: int, who: str | None
) -> None:
    file = place / "folder" / "file"
    file.parent.mkdir(mode=0o755)
    file.write_text("text")
    file.chmod(0o600)
    give(place / where, uid, gid, mode)
    found = files.outsiders(file)
    assert [one.name for one in found] == ([] if who is None else [who])
    if who is not None:
        assert str(found[0]).startswith(f"{place / where} may be changed by {who} (mode {mode & 0o7777:o})")


@as_root
def test_each_link_on_the_way_counts_with_its_folder(place: Path) -> None:
    for name in ("real", "hall", "pis"):
        (place / name).mkdir(mode=0o755)
    (place / "real" / "file").write_text("text")
    (place / "hall" / "link").symlink_to("../real")
    (place / "pis" / "link").symlink_to(place / "hall" / "link")
    assert files.outsiders(place / "hall" / "link" / "file") == []
    assert files.outsiders(place / "pis" / "link" / "file") == []
    give(place / "hall" / "link", PI)  # as in /tmp: root's folder, somebody's link
    assert [one.place.name for one in files.outsiders(place / "pis" / "link" / "file")] == ["link"]
    give(place / "pis", PI)
    assert [one.place.name for one in files.outsiders(place / "pis" / "link" / "file")] == ["pis", "link"]
    (place / "hall" / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="a loop of links"):
        files.outsiders(place / "hall" / "loop")


@as_root
def test_a_folder_where_new_names_may_be_put_is_not_safe_itself(place: Path) -> None:
    place.chmod(0o1777)
    assert [one.name for one in files.outsiders(place)] == ["everybody"]
    assert files.outsiders(place / "missing" / "file") == []


# -- root in a folder of others ------------------------------------------------------------------------


@as_root
def test_root_works_in_its_own_folder(place: Path) -> None:
    files.refuse_root(place, KEY)
    files.refuse_root(place / "not" / "there", KEY)


@as_root
@pytest.mark.parametrize("below", ["", "not/there"])
@pytest.mark.parametrize(
    ("uid", "gid", "mode", "advice"),
    [
        (PI, PI, 0o755, f"sudo -u '#{PI}' syncer"),
        (PI, PI, 0o700, f"sudo -u '#{PI}' syncer"),
        (65534, PI, 0o700, "sudo -u nobody syncer"),
        (0, 0, 0o777, "chmod go-w {place}"),
        (0, OTHER, 0o770, "chmod go-w {place}"),
        (0, OTHER, 0o775, "chmod go-w {place}"),
    ],
)
def test_root_refuses_the_folder_of_others(
    place: Path, below: str, uid: int, gid: int, mode: int, advice: str
) -> None:
    give(place, uid, gid, mode)
    with pytest.raises(ConfigError) as caught:
        files.refuse_root(place / below, KEY)
    (problem,) = caught.value.problems
    assert problem.startswith(f"Root does not work in {place / below}: {place} may be changed by ")
    assert advice.format(place=place) in problem


@as_root
def test_root_refuses_a_folder_where_others_may_put_new_files(place: Path) -> None:
    place.chmod(0o1777)
    with pytest.raises(ConfigError) as caught:
        files.refuse_root(place, KEY)
    assert f"mkdir -m 700 {place}/syncer" in str(caught.value) and "chmod" not in str(caught.value)
    files.refuse_root(place / "root's own", KEY)


@as_root
def test_the_group_that_shares_the_database_may_write_to_its_folder(place: Path) -> None:
    group = grp.getgrgid(65534)
    give(place, 0, group.gr_gid, 0o770)
    with pytest.raises(ConfigError):
        files.refuse_root(place, KEY)
    files.refuse_root(place, KEY, group.gr_name)
    place.chmod(0o777)
    with pytest.raises(ConfigError):
        files.refuse_root(place, KEY, group.gr_name)


@pytest.mark.skipif(ROOT, reason="takes a user who is not root")
def test_nobody_but_root_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    files.refuse_root(tmp_path, KEY)
