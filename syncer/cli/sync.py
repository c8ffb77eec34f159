"""`syncer sync`: one pass now, or what it would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from syncer.cli.app import App, pass_app, require_open_files, run_async
from syncer.cli.options import WORDS, account_option, example, json_option
from syncer.cli.output import count, emit_json, progress_bars, say, show_table
from syncer.errors import AuthError, RemoteError, TransientError, UsageError

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.sync.jobs import Planned
    from syncer.sync.registry import JobSpec
    from syncer.sync.run import Run
    from syncer.sync.verify import VerifyResult

#: The fields of a run that are shown.
COUNTS = ("job", "account", "outcome", "seen", "added", "changed", "removed", "requests")


@click.command(
    epilog=example(
        "syncer sync",
        "syncer sync telecmi-contacts telecmi-push --account main",
        "syncer sync --dry-run",
    )
)
@click.argument("jobs", nargs=-1, metavar="[JOB]...", type=WORDS)
@account_option
@click.option("--full", is_flag=True, help="Read everything again, not only recent changes.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing on either side.")
@json_option
@pass_app
@click.pass_context
def sync(
    ctx: click.Context,
    app: App,
    jobs: tuple[str, ...],
    account: str | None,
    full: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make one pass now, of all jobs or the named ones.

    \b
    The jobs, as far as the config enables them:
      telecmi-voicemails     telecmi-calls     telecmi-audio     telecmi-contacts
      telecmi-user-contacts  telecmi-push      smartflo-contacts smartflo-calls
      notify                 publish

    Safe while the daemon runs. Changes that wait for a retry are tried now.
    """
    require_open_files()
    settings = app.settings(logs="error", credentials="sent")
    chosen = choose(settings, jobs, account)
    if dry_run:
        ctx.exit(_dry_run(settings, chosen, full, as_json))
    ctx.exit(_sync(app, settings, chosen, full, as_json))


def choose(settings: Settings, names: Sequence[str], account: str | None) -> tuple[JobSpec, ...]:
    """The jobs to run. An unknown name is wrong usage."""
    from syncer.sync import registry

    try:
        return registry.select(registry.specs(settings), names, account)
    except UsageError as error:
        raise click.UsageError(str(error)) from None


def _sync(app: App, settings: Settings, chosen: Sequence[JobSpec], full: bool, as_json: bool) -> int:
    from syncer.store.read import status_queries
    from syncer.sync import jobs

    with progress_bars() as progress:
        runs = run_async(jobs.sync(settings, chosen, who="syncer sync", full=full, progress=progress))
    code = jobs.exit_code(runs)
    if as_json:
        emit_json({"runs": [_as_json(run) for run in runs], "exit_code": code})
        return code
    show_runs(runs)
    if not runs:
        say("No job is enabled; see `enabled` in the config.")
    elif code == 0:
        with app.query(settings) as conn:
            counts = status_queries.queue_counts(conn)
        if waiting := counts["conflict"] + counts["rejected"] + counts["held"]:
            say()
            say(f"{count(waiting, 'change')} cannot go upstream before you decide: see `syncer queue list`.")
    return code


def show_runs(runs: Sequence[Run]) -> None:
    """Print one line per run, then what went wrong and what to do about it."""
    rows = [[getattr(run, name) for name in COUNTS] for run in runs]
    took = ["-" if run.seconds is None else f"{run.seconds:.1f} s" for run in runs]
    if rows:
        show_table((*COUNTS, "took"), ([*row, time] for row, time in zip(rows, took, strict=True)))
    said: set[str] = set()
    for run in runs:
        if run.problem:
            say()
            ended = "failed" if run.outcome == "failed" else f"is {run.outcome}"
            say(f"{run.job} of {run.account} {ended}: {run.problem}")
            advice = advise(run)
            if advice and advice not in said:
                say(f"  {advice}")
                said.add(advice)
        for notice in run.notices:
            say()
            say(f"{run.job} of {run.account}: {notice}")


def advise(run: Run | Planned | VerifyResult) -> str:
    """What a person can do about the error of a run. Empty if the message already says it."""
    label = f"{run.job.partition('-')[0]}.{run.account}"
    match run.error:
        case AuthError():
            return f"What to do: check the credentials below [{label}] in the config, then `syncer doctor`."
        case TransientError():
            return "What to do: nothing was lost; the next pass tries again. `syncer doctor` finds the cause."
        case RemoteError():
            return f"What to do: nothing was removed; `syncer doctor` checks the responses of {label}."
        case _:
            return ""


def _as_json(run: Run) -> dict[str, Any]:
    counted = {name: getattr(run, name) for name in ("id", *COUNTS, "held")}
    return counted | {
        "seconds": run.seconds,
        "error": run.problem or None,
        "notices": list(run.notices),
    }


def _dry_run(settings: Settings, chosen: Sequence[JobSpec], full: bool, as_json: bool) -> int:
    from syncer.sync import jobs

    with progress_bars() as progress:
        plans = run_async(jobs.dry_run(settings, chosen, full=full, progress=progress))
    code = jobs.exit_code(plans)
    if as_json:
        listed = [
            {name: getattr(plan, name) for name in COUNTS[:3]}
            | {"error": plan.problem or None, "lines": list(plan.lines)}
            for plan in plans
        ]
        emit_json({"dry_run": True, "plans": listed, "exit_code": code})
        return code
    for plan in plans:
        head = [] if plan.outcome == "ok" else [f"{plan.outcome}: {plan.problem}"]
        head += [] if plan.lines else ["nothing would change"]
        say(f"{plan.job} of {plan.account}: {'; '.join(head)}".rstrip(": "))
        for line in plan.lines:
            say(f"  {line}")
        if advice := advise(plan):
            say(f"  {advice}")
    say()
    say("This was a dry run: nothing was changed, locally or upstream.")
    return code
