"""What `doctor` checks about targets of notifications and doorbells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from syncer.cli.findings import Finding

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.config.targets import NotifyTarget

#: A doorbell key that is shorter could be guessed.
SHORTEST_KEY = 16


def check_doorbells(settings: Settings) -> Iterator[Finding]:
    """Whether what rings can be heard."""
    for account in settings.accounts:
        key = account.doorbell_key
        if key is None:
            continue
        if settings.http is None:
            text = "doorbell_key is set, and nothing listens for a ring"
            yield Finding("warning", account.label, text, "set listen below [http]")
        elif len(key.reveal()) < SHORTEST_KEY:
            text = f"doorbell_key has fewer than {SHORTEST_KEY} characters and could be guessed"
            yield Finding("warning", account.label, text, "write a random one: openssl rand -hex 24")
        else:
            yield Finding("ok", account.label, f"its doorbell is /doorbell/{account.label}/KEY")


async def check_targets(settings: Settings, *, network: bool) -> list[Finding]:
    """How each target is reached; with `network`, whether its host takes connections. Nothing is sent."""
    from syncer.config.targets import NotifyTarget

    return [await _check(target, network) for target in settings.of(NotifyTarget)]


async def _check(target: NotifyTarget, network: bool) -> Finding:
    test = f"`syncer notify test {target.name}` sends a test"
    if target.webhook is None or not network:
        return Finding("ok", target.label, f"by {target.way}, which was not tried; {test}")
    from syncer.remote.delivery import origin
    from syncer.remote.probe import probe

    trouble = await probe(origin(target.webhook.reveal()), None)
    if trouble is not None:
        return Finding(
            "problem", target.label, trouble.text, f"is its webhook right, and the host up? {test}"
        )
    return Finding("ok", target.label, f"the host of its webhook takes connections; {test}")
