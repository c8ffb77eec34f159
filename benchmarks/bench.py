"""What the rows share: temporary folders, measured processes, and databases that already mirror contacts."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.office import OFF, raw_config
from benchmarks.upstream import ROOT, Upstream

#: The job that pulls the directory.
DIRECTORY = ("telecmi-contacts",)


class TooSlowError(RuntimeError):
    """A measured process did not finish within `limit` seconds."""

    def __init__(self, limit: float) -> None:
        super().__init__(f"not done after {limit:.0f} s")
        self.limit = limit


@dataclass
class Bench:
    """A run of the benchmarks."""

    rounds: int = 3
    contacts: int = 100_000
    compared: int = 10_000  #: contacts for the comparison with other tools
    idle_s: float = 60.0
    big: bool = False
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="syncer-bench-")))
    _mirrors: dict[int, Path] = field(default_factory=dict)

    @property
    def few(self) -> int:
        """Rounds for what takes a minute each."""
        return max(1, self.rounds - 1)

    def sizes(self, *shares: float, large: Sequence[float] = (10,)) -> list[int]:
        """Numbers of contacts: shares of the large account, and with `big` also multiples of it."""
        return [round(self.contacts * share) for share in (*shares, *(large if self.big else ()))]

    def child(self, work: str, *, limit: float = 900.0, **orders: Any) -> dict[str, Any]:
        """Run one function of `child.py` in its own process. Raises TooSlowError after `limit` seconds."""
        return self.measured([sys.executable, "-m", "benchmarks.child", work, json.dumps(orders)], limit)

    def measured(self, command: list[str], limit: float) -> dict[str, Any]:
        """Run a command, and return the JSON in its last line of output."""
        try:
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired:
            raise TooSlowError(limit) from None
        if done.returncode or not done.stdout.strip():
            raise RuntimeError(f"{command[:4]} failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
        result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return result

    @contextlib.contextmanager
    def room(self) -> Iterator[Path]:
        """A temporary folder for one measurement."""
        room = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)

    def office(self, room: Path, config: dict[str, Any], *, contacts: int = 0) -> dict[str, Any]:
        """Create a database, empty or with this many contacts. Returns the arguments for `child`."""
        if contacts:
            shutil.copy(self.mirror(contacts), room / "mirror.db")
        self.child("migrate", config=config, folder=str(room))
        return {"config": config, "folder": str(room)}

    def mirror(self, contacts: int) -> Path:
        """A database that already mirrors the directory. It is pulled once, then copied."""
        if contacts not in self._mirrors:
            with self.room() as room, Upstream(directory=contacts) as upstream:
                orders = self.office(room, directory_only(upstream.port))
                succeeded(self.child("sync", **orders, jobs=DIRECTORY, limit=1800))
                kept = self.folder / f"mirror-{contacts}.db"
                shutil.copy(room / "mirror.db", kept)
                _forget_home(kept)
                self._mirrors[contacts] = kept
        return self._mirrors[contacts]

    def close(self) -> None:
        """Remove all files."""
        shutil.rmtree(self.folder, ignore_errors=True)


def directory_only(port: int, **more: Any) -> dict[str, Any]:
    """The config of an account that only mirrors the directory and pushes."""
    return raw_config(port, telecmi={"voicemails": OFF, "user_contacts": OFF, **more}, smartflo=None)


def succeeded(result: dict[str, Any]) -> dict[str, Any]:
    """The result of a `sync`. Raises RuntimeError if a job failed: its figures would mean nothing."""
    failed = [run for run in result["runs"] if run["outcome"] != "ok"]
    if failed:
        raise RuntimeError(f"a job failed: {failed}")
    return result


@contextlib.contextmanager
def in_background(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `work` in a thread for as long as the `with` lasts. It has to return when the event is set."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def one(path: Path, query: str) -> Any:
    """The first value of a query."""
    with contextlib.closing(sqlite3.connect(path)) as conn:
        row = conn.execute(query).fetchone()
        return row[0] if row else None


def _forget_home(database: Path) -> None:
    """Make copies of the database usable: syncer sends nothing from a copy of a database in use."""
    conn = sqlite3.connect(database)
    conn.execute("UPDATE sync_guard SET active = 1")
    conn.execute("DELETE FROM home")
    conn.execute("UPDATE sync_guard SET active = 0")
    conn.commit()
    conn.close()
