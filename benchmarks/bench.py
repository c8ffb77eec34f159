"""What every row needs: a temporary folder, measured processes, a mirror of so many contacts to begin with."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.office import OFF, raw_config
from benchmarks.upstream import ROOT, Upstream

#: The jobs of the directory alone.
DIRECTORY = ("telecmi-contacts",)


class TooSlowError(RuntimeError):
    """A measured process did not end within its limit, in seconds."""

    def __init__(self, limit: float) -> None:
        super().__init__(f"not done after {limit:.0f} s")
        self.limit = limit


@dataclass
class Bench:
    """One run of the benchmarks."""

    rounds: int = 3
    contacts: int = 100_000
    compared: int = 10_000  #: contacts for the comparison with other tools
    idle_s: float = 60.0
    big: bool = False
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="syncer-bench-")))
    _mirrors: dict[int, Path] = field(default_factory=dict)

    @property
    def few(self) -> int:
        """Rounds of what takes a minute each."""
        return max(1, self.rounds - 1)

    def sizes(self, *shares: float, large: Sequence[float] = (10,)) -> list[int]:
        """So many contacts each: shares of the large account, and multiples of it on demand."""
        return [round(self.contacts * share) for share in (*shares, *(large if self.big else ()))]

    def child(self, work: str, *, limit: float = 900.0, **orders: Any) -> dict[str, Any]:
        """Run one piece of work in a process of its own; TooSlowError when it takes longer than `limit`."""
        return self.measured([sys.executable, "-m", "benchmarks.child", work, json.dumps(orders)], limit)

    def measured(self, command: list[str], limit: float) -> dict[str, Any]:
        """Run a command whose last line is JSON."""
        try:
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired:
            raise TooSlowError(limit) from None
        if done.returncode or not done.stdout.strip():
            raise RuntimeError(f"{command[:4]} failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
        told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return told

    @contextlib.contextmanager
    def room(self) -> Iterator[Path]:
        """A folder for one measurement."""
        room = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)

    def office(self, room: Path, config: dict[str, Any], *, contacts: int = 0) -> dict[str, Any]:
        """Orders for a child: an empty database, or one that mirrors so many contacts already."""
        if contacts:
            shutil.copy(self.mirror(contacts), room / "mirror.db")
        self.child("migrate", config=config, folder=str(room))
        return {"config": config, "folder": str(room)}

    def mirror(self, contacts: int) -> Path:
        """A database that holds the directory already; pulled once, then copied."""
        if contacts not in self._mirrors:
            with self.room() as room, Upstream(directory=contacts) as upstream:
                orders = self.office(room, directory_only(upstream.port))
                ended_well(self.child("sync", **orders, jobs=DIRECTORY, limit=1800))
                kept = self.folder / f"mirror-{contacts}.db"
                shutil.copy(room / "mirror.db", kept)
                _forget_home(kept)
                self._mirrors[contacts] = kept
        return self._mirrors[contacts]

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def directory_only(port: int, **more: Any) -> dict[str, Any]:
    """The config of an account that mirrors the directory and pushes, and does nothing else."""
    return raw_config(port, telecmi={"voicemails": OFF, "user_contacts": OFF, **more}, smartflo=None)


def ended_well(told: dict[str, Any]) -> dict[str, Any]:
    """A pass that did not do its work measures nothing."""
    bad = [run for run in told["runs"] if run["outcome"] != "ok"]
    if bad:
        raise RuntimeError(f"a pass went wrong: {bad}")
    return told


def one(path: Path, query: str) -> Any:
    """The first value of a query."""
    with contextlib.closing(sqlite3.connect(path)) as conn:
        row = conn.execute(query).fetchone()
        return row[0] if row else None


def _forget_home(database: Path) -> None:
    """Copies of it get a home of their own when they are opened: nothing is sent from a copy elsewhere."""
    conn = sqlite3.connect(database)
    conn.execute("UPDATE sync_guard SET active = 1")
    conn.execute("DELETE FROM home")
    conn.execute("UPDATE sync_guard SET active = 0")
    conn.commit()
    conn.close()
