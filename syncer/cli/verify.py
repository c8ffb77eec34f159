"""`syncer verify`: holds the mirror against upstream and says, row by row, what differs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from syncer.cli.common import (
    WORDS,
    App,
    account_option,
    count,
    emit_json,
    example,
    json_option,
    pass_app,
    progress_bars,
    run_async,
    say,
)
from syncer.cli.sync import advise, choose
from syncer.errors import AuthError

if TYPE_CHECKING:
    from syncer.cycle.verify import Verified

#: Differences of one job that a person is shown; `--json` has them all.
MOST_SHOWN = 20


@click.command(epilog=example("syncer verify", "syncer verify telecmi-contacts --json"))
@click.argument("jobs", nargs=-1, metavar="[JOB]...", type=WORDS)
@account_option
@json_option
@pass_app
@click.pass_context
def verify(ctx: click.Context, app: App, jobs: tuple[str, ...], account: str | None, as_json: bool) -> None:
    """Read upstream whole and say what differs from the mirror, which is not written to.

    Exit 0 only if nothing differs. Edits made here that still wait to be pushed are told apart.
    """
    from syncer.cycle.verify import verify as hold_against

    settings = app.settings(logs="error")
    chosen = choose(settings, jobs, account)
    with progress_bars() as progress:
        found = run_async(hold_against(settings, chosen, progress=progress))
    same = all(one.outcome == "ok" and not one.differences and not one.kept for one in found)
    code = 77 if any(isinstance(one.error, AuthError) for one in found) else (0 if same else 1)
    if as_json:
        emit_json({"same": same, "jobs": [_as_json(one) for one in found], "exit_code": code})
    else:
        for one in found:
            _show(one)
    ctx.exit(code)


def _show(one: Verified) -> None:
    head = f"{one.job} of {one.account}: {one.rows} rows upstream"
    if one.outcome != "ok":
        say(f"{head}; could not be verified: {one.problem}")
        advice = advise(one.error, f"{one.job.partition('-')[0]}.{one.account}")
        if advice:
            say(f"  {advice}")
    elif one.differences:
        say(
            f"{head}; {count(len(one.differences), 'difference')}: `syncer sync {one.job}` brings the mirror in line"
        )
    elif not one.kept:
        say(f"{head}; the mirror shows the same")
    else:
        say(f"{head}; the mirror shows more")
    for entry in one.differences[:MOST_SHOWN]:
        match entry.kind:
            case "insert":
                text = "upstream has it, the mirror does not"
            case "delete":
                text = "the mirror has it, upstream does not"
            case _:
                text = f"{entry.field} is {entry.old!r} here and {entry.new!r} upstream"
        say(f"  {entry.table_name} row {entry.row_id}: {text}")
    if len(one.differences) > MOST_SHOWN:
        say(f"  ... and {len(one.differences) - MOST_SHOWN} more; --json shows all")
    if one.kept:
        say(
            f"  {count(one.kept, 'row')} that upstream no longer has stay here, as a person said (held reject)"
        )
    if one.pending:
        say(
            f"  {count(one.pending, 'change')} made here is not upstream yet: `syncer queue list` shows what waits"
        )


def _as_json(one: Verified) -> dict[str, object]:
    return {
        "job": one.job,
        "account": one.account,
        "outcome": one.outcome,
        "error": one.problem or None,
        "rows": one.rows,
        "pending": one.pending,
        "kept": one.kept,
        "differences": [asdict(entry) for entry in one.differences],
    }
