"""`syncer voicemails`: who left one, and when."""

from __future__ import annotations

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import WORDS, account_option, example, limit_option, list_options, telecmi_accounts
from syncer.cli.output import emit_list, say, show_table, shown, when


@click.group()
def voicemails() -> None:
    """List voicemails, with the callers' names."""


@voicemails.command("list", epilog=example("syncer voicemails list --since 7d --unknown"))
@account_option
@click.option(
    "--since",
    metavar="SPAN",
    type=WORDS,
    help="Received in the last 7d or 24h, or since a date (2026-01-31).",
)
@click.option("--unknown", is_flag=True, help="Only callers without a contact.")
@click.option(
    "--search", metavar="TEXT", type=WORDS, help="Words or digits in the caller's name, company or number."
)
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
    begin = _since(app, since) if since is not None else None
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


def _since(app: App, text: str) -> str:
    from datetime import datetime

    from syncer.config.units import parse_since
    from syncer.core.normalise import utc_text

    try:
        since = parse_since(text)
        return utc_text(since if isinstance(since, datetime) else app.now() - since)
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"--since {error}") from None
