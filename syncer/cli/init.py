"""`syncer init`: a config to start from."""

from __future__ import annotations

from pathlib import Path

import click

from syncer.cli.app import App, new_file, pass_app
from syncer.cli.options import FILE, example
from syncer.cli.output import say


@click.command(epilog=example("syncer init", "syncer init /etc/syncer/config.toml"))
@click.argument("path", required=False, type=FILE)
@pass_app
def init(app: App, path: Path | None) -> None:
    """Write a commented config, never over an existing file.

    Without PATH it goes to --config, else to ./syncer.toml. Only its owner can read it (mode 0600).
    """
    from syncer.config import example_text

    target = path or app.config or Path("syncer.toml")
    with new_file(target) as file:
        file.write(example_text().encode())
    option = f"--config {target} " if target != Path("syncer.toml") else ""
    say(f"Wrote {target}.")
    say(f'Put your credentials in the place of "...", then: syncer {option}doctor')
