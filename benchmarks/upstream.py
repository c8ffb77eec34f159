"""Starts, controls and stops the stand-in."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Upstream:
    """A running stand-in. Sizes are numbers of contacts, `latency` is in seconds."""

    def __init__(
        self, *, directory: int = 0, users: int = 0, smartflo: int = 0, latency: float = 0.0
    ) -> None:
        sizes = {"directory": directory, "users": users, "smartflo": smartflo, "latency": latency}
        words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.standin", *words],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def control(self, **change: float) -> dict[str, Any]:
        """Change the latency or the revision. Returns the counts of requests since the last call."""
        query = "&".join(f"{name}={value}" for name, value in change.items())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}/control?{query}", timeout=60) as answer:
            counts: dict[str, Any] = json.load(answer)
        return counts

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate(timeout=20)
