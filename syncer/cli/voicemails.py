"""`syncer voicemails`: who left one, and when."""

from __future__ import annotations

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import (
    account_option,
    example,
    limit_option,
    list_options,
    search_option,
    since_option,
    since_stamp,
    telecmi_accounts,
)
from syncer.cli.output import emit_list, say, show_table, shown, when


@click.group()
def voicemails() -> None:
    """List voicemails, with the callers' names."""


@voicemails.command("list", epilog=example("syncer voicemails list --since 7d --unknown"))
@account_option
@since_option("Received")
@click.option("--unknown", is_flag=True, help="Only callers without a contact.")
@search_option("caller's")
@limit_option
@list_options
@pass_app
def list_(
    app: App,
    account: str | None,
    since: str | None,
    unknown: bool,
    search: str | None,
    limit: int | None,
    form: str | None,
) -> None:
    """Newest first, with the caller's name from any provider's contacts."""
    from syncer.store.db import columns
    from syncer.store.read import contact_queries

    settings = app.settings()
    accounts = list(telecmi_accounts(settings, account))
    begin = since_stamp(app, since)
    with app.query(settings) as conn:
        rows = contact_queries.list_voicemails(
            conn, accounts, since=begin, unknown=unknown, search=search, limit=limit
        )
    if form:
        emit_list(rows, (*columns.COLUMNS["telecmi_voicemails"], "caller_name", "caller_company"), form)
        return
    now = app.now()
    if not rows:
        say("No voicemail in the mirror matches.")
        return
    show_table(
        ("received", "account", "from", "caller", "company", "file"),
        (
            (
                when(row["received_at"], now) if row["received_at"] else "undated",
                row["account"],
                row["phone_e164"] or row["from_number"],
                row["caller_name"],
                row["caller_company"],
                row["voicename"],
            )
            for row in rows
        ),
    )
    say()
    say(f"{shown(rows, 'voicemail')}.")
