"""`syncer publish`: brings the published copies in PostgreSQL up to date."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from syncer.cli.app import App, pass_app, run_async
from syncer.cli.options import WORDS, example, named_targets
from syncer.cli.output import count, emit_json, progress_bars, say

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.sync.registry import JobSpec
    from syncer.sync.run import Run
    from syncer.sync.verify_copy import CopyResult


@click.command(epilog=example("syncer publish", "syncer publish central --full"))
@click.argument("name", required=False, type=WORDS)
@click.option(
    "--full", is_flag=True, help="Compare every row, and repair rows that were changed in the copy."
)
@pass_app
@click.pass_context
def publish(ctx: click.Context, app: App, name: str | None, full: bool) -> None:
    """Bring the published copies in PostgreSQL up to date now: one target, or all.

    Missing schemas and tables are created. --full also takes over a site that was published from another database.
    """
    from syncer.sync import jobs

    settings = app.settings(logs="error", credentials="sent")
    chosen = targets(settings, name)
    with progress_bars() as progress:
        runs = run_async(jobs.sync(settings, chosen, who="syncer publish", full=full, progress=progress))
    for run in runs:
        _show(run)
    ctx.exit(jobs.exit_code(runs))


def targets(settings: Settings, name: str | None) -> tuple[JobSpec, ...]:
    """The jobs of one target, or of all. UsageError if the config has none."""
    from syncer.config.targets import PublishTarget
    from syncer.sync.registry import specs_of

    none = "the config has no published copy; add one below a heading such as [publish.central]"
    chosen = named_targets(settings.of(PublishTarget), name, "published copy", none)
    return tuple(spec for target in chosen for spec in specs_of(target))


def _show(run: Run) -> None:
    from syncer.cli.sync import advise

    label = f"{run.job}.{run.account}"
    if run.outcome != "ok":
        say(f"{label}: {run.outcome}: {run.problem}", err=True)
        if advice := advise(run):
            say(f"  {advice}", err=True)
    elif run.changed or run.removed:
        say(f"{label}: {count(run.changed, 'row')} written, {run.removed} removed")
    else:
        say(f"{label}: up to date")


# -- verify --------------------------------------------------------------------------------------------

#: How many keys of each kind are shown. `--json` has them all.
MOST_SHOWN = 20


def verify_copy(settings: Settings, name: str, as_json: bool) -> int:
    """Compare the mirror with one published copy, and show what differs. Returns the exit code."""
    from syncer.sync.verify_copy import verify

    (spec,) = targets(settings, name)
    with progress_bars() as progress:
        found = run_async(verify(settings, spec, progress))
    code = 0 if found.same else 1
    if as_json:
        emit_json(
            {
                "same": found.same,
                "target": spec.account,
                "tables": [asdict(one) for one in found.tables],
                "exit_code": code,
            }
        )
    else:
        _show_result(spec.label, spec.account, found)
    return code


def _show_result(label: str, name: str, found: CopyResult) -> None:
    rows = sum(one.rows for one in found.tables)
    if found.same:
        say(f"{label}: {count(rows, 'row')}; the copy has the same")
        return
    say(f"{label}: {count(rows, 'row')}; the copy differs (`syncer publish {name} --full` puts it right):")
    for one in found.tables:
        for what, keys in (
            ("missing", one.missing),
            ("different", one.different),
            ("only there", one.extra),
        ):
            if keys:
                some = ", ".join(map(str, keys[:MOST_SHOWN]))
                more = f" and {len(keys) - MOST_SHOWN} more" if len(keys) > MOST_SHOWN else ""
                say(f"  {one.table}: {count(len(keys), 'row')} {what}: {some}{more}")
