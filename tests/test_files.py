"""`syncer/files.py`: nothing is followed, nothing odd is opened, and root works where root alone decides."""

from __future__ import annotations

import grp
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer import files
from syncer.errors import UsageError
from tests.planted import KINDS, Decoy

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="takes root, and another user")

#: Users that no process of this machine runs as.
PI, OTHER = 54321, 54322


@pytest.fixture
def decoy(tmp_path: Path) -> Decoy:
    """What is not ours."""
    return Decoy.make(tmp_path / "decoys")


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
    with pytest.raises(OSError, match=r"it (is a|has a second name)"):
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


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device", "folder", "link to a folder"])
def test_only_files_are_read(tmp_path: Path, decoy: Decoy, kind: str) -> None:
    possible(kind)
    decoy.put(kind, tmp_path / "file")
    with pytest.raises(OSError, match="it is a"):
        files.read(tmp_path / "file", 10)


def test_a_file_is_read_through_a_link_and_no_further_than_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to("file")
    assert files.read(tmp_path / "link", 10) == b"0123456789"
    assert files.read(tmp_path / "link", 3) == b"0123"


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
    with pytest.raises(OSError, match="round in circles"):
        files.outsiders(place / "hall" / "loop")


@as_root
def test_a_folder_where_new_names_may_be_put_is_not_safe_itself(place: Path) -> None:
    place.chmod(0o1777)
    assert [one.name for one in files.outsiders(place)] == ["everybody"]
    assert files.outsiders(place / "missing" / "file") == []


@as_root
def test_root_leaves_no_new_file_in_the_folder_of_another(place: Path) -> None:
    os.close(files.create(place / "file"))
    give(place, PI)
    with pytest.raises(UsageError, match=f"root does not write .*/new: .* changed by user {PI}"):
        files.create(place / "new")
    assert not (place / "new").exists()


# -- root in a folder of others ------------------------------------------------------------------------

_CHILD = """
import os, sys
from pathlib import Path
from syncer import files
from syncer.errors import ConfigError
try:
    name = files.work_as_owner(Path(sys.argv[1]), sys.argv[2] or None)
except ConfigError as error:
    sys.exit(str(error))
print(name, os.getresuid(), os.getresgid(), os.getgroups())
"""


def work_in(folder: Path, group: str = "") -> tuple[str, str]:
    """What a root process becomes there, and what it says where it refuses."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(folder), group],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout.strip(), done.stderr.strip()


@as_root
def test_root_stays_root_in_its_own_folder(place: Path) -> None:
    assert work_in(place)[0].startswith("None (0, 0, 0)")
    assert work_in(place / "not" / "there")[0].startswith("None (0, 0, 0)")


@as_root
@pytest.mark.parametrize("below", ["", "not/there"])
def test_root_becomes_the_owner_of_the_folder_for_good(place: Path, below: str) -> None:
    give(place, PI, OTHER, 0o770)
    became, said = work_in(place / below)
    assert said == ""
    assert became == f"user {PI} ({PI}, {PI}, {PI}) ({OTHER}, {OTHER}, {OTHER}) [{OTHER}]"


@as_root
@pytest.mark.parametrize(
    ("uid", "gid", "mode"), [(0, 0, 0o777), (0, 0, 0o1777), (0, OTHER, 0o770), (0, OTHER, 0o775)]
)
def test_root_refuses_a_folder_that_has_no_one_owner(place: Path, uid: int, gid: int, mode: int) -> None:
    give(place, uid, gid, mode)
    became, said = work_in(place)
    assert became == "" and "Root does not work in" in said and "may be changed by" in said


@as_root
def test_root_refuses_a_folder_of_one_in_that_of_another(place: Path) -> None:
    (place / "inner").mkdir(mode=0o755)
    give(place / "inner", OTHER)
    give(place, PI)
    became, said = work_in(place / "inner")
    assert became == "" and f"{place} may be changed by user {PI}" in said


@as_root
def test_the_group_that_shares_the_database_may_write_to_its_folder(place: Path) -> None:
    group = grp.getgrgid(65534)
    give(place, 0, group.gr_gid, 0o770)
    assert work_in(place)[0] == ""
    assert work_in(place, group.gr_name)[0].startswith("None (0, 0, 0)")


@pytest.mark.skipif(ROOT, reason="takes a user who is not root")
def test_nobody_but_root_becomes_anybody(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert files.work_as_owner(tmp_path) is None
