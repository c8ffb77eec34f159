"""`syncer notify`: tests notification targets, and queues failed notifications again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncer.cli.app import App, pass_app, run_async
from syncer.cli.options import WORDS, example, named_targets
from syncer.cli.output import count, say

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.config.targets import NotifyTarget

name_argument = click.argument("name", required=False, type=WORDS)


@click.group()
def notify() -> None:
    """Test notification targets, or queue notifications again."""


@notify.command(epilog=example("syncer notify test", "syncer notify test desk"))
@name_argument
@pass_app
@click.pass_context
def test(ctx: click.Context, app: App, name: str | None) -> None:
    """Send a test to one target, or to all.

    Exit 1 if one of them does not accept it. Nothing is recorded, and no waiting notification is sent.
    """
    settings = app.settings(logs="error", credentials="sent")
    failed = run_async(_test(app, _targets(settings, name)))
    ctx.exit(1 if failed else 0)


async def _test(app: App, targets: tuple[NotifyTarget, ...]) -> int:
    """Send the tests one after the other. Returns how many failed."""
    from syncer.clock import SystemClock
    from syncer.errors import RemoteError
    from syncer.sync.notify import connect, send_test

    failed, clock = 0, SystemClock()
    for target in targets:
        source = connect(target, clock)
        try:
            await send_test(source, app.stamp(), clock.rand())
        except RemoteError as error:
            failed += 1
            say(f"{target.label}: not delivered: {error.text}", err=True)
        else:
            say(f"{target.label}: delivered, by {target.way}")
        finally:
            await source.aclose()
    return failed


@notify.command(epilog=example("syncer notify retry desk"))
@name_argument
@pass_app
def retry(app: App, name: str | None) -> None:
    """Queue again what was given up after a day, for one target or all."""
    from syncer.store.write import outbox

    settings = app.settings()
    targets = _targets(settings, name)
    with app.deciding(settings) as db, db.write() as conn:
        done = {target.label: outbox.retry(conn, target.name) for target in targets}
    for label, number in done.items():
        say(
            f"{label}: {count(number, 'notification')} queued again"
            if number
            else f"{label}: none was given up"
        )


def _targets(settings: Settings, name: str | None) -> tuple[NotifyTarget, ...]:
    from syncer.config.targets import NotifyTarget

    none = "the config has no target of notifications; add one below a heading such as [notify.desk]"
    return named_targets(settings.of(NotifyTarget), name, "target", none)
