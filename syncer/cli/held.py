"""`syncer held`: shows what a safety limit stopped in a pull, and records what a person decides.

The next listing carries the decision out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import (
    example,
    json_option,
    list_options,
    number_argument,
    numbers_argument,
)
from syncer.cli.output import count, emit_json, emit_list, plain, say, when
from syncer.errors import UsageError

#: How many rows of a hold are shown in a list.
EXAMPLES = 5


@click.group()
def held() -> None:
    """Show what a safety limit stopped in a pull, and approve or reject it."""


@held.command("list", epilog=example("syncer held list"))
@click.option("--all", "everything", is_flag=True, help="Also decided ones.")
@list_options
@pass_app
def list_(app: App, everything: bool, form: str | None) -> None:
    """List what is held, with some of the rows."""
    from syncer.store.db import columns
    from syncer.store.read import status_queries

    settings = app.settings()
    with app.query(settings) as conn:
        holds = status_queries.list_holds(conn, decided=everything)
        rows = {hold["id"]: status_queries.hold_rows(conn, hold["id"], EXAMPLES) for hold in holds}
    if form:
        emit_list(holds, columns.COLUMNS["held"], form)
        return
    if not holds:
        say("Nothing is held.")
    for hold in holds:
        _show(app, hold, rows[hold["id"]])
        say()


@held.command(epilog=example("syncer held show 3"))
@number_argument
@json_option
@pass_app
def show(app: App, number: int, as_json: bool) -> None:
    """Show one hold, with all of its rows."""
    from syncer.store.read import status_queries

    settings = app.settings()
    with app.query(settings) as conn:
        holds = status_queries.list_holds(conn, number=number)
        if not holds:
            raise UsageError(_unknown(number))
        rows = status_queries.hold_rows(conn, number)
    if as_json:
        emit_json(holds[0] | {"listed": rows})
        return
    _show(app, holds[0], rows)


@held.command(epilog=example("syncer held approve 3"))
@numbers_argument
@pass_app
def approve(app: App, numbers: tuple[int, ...]) -> None:
    """Remove (or blank) exactly the listed rows, at the next listing that still shows the same."""
    _decide(app, numbers, "approved")


@held.command(epilog=example("syncer held reject 3"))
@numbers_argument
@pass_app
def reject(app: App, numbers: tuple[int, ...]) -> None:
    """Keep the listed rows as they are."""
    _decide(app, numbers, "rejected")


def _decide(app: App, numbers: Sequence[int], decision: Literal["approved", "rejected"]) -> None:
    from syncer.store.read import status_queries
    from syncer.store.write import actors, holds

    settings = app.settings()
    said = {
        "approved": "goes at the next listing that still shows the same (`syncer sync`)",
        "rejected": "stays as it is, and the job recovers at its next listing (`syncer sync`)",
    }
    with app.deciding(settings) as db:
        for number in numbers:
            with db.write() as conn:
                before = holds.decide(conn, number, decision, app.stamp(), actors.CLI)
                hold = status_queries.list_holds(conn, number=number)
            if before == "":
                raise UsageError(_unknown(number))
            if before is not None:
                raise UsageError(f"number {number} is {before} already, and that is final")
            rows = count(hold[0]["rows"], "row")
            say(f"Held {number} is {decision}: what it lists ({rows}) {said[decision]}.")


def _unknown(number: int) -> str:
    return f"nothing is held under the number {number}: `syncer held list` shows what is"


def _show(app: App, hold: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    number = hold["id"]
    say(f"Held {number}: {hold['job']} of {hold['account']}, {when(hold['created_at'], app.now())}")
    say(f"  {hold['reason']}")
    for row in rows:
        say(f"  {describe(row)}")
    if hold["rows"] > len(rows):
        say(f"  ... and {hold['rows'] - len(rows):,} more; `syncer held show {number}` lists all")
    if hold["decided_at"]:
        say(f"  {hold['decision']} {when(hold['decided_at'], app.now())}")
    else:
        say(f"  Right? `syncer held approve {number}`. Wrong? `syncer held reject {number}`.")


def describe(row: dict[str, Any]) -> str:
    """One held row for people."""
    what = f"{row['field']} would turn blank" if row["field"] else "would be removed"
    return f"{row['table_name']} row {row['row_id']} ({plain(row['name'])}): {what}"
