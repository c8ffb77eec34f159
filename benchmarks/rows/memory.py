"""The peak memory of whole processes by number of contacts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.bench import Bench
from benchmarks.daemon import running, wait_for_first_round
from benchmarks.office import raw_config, write_config
from benchmarks.report import Line, Sample
from benchmarks.upstream import Upstream
from benchmarks.usage import peak_mb

#: The goal, in MB.
LIMIT = 100.0


def memory(bench: Bench) -> Iterator[Line]:
    """Two passes of `syncer sync`, and the first round of the daemon, with all jobs."""
    for contacts in bench.sizes(0.1, 1):
        with bench.room() as room, Upstream(**sizes(contacts)) as upstream:
            config = whole_config(upstream.port)
            write_config(config, room / "syncer.toml")
            peaks = []
            for _ in range(2):
                result = bench.child(
                    "command", args=["--config", str(room / "syncer.toml"), "sync"], limit=7200
                )
                peaks.append(result["peak"])
        yield _line(f"`syncer sync`, {contacts:,} contacts: first pass, second pass", peaks)
        with bench.room() as room, Upstream(**sizes(contacts)) as upstream:
            write_config(whole_config(upstream.port), room / "syncer.toml")
            with running(room) as daemon:
                wait_for_first_round(room / "mirror.db", limit=7200)
                yield _line(f"the daemon, {contacts:,} contacts: its first round", [peak_mb(daemon.pid)])


def _line(what: str, peaks: list[float]) -> Line:
    return Line(what, Sample.of(peaks, "MB"), limit=LIMIT, judged="ours")


def sizes(contacts: int) -> dict[str, Any]:
    """The lists of a business.

    The user list is shorter, because it takes ten times as many requests. Smartflo gives no total, so a first listing of
    more than 100,000 rows is taken for one without end.
    """
    return {"directory": contacts, "users": contacts // 10, "smartflo": min(contacts, 100_000)}


def whole_config(port: int) -> dict[str, Any]:
    """Both vendors, every job on its default schedule."""
    return raw_config(port, telecmi={}, smartflo={})
