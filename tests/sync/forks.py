"""A program that is killed: one interpreter imports everything, and forks a child for each life of the program.

Each order is a line of JSON on its standard input. It answers with the signal that ended the child, or 0.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

#: One life of the program. Returns the signal that ended it, or 0.
Live = Callable[..., int]


@contextmanager
def forking(module: str) -> Iterator[Live]:
    """Start such an interpreter, whose module calls `serve`."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        orders, answers = child.stdin, child.stdout
        assert orders is not None and answers is not None

        def live(**order: Any) -> int:
            print(json.dumps(order), file=orders, flush=True)
            ended = json.loads(answers.readline())
            assert ended["code"] == 0, "the program ended with a traceback"
            return int(ended["signal"])

        yield live


def serve(work: Callable[[dict[str, Any]], None]) -> None:
    """Fork a child for each order; kill it `kill_after` seconds if it says so; answer with how it ended."""
    gc.disable()  # the children are short-lived, and share this memory as long as nobody walks it
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work(order)
                code = 0
            finally:
                sys.excepthook(*sys.exc_info()) if code else None
                os._exit(code)
        if after := order.get("kill_after"):
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"signal": os.WTERMSIG(status), "code": os.WEXITSTATUS(status)}), flush=True)


class Steps:
    """Counts commits and both edges of every HTTP call, and dies at the one that was named."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
