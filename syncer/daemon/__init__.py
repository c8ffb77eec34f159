"""The daemon: all jobs on their schedule, until a signal ends it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncer.daemon.pages import OpenConsole

__all__ = ["main"]


def main(
    config_path: Path,
    environ: Mapping[str, str],
    log_level: str | None = None,
    console: OpenConsole | None = None,
) -> int:
    """Run the daemon until SIGTERM or SIGINT; returns its exit code. See `service.main`."""
    from syncer.daemon import service  # imported late, with the scheduler and the web server

    return service.main(config_path, environ, log_level, console)
