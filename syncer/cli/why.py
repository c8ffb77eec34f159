"""`syncer why`: shows one person's history, and where the caller's name comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import example, json_option, who_argument
from syncer.cli.output import count, emit_json, local, plain, say, say_folded, show_table
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.store.db.read_only import Reader
    from syncer.store.read.people import Person
    from syncer.store.read.story import Story


@click.command(
    epilog=example("syncer why +919200000000", 'syncer why "Asha Example"', "syncer why 12 --json")
)
@who_argument
@json_option
@pass_app
def why(app: App, who: str, as_json: bool) -> None:
    """Show all that is known about one person, in order of time.

    WHO is a phone number, a contact_id, a row id, or a name that only one contact has. Shows which listing saw the
    person first, each edit and who made it, each request and its outcome, conflicts, calls, voicemails, and where the
    caller's name comes from.
    """
    from syncer.store.read import story
    from syncer.store.read.story_words import sentence
    from syncer.sync import registry

    settings = app.settings()
    with app.query(settings) as conn:
        known = story.load(conn, _person(conn, who, settings), registry.jobs_by_table())
    if as_json:
        head = {name: getattr(known, name) for name in ("number", "contact", "name", "name_from")}
        emit_json(head | {"sources": [asdict(one) for one in known.sources], "events": known.events})
        return
    _show_name(known)
    say()
    for event in known.events:
        at = local(event["at"]) if event["at"] else "at an unknown time"
        place = f"{event['table']} row {event['row']}"
        say(f"{at}  {sentence(event)} ({place}{_of(event)})")
    say()
    say(f"{count(len(known.events), 'event')}.")


def _person(conn: Reader, who: str, settings: Settings) -> Person:
    """The one person that `who` means. Otherwise shows who was found, and raises UsageError."""
    from syncer.store.read import people

    if not who:
        raise click.UsageError("WHO is empty; give a phone number, a contact_id, a row id or a name")
    telecmi = {one.name: one.region for one in settings.telecmi}
    smartflo = [one.name for one in settings.accounts if one.kind == "smartflo"]
    found = people.find(conn, who, telecmi, smartflo, settings.regions)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            "nothing is known of this number, contact_id, row id or name: `syncer contacts list --provider any` "
            "shows all contacts"
        )
    rows = ((one.table, one.row, one.account, one.name, one.number) for one in found)
    show_table(("table", "row id", "account", "name", "phone"), rows, err=True)
    raise UsageError(
        "several people match: name one by its phone number, or by its row id in telecmi_contacts"
    )


# -- for people ------------------------------------------------------------------------------------------


def _show_name(known: Story) -> None:
    """Print who it is, and where the name comes from."""
    number = known.number or "a number that cannot be read"
    where = f", contact row {known.contact}" if known.contact else ""
    say(f"{plain(known.name) if known.name else 'No name is known'}: {number}{where}")
    if not known.sources:
        say("   No living contact of any provider has this number.")
        return
    rule = "the directory of TeleCMI first, then the users' own lists, then Smartflo; the oldest row first"
    if known.name:
        say_folded(
            f"   The name is from {known.name_from}, the first of these sources that has one ({rule}):"
        )
    else:
        say_folded(f"   None of these sources has a name ({rule}):")
    for one in known.sources:
        company = f", {plain(one.company)}" if one.company else ""
        say(f"   {one.table} row {one.row} of {one.provider}.{one.account}: {plain(one.name)}{company}")


def _of(event: Mapping[str, Any]) -> str:
    return f", account {event['account']}" if event["account"] else ""
