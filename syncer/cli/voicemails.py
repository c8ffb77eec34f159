"""`syncer voicemails`: who left one, and when. Fetching them is left to the sync."""

from __future__ import annotations

import click

from syncer.cli.common import (
    WORDS,
    App,
    account_option,
    example,
    format_option,
    json_option,
    limit_option,
    pass_app,
    say,
    shown,
    telecmi_accounts,
    when,
)
from syncer.cli.tables import emit_list, show_table


@click.group()
def voicemails() -> None:
    """Look at voicemails, with the callers' names."""


@voicemails.command("list", epilog=example("syncer voicemails list --since 7d --unknown"))
@account_option
@click.option("--since", metavar="SPAN", type=WORDS, help="Since so long (7d, 24h), or a date (2026-01-31).")
@click.option("--unknown", is_flag=True, help="Only those whose caller no contact names.")
@click.option(
    "--search", metavar="TEXT", type=WORDS, help="Words or digits in the caller's name, company or number."
)
@limit_option
@format_option
@json_option
@pass_app
def list_(
    app: App,
    account: str | None,
    since: str | None,
    unknown: bool,
    search: str | None,
    limit: int | None,
    form: str | None,
    as_json: bool,
) -> None:
    """Newest first, with the caller's name from any provider's contacts."""
    from syncer.store.db import columns
    from syncer.store.read import contact_queries

    settings = app.settings()
    accounts = list(telecmi_accounts(settings, account))
    begin = _since(app, since) if since is not None else None
    with app.reading(settings) as db, db.read() as conn:
        rows = contact_queries.list_voicemails(
            conn, accounts, since=begin, unknown=unknown, search=search, limit=limit
        )
    if form or as_json:
        names = (*columns.COLUMNS["telecmi_voicemails"], "caller_name", "caller_company")
        emit_list(rows, names, form or "json")
        return
    now = app.now()
    if not rows:
        say("There is no such voicemail in the mirror.")
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


def _since(app: App, text: str) -> str:
    from datetime import datetime

    from syncer.config.units import parse_since
    from syncer.core.normalise import utc_text

    try:
        since = parse_since(text)
        return utc_text(since if isinstance(since, datetime) else app.now() - since)
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"--since {error}") from None
