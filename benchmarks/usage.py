"""What a piece of work takes: wall clock, processor, memory, bytes written. Linux only, standard library only.

Used within the measured process, ours or another tool's, so that both are measured alike.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

PROC = Path("/proc")


def peak_mb(pid: int | str = "self") -> float:
    """The largest memory that a process held so far (VmHWM), in MB."""
    return _status_kb(pid, "VmHWM") / 1024


def memory_mb(pid: int | str = "self") -> float:
    """The memory that a process holds now (VmRSS), in MB."""
    return _status_kb(pid, "VmRSS") / 1024


def _status_kb(pid: int | str, key: str) -> int:
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    return 0


def written(pid: int | str = "self") -> int:
    """Bytes that a process has given to write calls on files, database and WAL above all.

    `wchar` counts write() and pwrite(), not send(): no byte that goes to a socket is among them.
    """
    for line in (PROC / str(pid) / "io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0


def cpu_s(pid: int) -> float:
    """Processor seconds of another process so far, all of its threads."""
    schedstat = 0
    for task in (PROC / str(pid) / "task").iterdir():
        schedstat += int((task / "schedstat").read_text().split()[0])
    return schedstat / 1e9


class Meter:
    """Begins when it is made; `read()` says what was used since."""

    def __init__(self) -> None:
        self._wall, self._cpu, self._written = time.perf_counter(), time.process_time(), written()

    def read(self) -> dict[str, float]:
        """Seconds, MB and bytes."""
        return {
            "wall": time.perf_counter() - self._wall,
            "cpu": time.process_time() - self._cpu,
            "peak": peak_mb(),
            "written": written() - self._written,
        }


def whole_process() -> dict[str, float]:
    """What this process has used since it began, and the processes that it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu": time.process_time() + children.ru_utime + children.ru_stime,
        "peak": peak_mb(),
        "written": written(),
    }
