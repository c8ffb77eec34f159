"""`syncer forget`: removes a person from every table, and keeps them out."""

from __future__ import annotations

import click

from syncer.cli.common import WORDS, App, count, emit_json, example, json_option, pass_app, say
from syncer.errors import UsageError


@click.command(epilog=example("syncer forget +919200000001 --yes"))
@click.argument("phone", type=WORDS)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_app
def forget(app: App, phone: str, yes: bool, as_json: bool) -> None:
    """Remove everybody with a phone number from every table, raw rows and the log included.

    They are kept out from then on, by a keyed hash of the number. Nothing is deleted upstream, and
    backups that were taken before keep what they hold: delete those, too, where the law asks for it.
    """
    from syncer.core.normalise import to_e164
    from syncer.store import forget as removal

    settings = app.settings()
    regions = dict.fromkeys(account.region for account in settings.accounts)
    e164 = next((found for region in regions if (found := to_e164(phone, region))), None)
    if e164 is None:
        raise UsageError("this is no phone number that can be read: write it with its country code")
    if not yes:
        click.confirm(
            f"Remove everybody with the number {e164} from {settings.database.path.name}?", abort=True
        )
    with app.writing(settings) as db:
        done = removal.forget(db, e164, app.stamp(), regions=regions)
    if as_json:
        emit_json({"removed": done.rows, "mentioned": done.mentioned, "traces": done.traces})
        return
    if done.rows:
        for table, number in sorted(done.rows.items()):
            say(f"{table}: {count(number, 'row')} removed")
    else:
        say("The mirror held nobody with this number.")
    for table, ids in sorted(done.mentioned.items()):
        some = ", ".join(str(one) for one in ids[:5]) + (", ..." if len(ids) > 5 else "")
        say(
            f"{table}: {count(len(ids), 'row')} of other people name the number still ({some}): edit them upstream"
        )
    if done.traces:
        say(
            "Free pages of the file may still hold traces, as another program was reading it, or the disk is "
            "full: run this again when it is at rest."
        )
    say("They are kept out from now on. Upstream is as it was; older backups still hold them.")
