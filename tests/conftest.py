"""What all tests share: asyncio as the only event loop, and two profiles for generated tests.

Fakes and servers that one folder needs are in that folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.planted import Decoy
from tests.postgres import SKIPPED, Server, programs, serving
from tests.receiver import Receiver, receiving

#: The space that a run needs for its files, in bytes.
ROOM = 2 << 30


def use_memory(folder: Path = Path("/dev/shm")) -> None:
    """Keep files in memory if there is room: no test depends on the speed of a disk.

    They are still real files. A TMPDIR that is already set is kept.
    """
    if "TMPDIR" in os.environ or not os.access(folder, os.W_OK | os.X_OK):
        return
    runs_programs = not os.statvfs(folder).f_flag & os.ST_NOEXEC
    if runs_programs and shutil.disk_usage(folder).free > ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def keep_bytecode() -> None:
    """Write compiled modules, even if PYTHONDONTWRITEBYTECODE is set.

    Tests start hundreds of processes. Without them, each compiles the program again, for half a second.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


use_memory()

# A shell without job control starts background jobs with ctrl-c ignored, and the programs of the tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
keep_bytecode()

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture
def desk() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with receiving() as made:
        yield made


@pytest.fixture
def decoy(tmp_path: Path) -> Decoy:
    """What is not ours."""
    return Decoy.make(tmp_path / "decoys")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A real PostgreSQL."""
    if programs() is None:
        pytest.skip(SKIPPED)
    with serving() as made:
        yield made


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Let `@pytest.mark.anyio` tests run on asyncio alone, which is what the daemon uses."""
    return "asyncio"
