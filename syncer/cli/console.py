"""`syncer console`: invites people to the page, lists who may use it, and ends their sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import WORDS, example, json_option
from syncer.cli.output import count, emit_json, local, say, show_table, span
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.console.sessions import Sessions


class Duration(click.ParamType[timedelta]):
    """A duration as in the config: 12h, 30d."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration."""
        from syncer.config.units import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def console() -> None:
    """Invite people to the page, list sessions, and end them."""


@console.command(
    epilog=example(
        'syncer console invite --name "Asha Example" --role edit',
        "syncer console invite --name Desk --for 7d",
    )
)
@click.option(
    "--name",
    required=True,
    metavar="NAME",
    type=WORDS,
    help="Who it is for. Actions are recorded under this name.",
)
@click.option(
    "--role",
    default="look",
    type=click.Choice(["look", "edit", "approve"]),
    help="look: read. edit: also correct contacts and close callbacks. approve: also decide about conflicts, deletes and holds.",
)
@click.option(
    "--for",
    "lasts",
    default="30d",
    metavar="SPAN",
    type=Duration(),
    help="How long the login lasts: 12h, 30d.",
)
@pass_app
def invite(app: App, name: str, role: str, lasts: timedelta) -> None:
    """Print a link that logs one browser in, once, within an hour."""
    from syncer.core.console import Role, unusable_name

    if reason := unusable_name(name):
        raise click.UsageError(f"the name {reason}")
    settings = app.settings()
    http = settings.http
    if http is None:
        raise UsageError('the page is off: write listen = "127.0.0.1:9464" and console = true below [http]')
    token = _sessions(app, settings).invite(name, Role(role), lasts)
    click.echo(f"{http.base}/login/{token}")
    say(f"For one browser, once, within an hour. The login lasts {span(lasts.total_seconds())}.", err=True)
    if not http.console:
        say("The page is off: set console = true below [http], and restart or reload the daemon.", err=True)


@console.command(epilog=example("syncer console sessions"))
@json_option
@pass_app
def sessions(app: App, as_json: bool) -> None:
    """List who may use the page: sessions, and links that were not used yet."""
    found = _sessions(app, app.settings()).usable()
    if as_json:
        names = ("kind", "name", "role", "created_at", "expires_at")
        emit_json([{name: str(getattr(one, name)) for name in names} for one in found])
        return
    if not found:
        say("Nobody may use the page: `syncer console invite --name NAME` prints a link.")
        return
    rows = (
        (one.name, one.role.value, one.kind, local(one.created_at), local(one.expires_at)) for one in found
    )
    show_table(("name", "role", "kind", "since", "until"), rows)


@console.command(epilog=example('syncer console revoke "Asha Example"'))
@click.argument("name", type=WORDS)
@pass_app
def revoke(app: App, name: str) -> None:
    """End all sessions and unused links of a person, at once."""
    ended, links = _sessions(app, app.settings()).revoke(name)
    if not ended + links:
        raise UsageError(f"nobody called {name!r} may use the page: `syncer console sessions` lists who may")
    say(f"{count(ended, 'session')} and {count(links, 'unused link')} of {name} ended.")


def _sessions(app: App, settings: Settings) -> Sessions:
    from syncer.console.sessions import Sessions

    return Sessions(settings.database.path, app.now, settings.database.group)
