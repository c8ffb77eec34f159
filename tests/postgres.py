"""A PostgreSQL server of the tests' own: a private cluster on a Unix socket, as a user that is not root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

#: Where Debian keeps what is not on the PATH.
_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)

SKIPPED = "PostgreSQL's initdb is not installed here (Debian: apt-get install postgresql)"

_HBA = """
local all limited scram-sha-256
local all all trust
"""

_SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{socket}'
fsync = off
full_page_writes = off
max_connections = 60
lc_messages = 'C'
"""


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where there is none."""
    found = shutil.which("initdb")
    folders = [*_DEBIAN, *([Path(found).resolve().parent] if found else [])]
    return next((one for one in folders if (one / "initdb").exists() and (one / "pg_ctl").exists()), None)


class Server:
    """One cluster, with a database `office`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:
            user = pwd.getpwnam("nobody")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.data = folder / "data"

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(
            [self._programs / program, *args],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(self.folder)},
            **self._user,
        )
        assert done.returncode == 0, done.stdout

    def create(self) -> None:
        """Make and start it."""
        self._run(
            "initdb", "-D", str(self.data), "-U", "syncer", "-A", "trust", "-E", "UTF8", "-N", "--no-locale"
        )
        (self.data / "pg_hba.conf").write_text(_HBA)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(socket=self.folder))
        self.start()
        with self.connect("postgres") as conn:
            conn.execute("CREATE DATABASE office")
            conn.execute("CREATE ROLE limited LOGIN PASSWORD 'right'")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # Its output goes to a file: a pipe would stay open as long as the server runs.
        self._run("pg_ctl", "-D", str(self.data), "-w", "-s", "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` is what a power cut does."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-s", "-m", mode, "stop")

    def url(self, user: str = "syncer", database: str = "office") -> str:
        """Its address for a config."""
        return f"postgresql+psycopg://{user}@/{database}?host={self.folder}"

    def connect(self, database: str = "office") -> psycopg.Connection[Any]:
        """A connection as its owner; each statement commits."""
        return psycopg.connect(host=str(self.folder), user="syncer", dbname=database, autocommit=True)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server that is gone afterwards."""
    found = programs()
    assert found is not None, SKIPPED
    folder = Path(tempfile.mkdtemp(prefix="syncer-pg-"))
    server = Server(folder, found)
    try:
        server.create()
        yield server
    finally:
        if (server.data / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
