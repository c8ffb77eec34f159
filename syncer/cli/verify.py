"""`syncer verify`: compares the mirror with upstream, row by row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from syncer.cli.app import App, pass_app, run_async
from syncer.cli.options import WORDS, account_option, example, json_option
from syncer.cli.output import count, emit_json, plain, progress_bars, say
from syncer.cli.sync import advise, choose
from syncer.errors import AuthError

if TYPE_CHECKING:
    from syncer.store.read.verify_diff import Difference
    from syncer.sync.verify import VerifyResult

#: The kinds of differences.
PARTS = ("differences", "held", "kept", "waiting")

#: How many differences of each kind are shown. `--json` has them all.
MOST_SHOWN = 20


@click.command(
    epilog=example("syncer verify", "syncer verify telecmi-contacts --json", "syncer verify --target central")
)
@click.argument("jobs", nargs=-1, metavar="[JOB]...", type=WORDS)
@account_option
@click.option(
    "--target",
    metavar="NAME",
    type=WORDS,
    help="Compare the mirror with this published copy instead of with upstream.",
)
@json_option
@pass_app
@click.pass_context
def verify(
    ctx: click.Context,
    app: App,
    jobs: tuple[str, ...],
    account: str | None,
    target: str | None,
    as_json: bool,
) -> None:
    """Read all of upstream, and list row by row what differs from the mirror. Writes nothing.

    Exit 0 only if nothing differs. Listed separately: local edits that are not pushed yet, rows that a safety limit or
    a person keeps, and voicemails that the vendor has deleted (these are not an error).
    """
    from syncer.sync.verify import verify as compare

    settings = app.settings(logs="error", credentials="sent")
    if target is not None:
        if jobs or account is not None:
            raise click.UsageError("--target cannot be used with a job or --account")
        from syncer.cli.publish import verify_copy

        ctx.exit(verify_copy(settings, target, as_json))
    chosen = choose(settings, jobs, account)
    for spec in chosen:
        if spec.job in jobs and not spec.resource.tables:
            raise click.UsageError(f"{spec.job} pulls no list, so there is nothing to compare")
    with progress_bars() as progress:
        found = run_async(compare(settings, chosen, progress=progress))
    same = all(one.same for one in found)
    code = 77 if any(isinstance(one.error, AuthError) for one in found) else (0 if same else 1)
    if as_json:
        emit_json({"same": same, "jobs": [_as_json(one) for one in found], "exit_code": code})
    else:
        for one in found:
            _show(one)
    ctx.exit(code)


def _show(one: VerifyResult) -> None:
    head = f"{one.job} of {one.account}: {one.rows} rows upstream"
    if one.outcome != "ok":
        say(f"{head}; could not be verified: {one.problem}")
        if advice := advise(one):
            say(f"  {advice}")
    elif one.same:
        say(f"{head}; the mirror has the same")
    else:
        say(f"{head}; the mirror differs")
    _list(one.differences, f"`syncer sync {one.job}` fixes these", _text)
    _list(one.held, "a safety limit keeps these: a sync holds them for you (`syncer held list`)", _text)
    _list(one.kept, "a person decided to keep these (`syncer held reject`)", _text)
    _list(one.waiting, "local edits that are not upstream yet (`syncer queue list`)", _waiting_text)
    if one.unreadable:
        say(f"  {count(one.unreadable, 'row')} upstream could not be understood or compared")
    if one.unlisted:
        what = "call" if one.job.endswith("calls") else "voicemail"
        say(f"  {count(len(one.unlisted), what)} that upstream no longer lists: kept, like all {what}s")


def _list(rows: Sequence[Difference], why: str, text: Callable[[Difference], str]) -> None:
    if not rows:
        return
    say(f"  {count(len(rows), 'difference')}; {why}:")
    for row in rows[:MOST_SHOWN]:
        say(f"    {text(row)}")
    if len(rows) > MOST_SHOWN:
        say(f"    ... and {len(rows) - MOST_SHOWN} more; --json shows all")


def _text(row: Difference) -> str:
    named = _named(row)
    match row.kind:
        case "insert":
            return f"{row.table_name}{named}: upstream has it, the mirror does not"
        case "delete":
            return f"{row.table_name} row {row.row_id}{named}: the mirror has it, upstream does not"
        case _:
            values = f"{row.old or ''!r} local and {row.new or ''!r} upstream"
            return f"{row.table_name} row {row.row_id}{named}: {row.field} is {values}"


def _named(row: Difference) -> str:
    """The vendor's id of a row, and on a terminal its name: names should not end up in files."""
    name = plain(row.name) if row.name and row.name != row.key and sys.stdout.isatty() else None
    named = ", ".join(filter(None, (row.key, name)))
    return f" ({named})" if named else ""


def _waiting_text(row: Difference) -> str:
    of = f"change {row.change}, {row.state}: {row.table_name} row {row.row_id}"
    match row.kind:
        case "insert":
            return f"{of} is deleted locally, and upstream still has it"
        case "delete":
            return f"{of} is to be added upstream"
        case _:
            return f"{of}: {row.field} is {row.old or ''!r} local and {row.new or ''!r} upstream"


def _as_json(one: VerifyResult) -> dict[str, object]:
    said = {
        name: getattr(one, name)
        for name in ("job", "account", "outcome", "same", "rows", "unreadable", "unlisted")
    }
    parts = {part: [_row_as_json(row) for row in getattr(one, part)] for part in PARTS}
    return said | {"error": one.problem or None} | parts


def _row_as_json(row: Difference) -> dict[str, object]:
    """A row without its name: a program has the ids, and its output may end up in logs."""
    return {name: value for name, value in asdict(row).items() if name != "name"}
