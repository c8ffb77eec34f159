"""`syncer publish`: brings the published copies in PostgreSQL up to date now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncer.cli.app import App, pass_app, run_async
from syncer.cli.options import WORDS, example
from syncer.cli.output import count, progress_bars, say
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.sync.registry import JobSpec
    from syncer.sync.run import Run


@click.command(epilog=example("syncer publish", "syncer publish central --full"))
@click.argument("name", required=False, type=WORDS)
@click.option("--full", is_flag=True, help="Compare every row, and put right what was changed in the copy.")
@pass_app
@click.pass_context
def publish(ctx: click.Context, app: App, name: str | None, full: bool) -> None:
    """Bring the published copies in PostgreSQL up to date now: one target, or all.

    It makes the schema and its tables if they are missing. With --full it also takes a site over that was
    published from another database.
    """
    from syncer.sync import jobs

    settings = app.settings("error", credentials="sent")
    chosen = targets(settings, name)
    with progress_bars() as progress:
        runs = run_async(jobs.sync(settings, chosen, who="syncer publish", full=full, progress=progress))
    for run in runs:
        _show(run)
    ctx.exit(jobs.exit_code(runs))


def targets(settings: Settings, name: str | None) -> tuple[JobSpec, ...]:
    """The jobs of one target, or of all. UsageError where the config has none."""
    from syncer.sync import registry

    there = [spec for spec in registry.specs(settings) if spec.job == registry.PUBLISH]
    if not there:
        raise UsageError(
            "the config has no published copy; add one below a heading such as [publish.central]"
        )
    found = tuple(spec for spec in there if name in (None, spec.account, spec.label))
    if not found:
        known = ", ".join(spec.account for spec in there)
        raise UsageError(f"there is no published copy {name!r}; the config has {known}")
    return found


def _show(run: Run) -> None:
    from syncer.cli.sync import advise

    label = f"{run.job}.{run.account}"
    if run.outcome != "ok":
        say(f"{label}: {run.outcome}: {run.problem}", err=True)
        if advice := advise(run.error, label):
            say(f"  {advice}", err=True)
    elif run.changed or run.removed:
        say(f"{label}: {count(run.changed, 'row')} written, {run.removed} removed")
    else:
        say(f"{label}: up to date")
