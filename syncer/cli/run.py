"""`syncer run`: the daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from syncer.cli.app import App, pass_app, require_open_files
from syncer.cli.options import example

if TYPE_CHECKING:
    from syncer.console.app import Console
    from syncer.sync.env import Env


@click.command(epilog=example("syncer --config /etc/syncer/config.toml --log-level info run"))
@pass_app
@click.pass_context
def run(ctx: click.Context, app: App) -> None:
    """The daemon: all jobs on their schedule, until SIGTERM or ctrl-c."""
    from syncer.daemon import service  # late, with the scheduler and the web server

    require_open_files()
    ctx.exit(service.main(app.config_path(), app.environ, app.log_level, _open_console))


def _open_console(env: Callable[[], Env]) -> Console:
    from syncer.console.app import Console  # late: only a daemon that serves the page needs what makes HTML

    return Console(env)
