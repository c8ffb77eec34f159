"""Measures wall time, CPU time, memory and bytes written. Linux and standard library only.

It runs within the measured process, so other tools are measured like syncer.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

PROC = Path("/proc")


def peak_mb(pid: int | str = "self") -> float:
    """The peak memory of a process so far (VmHWM), in MB."""
    return _proc(pid, "status", "VmHWM") / 1024


def memory_mb(pid: int | str = "self") -> float:
    """The current memory of a process (VmRSS), in MB."""
    return _proc(pid, "status", "VmRSS") / 1024


def _proc(pid: int | str, file: str, key: str) -> int:
    for line in (PROC / str(pid) / file).read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    return 0


def written(pid: int | str = "self") -> int:
    """Bytes that a process has written to files.

    `wchar` counts write() and pwrite() but not send(), so bytes sent over sockets are not included.
    """
    return _proc(pid, "io", "wchar")


def cpu_s(pid: int) -> float:
    """CPU seconds of another process so far, with all of its threads."""
    tasks = (PROC / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


class Meter:
    """Measures what this process uses from now on."""

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
    """What this process and its finished children have used."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu": time.process_time() + children.ru_utime + children.ru_stime,
        "peak": peak_mb(),
        "written": written(),
    }
