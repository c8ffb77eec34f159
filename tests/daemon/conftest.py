"""Real processes: a sandbox, a daemon, and the socket on which systemd would listen to it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncer.config import Settings
from syncer.config.load import settings_from
from syncer.sync.open_database import open_database
from tests.office import forget_home

ROOT = Path(__file__).resolve().parent.parent.parent

#: Seconds that anything here may take. Only a busy machine needs more than a fraction of it.
PATIENCE = 45.0

TELECMI = {
    "base_url": "http://127.0.0.1:9",
    "app_id": 1111113,
    "secret": "invented-secret",
    "user_id": "101_1111113",
    "password": "invented-password",
}


def until(true: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait until something is true, and return it."""
    end = time.monotonic() + patience
    while not (found := true()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.02)
    return found


class Sandbox:
    """Both vendors, in a process of their own."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "syncer.sandbox", "--port", "0", "--contacts", "40"]
        command += ["--voicemails", "5", "--smartflo", "10", "--user-contacts", "8"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.control = httpx.Client(base_url=f"{self.url}/_sandbox", timeout=10)

    def contacts(self) -> list[dict[str, Any]]:
        answer = httpx.post(
            f"{self.url}/v3/contact/get", json={"token": "sandbox-user-token", "limit": 100}
        ).json()
        found: list[dict[str, Any]] = answer["contacts"]
        return found

    def company(self, contact_id: str) -> str:
        return next(c.get("company") or "" for c in self.contacts() if c["contact_id"] == contact_id)

    def fault(self, **rule: Any) -> None:
        self.control.post("/faults", json=rule).raise_for_status()

    def calls(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control.get("/requests").json()
        return [one for one in found if one["path"] == path]

    def edit(self, **operation: Any) -> None:
        self.control.post("/edit", json=operation).raise_for_status()

    def calm(self) -> None:
        """No faults, and no memory of requests."""
        self.control.delete("/faults").raise_for_status()
        self.control.delete("/requests").raise_for_status()

    def close(self) -> None:
        self.control.close()
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    made = Sandbox()
    yield made
    made.close()


@pytest.fixture
def sandbox(served: Sandbox) -> Sandbox:
    served.calm()
    return served


class Manager:
    """What systemd does on `$NOTIFY_SOCKET`."""

    def __init__(self, path: str) -> None:
        self.address = path
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.channel.bind("\0" + path[1:] if path.startswith("@") else path)
        self.channel.settimeout(0.05)
        self.lines: list[str] = []

    def heard(self, beginning: str) -> list[str]:
        """Every line so far that begins like this."""
        with contextlib.suppress(TimeoutError):
            while True:
                self.lines += self.channel.recv(65536).decode().split("\n")
        return [line for line in self.lines if line.startswith(beginning)]


class Daemon:
    """`syncer run`, with what it needs around it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.config = folder / "syncer.toml"
        self.database = folder / "syncer.db"
        self.log = folder / "log"
        self.url = url
        self.environ = {
            key: value for key, value in os.environ.items() if key not in ("NOTIFY_SOCKET", "SYNCER_CONFIG")
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.configure()

    def configure(
        self,
        *,
        extra: str = "",
        telecmi: str = "",
        password: str = "sandbox-password",
        push_every: str = "5m",
    ) -> None:
        """Write the config. Pushes are rare, so that one that comes soon came for an edit."""
        self.config.write_text(
            f"""
[database]
url = "sqlite:///{self.database.name}"
[telecmi.main]
base_url = "{self.url}"
app_id = 1111113
secret = "sandbox-secret"
user_id = "101_1111113"
password = "{password}"
requests_per_second = 500.0
voicemails = {{ every = "10m", since = "2d" }}
push = {{ every = "{push_every}" }}
{telecmi}
[smartflo.main]
base_url = "{self.url}"
token = "sandbox-token"
requests_per_second = 500.0
{extra}
"""
        )

    def serve(self, extra: str = "", **more: str) -> int:
        """Write a config in which the pages are on. Returns their port."""
        port = free_port()
        self.configure(extra=f'[http]\nlisten = "127.0.0.1:{port}"\n{extra}', **more)
        return port

    def start(self, descriptors: int | None = None, **environ: str) -> subprocess.Popen[bytes]:
        """Start it, with a limit on file descriptors."""

        def limit() -> None:
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "syncer", "--config", str(self.config), "run"],
                cwd=ROOT,
                env=self.environ | environ,
                stderr=log,
                stdout=log,
                preexec_fn=limit,
            )
        self.processes.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send the signal; the exit code, and how many seconds it took."""
        began = time.monotonic()
        process.send_signal(number)
        return process.wait(15), time.monotonic() - began

    def query(self, sql: str, *values: Any) -> list[Any]:
        if not self.database.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.database, timeout=5)) as conn:
            try:
                return conn.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def edit(self, sql: str, *values: Any) -> None:
        with contextlib.closing(sqlite3.connect(self.database, timeout=5)) as conn, conn:
            conn.execute(sql, values)

    def outcomes(self) -> dict[str, str]:
        """By job: how its last run that ended did."""
        rows = self.query("SELECT job, outcome FROM sync_runs WHERE finished_at IS NOT NULL ORDER BY id")
        return dict(rows)

    def wait_for_first_round(self) -> None:
        until(lambda: len(self.outcomes()) == 5, "a first round")

    def events(self) -> list[dict[str, Any]]:
        """What the log says."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def said(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events() if event in one["event"]]

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of this version with nothing in it: migrating takes a second each time."""
    folder = tmp_path_factory.mktemp("empty")
    open_database(settings_from({"telecmi": {"main": TELECMI}}, folder, {})).close()
    return folder / "syncer.db"


@pytest.fixture
def daemon(tmp_path: Path, sandbox: Sandbox, empty_database: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, sandbox.url)
    shutil.copy(empty_database, made.database)
    forget_home(made.database)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.wait(10)
    print(made.text())  # shown where the test failed


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.channel.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A config of both vendors whose upstream nobody calls."""
    flo = {"base_url": "http://127.0.0.1:9", "token": "invented-token"}
    raw = {"telecmi": {"main": TELECMI}, "smartflo": {"main": flo}}
    return settings_from(raw, tmp_path, {})
