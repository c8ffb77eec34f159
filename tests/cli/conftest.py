"""One sandbox process for the whole session, a mirror of it for each test, and `syncer` to call."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from syncer.cli.main import run
from syncer.locks import DAEMON, Locks
from syncer.sandbox import World, running
from tests.office import forget_home

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """\
[database]
url = "sqlite:///mirror.db"

[telecmi.main]
base_url = "{url}"
app_id = 1111113
secret = "sandbox-secret"
user_id = "101_1111113"
password = "sandbox-password"
requests_per_second = 500.0
voicemails = {{ since = "3d" }}

[smartflo.main]
base_url = "{url}"
token = "sandbox-token"
requests_per_second = 500.0
"""


@dataclass(frozen=True)
class Done:
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Syncer:
    """The command `syncer` with its own config: in this process, or as a real one."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    url: str = ""
    env: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "syncer.toml"

    @property
    def database(self) -> Path:
        return self.folder / "mirror.db"

    def write_config(self, old: str = "", new: str = "") -> None:
        """The sandbox's config with one replacement; only its owner can read it."""
        text = CONFIG.format(url=self.url)
        assert old in text
        self.config.write_text(text.replace(old, new) if old else text)
        self.config.chmod(0o600)

    def __call__(self, *args: str) -> Done:
        self.capsys.readouterr()
        code = run(["--config", str(self.config), *args])
        out, err = self.capsys.readouterr()
        return Done(code, out, err)

    def ok(self, *args: str) -> Done:
        done = self(*args)
        assert done.code == 0, (done.out, done.err)
        return done

    def start(self, *args: str, config: bool = True, **more: Any) -> subprocess.Popen[str]:
        head = ["--config", str(self.config)] if config else []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNCER_")}
        environ = kept | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"} | self.env
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": self.folder} | more
        command = [sys.executable, "-m", "syncer", *head, *args]
        return subprocess.Popen(command, env=environ, text=True, **more)

    def process(self, *args: str, config: bool = True, **more: Any) -> Done:
        process = self.start(*args, config=config, **more)
        out, err = process.communicate(timeout=60)
        return Done(process.returncode, out or "", err or "")

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, timeout=5)) as conn, conn:
            return conn.execute(statement, values).fetchall()

    def one(self, statement: str, *values: object) -> Any:
        return self.sql(statement, *values)[0][0]

    def as_program(self, *statements: str, **values: object) -> None:
        """Write as the program does: past the triggers that refuse people's writes."""
        with closing(sqlite3.connect(self.database)) as conn, conn:
            conn.execute("UPDATE sync_guard SET active = 1")
            for statement in statements:
                conn.execute(statement, values if ":" in statement else ())
            conn.execute("UPDATE sync_guard SET active = 0")

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """A daemon holds its lock meanwhile."""
        locks = Locks(self.database, "the daemon (syncer run)")
        handle = locks.try_acquire(DAEMON)
        assert handle is not None
        try:
            yield
        finally:
            locks.release(handle)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[str]:
    """The base URL of a sandbox process; tests that change upstream use `upstream`."""
    sizes = ["--contacts", "30", "--voicemails", "12", "--smartflo", "9", "--user-contacts", "6"]
    command = [sys.executable, "-m", "syncer.sandbox", "--port", "0", *sizes]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.wait(10)
    process.stdout.close()


def fill(folder: Path, url: str) -> None:
    """Write a config, and sync once."""
    config = folder / "syncer.toml"
    config.write_text(CONFIG.format(url=url))
    config.chmod(0o600)
    assert run(["--config", str(config), "sync"]) == 0


@pytest.fixture(scope="session")
def template(sandbox: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config and a mirror that was filled once."""
    folder = tmp_path_factory.mktemp("template")
    fill(folder, sandbox)
    return folder


@pytest.fixture
def syncer(template: Path, sandbox: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Syncer:
    """`syncer` with a filled mirror."""
    folder = tmp_path / "filled"
    shutil.copytree(template, folder)
    forget_home(folder / "mirror.db")
    return Syncer(folder, capsys, sandbox)


@pytest.fixture
def empty(sandbox: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Syncer:
    """`syncer` with a config, before anything was synced."""
    folder = tmp_path / "empty"
    folder.mkdir()
    made = Syncer(folder, capsys, sandbox)
    made.write_config()
    return made


@dataclass
class Upstream:
    """This test's own world, and `syncer` with a mirror of it."""

    world: World
    syncer: Syncer

    def contact(self, row: int) -> dict[str, Any]:
        """What the directory says about a contact of the mirror; {} if it does not have it."""
        contact_id = self.syncer.one("SELECT contact_id FROM telecmi_contacts WHERE id = ?", row)
        found = self.world.org().contacts.get(contact_id)
        return dict(found.fields) if found else {}

    def edit(self, row: int, **fields: str) -> None:
        contact_id = self.syncer.one("SELECT contact_id FROM telecmi_contacts WHERE id = ?", row)
        self.world.contact_update(contact_id, fields)


def small_world(at: float) -> World:
    """A small world made at a given time; the same one each time."""
    clock = [lambda: at]
    world = World(clock=lambda: clock[0]())
    world.seed(contacts=20, voicemails=4, smartflo=3, user_contacts=4)
    clock[0] = time.time
    return world


@dataclass(frozen=True)
class Filled:
    """A folder with a mirror of the small world, which was made at `at`."""

    folder: Path
    at: float


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """The small world's mirror, filled once; each test has a copy, and a world of its own."""
    made = Filled(tmp_path_factory.mktemp("small"), time.time())
    with running(small_world(made.at)) as url:
        fill(made.folder, url)
    return made


@pytest.fixture
def upstream(filled: Filled, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Upstream]:
    """A small world that a test may change, filled into a mirror."""
    world = small_world(filled.at)
    folder = tmp_path / "own"
    shutil.copytree(filled.folder, folder)
    forget_home(folder / "mirror.db")
    with running(world) as url:
        made = Syncer(folder, capsys, url)
        made.write_config()
        yield Upstream(world, made)
