"""`syncer calls`: the calls of both vendors."""

from __future__ import annotations

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import (
    account_option,
    accounts_meant,
    example,
    limit_option,
    list_options,
    search_option,
    since_option,
    since_stamp,
)
from syncer.cli.output import emit_list, say, show_table, shown, span, when


@click.group()
def calls() -> None:
    """List calls of both vendors, with names."""


@calls.command("list", epilog=example("syncer calls list --since 7d --missed"))
@account_option
@since_option("Begun")
@click.option("--direction", type=click.Choice(["in", "out"]), help="Incoming or outgoing ones only.")
@click.option("--missed", is_flag=True, help="Only calls that nobody answered.")
@search_option("other side's")
@limit_option
@list_options
@pass_app
def list_(
    app: App,
    account: str | None,
    since: str | None,
    direction: str | None,
    missed: bool,
    search: str | None,
    limit: int | None,
    form: str | None,
) -> None:
    """List calls, newest first, with the name from any provider's contacts."""
    from syncer.store.read import call_queries

    settings = app.settings()
    labels = [one.label for one in accounts_meant(settings, account)]
    begin = since_stamp(app, since) if since is not None else None
    with app.query(settings) as conn:
        rows = call_queries.list_calls(
            conn, labels, since=begin, direction=direction, missed=missed, search=search, limit=limit
        )
    if form:
        emit_list(rows, call_queries.CALLS, form)
        return
    if not rows:
        on = any("calls" in one.jobs() and one.jobs()["calls"].enabled for one in settings.accounts)
        say(
            "No call in the mirror matches."
            if on
            else "Calls are switched off: add calls = { enabled = true } to an account."
        )
        return
    now = app.now()
    show_table(
        ("started", "account", "direction", "outcome", "number", "name", "company", "agent", "lasted"),
        (
            (
                when(row["started_at"], now),
                f"{row['provider']}.{row['account']}",
                row["direction"],
                row["outcome"] + (" (voicemail)" if row["voicemail"] else ""),
                row["phone_e164"] or "withheld",
                row["caller_name"],
                row["caller_company"],
                row["agent"],
                span(row["duration_s"]) if row["duration_s"] else "",
            )
            for row in rows
        ),
    )
    say()
    say(f"{shown(rows, 'call')}.")
