"""Every path that the program opens or makes, with something else put there: nothing of others is touched.

Users who may write to the folder could have put it there. See also `test_files.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncer.cli.main import run
from syncer.config import Backup
from syncer.config.load import load_settings
from syncer.daemon import file_maintenance
from syncer.errors import ConfigError, SyncerError
from syncer.locks import Locks
from syncer.remote.tokens import Token, TokenStore
from syncer.store.db import migrations
from syncer.store.db.connection import Database
from syncer.store.db.read_only import ReadOnlyDatabase
from syncer.store.write import forget
from tests.planted import KINDS, Decoy

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="takes root, and another user")

#: A user that no process of this machine runs as, and a number of its that comes from no real person.
PI = 54321
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
CREDENTIALS = ("https://vendor.example", "ops", "pa55word")

CONFIG = """\
[database]
url = "sqlite:///mirror.db"
[smartflo.main]
token_file = "token"
ca_file = "ca.pem"
"""


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config and all that it names, and a database."""
    folder = tmp_path_factory.mktemp("furnished")
    for name, text in (
        ("syncer.toml", CONFIG),
        ("token", "a-token"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----"),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    assert run(["--config", str(folder / "syncer.toml"), "db", "upgrade"]) == 0
    return folder


@pytest.fixture
def home(furnished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(furnished, tmp_path / "home")


# -- what is done with a path --------------------------------------------------------------------------


def write(home: Path) -> None:
    with Database(home / "mirror.db") as db:
        migrations.upgrade(db)


def edit(home: Path) -> None:
    with Database(home / "mirror.db") as db, db.write() as conn:
        conn.exec_driver_sql("CREATE TABLE IF NOT EXISTS own (a)")


def look(home: Path) -> None:
    with ReadOnlyDatabase(home / "mirror.db") as db, db.read() as conn:
        conn.execute("SELECT count(*) FROM sync_jobs").fetchall()


def lock(home: Path) -> None:
    locks = Locks(home / "mirror.db", "a test")
    locks.held_by("schema")
    handle = locks.try_acquire("schema")
    assert handle is not None
    locks.holder("schema")
    locks.release(handle)


def keep_token(home: Path) -> None:
    said: list[str] = []
    store = TokenStore(home / "mirror.db.tokens", said.append)
    store.put("a", Token("t0ken", None), *CREDENTIALS)
    assert store.get("a", *CREDENTIALS) is not None  # also when it lives as long as the process

    async def login() -> None:
        async with store.turn("a", asyncio.sleep):
            pass

    asyncio.run(login())
    if said:
        raise SyncerError(said[0])


def keep_out(home: Path) -> None:
    with Database(home / "mirror.db") as db:
        forget.forget(db, "+919200000001", "2026-11-21T09:30:00.000Z")
        with db.read() as conn:
            forget.Forgotten(db.path).among(conn, ())
    forget.copy_key(home / "mirror.db", home / "copy.db")


def back_up(home: Path, folder: Path | None = None) -> None:
    config = Backup(True, timedelta(days=1), 3, folder or home / "backups")
    file_maintenance.make_backup(config, home / "mirror.db", NOW)


def command(*args: str) -> Callable[[Path], None]:
    def call(home: Path) -> None:
        if code := run(["--config", str(home / "syncer.toml"), *(arg.format(home=home) for arg in args)]):
            raise SyncerError(str(code))

    return call


def load(home: Path) -> None:
    load_settings(home / "syncer.toml", {})


def load_credential(home: Path) -> None:
    load_settings(home / "syncer.toml", {"CREDENTIALS_DIRECTORY": str(home / "credentials")})


_LOCK = ".lock"
_TOKENS = "mirror.db.tokens"

#: A path, what is done with it, and whether it goes on in spite of what is there (it is replaced, or left out).
PATHS: list[tuple[str, Callable[[Path], None], bool]] = [
    ("mirror.db", write, False),
    ("mirror.db", look, False),
    ("mirror.db", command("status"), False),
    ("mirror.db", command("db", "upgrade"), False),
    ("mirror.db-wal", write, False),
    ("mirror.db-wal", look, False),
    ("mirror.db-wal", command("db", "upgrade"), False),
    ("mirror.db-shm", write, False),
    ("mirror.db-shm", look, False),
    ("mirror.db-journal", write, False),
    ("mirror.db-journal", look, False),
    ("mirror.db.locks", lock, False),
    ("mirror.db.locks", edit, True),
    ("mirror.db.locks/open-files", edit, True),
    ("mirror.db.locks", command("db", "upgrade"), False),
    ("mirror.db.locks/schema.lock", lock, False),
    ("mirror.db.locks/schema.lock", command("db", "upgrade"), False),
    (_TOKENS, keep_token, True),
    (f"{_TOKENS}.lock", keep_token, False),
    (f"{_TOKENS}.ca978112ca1b{_LOCK}", keep_token, False),
    (f"{_TOKENS}.{{pid}}.new", keep_token, True),
    ("mirror.db.forget-key", keep_out, False),
    ("copy.db.forget-key", keep_out, False),
    ("backups", back_up, False),
    ("backups/mirror-20261121T093000Z.db", back_up, False),
    ("backups/mirror-20261121T093000Z.db.syncer.part-{pid}", back_up, True),
    ("copy.db", command("db", "backup", "{home}/copy.db"), False),
    ("copy.db.syncer.part-{pid}", command("db", "backup", "{home}/copy.db"), True),
    ("fresh.toml", command("init", "{home}/fresh.toml"), False),
    ("report.txt", command("doctor", "--report", "{home}/report.txt"), False),
]


def fits(kind: str, path: str) -> None:
    if kind == "device" and not ROOT:
        pytest.skip("takes root to make")
    if kind == "folder" and path in ("mirror.db.locks", "backups"):
        pytest.skip("is one")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("path", "action", "goes_on"), PATHS, ids=[f"{n}-{path}" for n, (path, _, _) in enumerate(PATHS)]
)
def test_what_was_put_where_we_write_is_not_touched(
    home: Path, decoy: Decoy, path: str, action: Callable[[Path], None], goes_on: bool, kind: str
) -> None:
    fits(kind, path)
    decoy.put(kind, home / path.format(pid=os.getpid()))
    before = decoy.state()
    # A folder is not replaced, but what is not needed is left out.
    with (
        contextlib.nullcontext()
        if goes_on and (kind != "folder" or action is edit)
        else pytest.raises(SyncerError)
    ):
        action(home)
    assert decoy.state() == before


# -- what a person wrote, and the program only reads ---------------------------------------------------

READ: list[tuple[str, Callable[[Path], None], str]] = [
    ("syncer.toml", load, "syncer.toml"),
    ("token", load, "smartflo.main.token_file"),
    ("credentials/smartflo.main.token", load_credential, "smartflo.main.token"),
    ("ca.pem", load, "smartflo.main.ca_file"),
]


@pytest.mark.parametrize(
    "kind", ["dangling link", "link to a folder", "link to a device", "pipe", "device", "folder"]
)
@pytest.mark.parametrize(("path", "action", "names"), READ, ids=[path for path, _, _ in READ])
def test_what_is_read_has_to_be_a_file(
    home: Path, decoy: Decoy, path: str, action: Callable[[Path], None], names: str, kind: str
) -> None:
    fits(kind, path)
    decoy.put(kind, home / path)
    before = decoy.state()
    with pytest.raises(ConfigError) as caught:
        action(home)
    (problem,) = caught.value.problems
    assert names in problem and "644" not in problem
    assert decoy.state() == before


@pytest.mark.parametrize("kind", ["link to a file", "hard link"])
@pytest.mark.parametrize(("path", "action", "names"), READ, ids=[path for path, _, _ in READ])
def test_what_is_read_may_be_linked_from_elsewhere(
    home: Path, tmp_path: Path, path: str, action: Callable[[Path], None], names: str, kind: str
) -> None:
    (home / path).parent.mkdir(exist_ok=True)
    if names == "smartflo.main.token":
        shutil.copy(home / "token", home / path)
    real = tmp_path / "real"
    (home / path).rename(real)
    if kind == "hard link":
        (home / path).hardlink_to(real)
    else:
        (home / path).symlink_to(real)
    action(home)


@as_root
@pytest.mark.parametrize(("path", "action", "names"), READ, ids=[path for path, _, _ in READ])
@pytest.mark.parametrize(
    ("where", "uid", "gid", "mode", "who"),
    [
        ("file", PI, 0, 0o600, f"user {PI}"),
        ("file", 0, 0, 0o666, "everybody"),
        ("file", 0, PI, 0o660, f"group {PI}"),
        ("folder", PI, 0, 0o755, f"user {PI}"),
        ("folder", 0, 0, 0o777, "everybody"),
        ("link", PI, 0, 0o600, f"user {PI}"),
    ],
)
def test_root_takes_no_file_that_others_may_have_written(
    home: Path,
    path: str,
    action: Callable[[Path], None],
    names: str,
    where: str,
    uid: int,
    gid: int,
    mode: int,
    who: str,
) -> None:
    # In a folder of its own, so that it is the file that counts, and not the one of the config.
    inner = home / "inner"
    inner.mkdir(mode=0o755)
    file = home / path
    file.parent.mkdir(exist_ok=True)
    if names == "smartflo.main.token":
        shutil.copy(home / "token", file)
    real = file.rename(inner / file.name)
    file.symlink_to(real)
    changed = {"file": real, "folder": inner, "link": file}[where]
    os.chown(changed, uid, gid, follow_symlinks=False)
    if where != "link":
        changed.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        action(home)
    (problem,) = caught.value.problems
    assert names.removesuffix("_file") in problem
    assert f"{changed} may be changed by {who} (mode" in problem and "root does not take it" in problem


@as_root
def test_root_takes_a_config_that_a_group_may_read(home: Path) -> None:
    """As deploy/install.sh leaves it: root:syncer, 0640 in 0750."""
    os.chown(home, 0, 65534)
    home.chmod(0o750)
    os.chown(home / "syncer.toml", 0, 65534)
    (home / "syncer.toml").chmod(0o640)
    load(home)


# -- root in the folder of another user ----------------------------------------------------------------


@pytest.fixture
def served(furnished: Path) -> Iterator[Path]:
    """A config of root's, and the folder of another user with the database that it names."""
    with tempfile.TemporaryDirectory(prefix="syncer-test-") as name:
        top = Path(name)
        top.chmod(0o755)
        shutil.copytree(furnished, top / "home")
        (top / "home" / "syncer.toml").rename(top / "syncer.toml")
        for file in ("token", "ca.pem"):
            (top / "home" / file).rename(top / file)
        text = CONFIG.replace("mirror.db", "home/mirror.db").replace("[smartflo", "[http]\n[smartflo")
        (top / "syncer.toml").write_text(text)
        for path in [top / "home", *(top / "home").rglob("*")]:
            os.chown(path, PI, PI)
        yield top


def everything(folder: Path) -> list[tuple[object, ...]]:
    found = [(path, path.lstat()) for path in sorted(folder.rglob("*"))]
    return [(path, one.st_uid, one.st_gid, one.st_mode, one.st_size, one.st_mtime_ns) for path, one in found]


COMMANDS = ["sync", "run", "status", "doctor", "verify", "db upgrade", "db check", "db backup copy.db", "log"]
COMMANDS += [
    "contacts list",
    "contacts add --phone +919200000001",
    "queue list",
    "held list",
    "voicemails list",
]
COMMANDS += ["forget +919200000001 --yes"]


@as_root
@pytest.mark.parametrize("line", COMMANDS)
def test_root_leaves_the_folder_of_another_user_alone(
    served: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(served)
    assert run(["--config", str(served / "syncer.toml"), *line.split()]) == 78
    assert f"sudo -u '#{PI}' syncer" in "".join(capsys.readouterr())
    assert everything(served) == before


@as_root
def test_the_owner_of_the_folder_is_not_in_the_way(served: Path) -> None:
    for path in [served / "home", *(served / "home").rglob("*")]:
        os.chown(path, 0, 0)
    assert run(["--config", str(served / "syncer.toml"), "db", "upgrade"]) == 0


@as_root
@pytest.mark.parametrize(
    ("action", "error"),
    [
        (command("db", "backup", "{home}/pis/copy.db"), "78"),
        (command("init", "{home}/pis/fresh.toml"), "1"),
        (command("doctor", "--report", "{home}/pis/report.txt"), "1"),
        (lambda home: back_up(home, home / "pis"), "Root does not work in"),
        (lambda home: back_up(home, home / "pis" / "backups"), "Root does not work in"),
    ],
    ids=["db backup", "init", "report", "backups", "new folder for backups"],
)
@pytest.mark.parametrize(("uid", "mode"), [(PI, 0o755), (0, 0o777)])
def test_root_leaves_no_file_where_others_may_write(
    home: Path, action: Callable[[Path], None], error: str, uid: int, mode: int
) -> None:
    (home / "pis").mkdir()
    os.chown(home / "pis", uid, uid)
    (home / "pis").chmod(mode)
    with pytest.raises(SyncerError, match=error):
        action(home)
    assert list((home / "pis").iterdir()) == []


@as_root
def test_root_shares_a_database_with_the_group_of_the_config(home: Path) -> None:
    group = grp.getgrgid(65534).gr_name
    text = CONFIG.replace('mirror.db"', f'shared/mirror.db"\ngroup = "{group}"')
    (home / "syncer.toml").write_text(text)
    for line in ("db upgrade", "db check", "status", "queue list"):
        command(*line.split())(home)
    made = sorted([home / "shared", *(home / "shared").rglob("*")])
    assert {path.stat().st_gid for path in made} == {65534}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o770, 0o660}
    assert home / "shared" / "mirror.db.locks" / "schema.lock" in made
