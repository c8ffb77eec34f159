"""Checks of `doctor` about notification targets, published copies and doorbells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from syncer.cli.findings import Finding
from syncer.sync.registry import specs_of

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.config.targets import NotifyTarget, PublishTarget

#: Shorter doorbell keys could be guessed.
SHORTEST_KEY = 16


def check_doorbells(settings: Settings) -> Iterator[Finding]:
    """Whether the doorbells are reachable, useful and hard to guess."""
    for account in settings.accounts:
        key = account.doorbell_key
        if key is None:
            continue
        if settings.http is None:
            text = "doorbell_key is set, and nothing listens for a ring"
            yield Finding("warning", account.label, text, "set listen below [http]")
        elif not any(spec.enabled and spec.resource.rings for spec in specs_of(account)):
            text = "doorbell_key is set, and a ring wakes nothing: no job for voicemails or calls is on"
            yield Finding("warning", account.label, text, "add calls = { enabled = true } below the account")
        elif len(key.reveal()) < SHORTEST_KEY:
            text = f"doorbell_key has fewer than {SHORTEST_KEY} characters and could be guessed"
            yield Finding("warning", account.label, text, "write a random one: openssl rand -hex 24")
        else:
            yield Finding("ok", account.label, f"its doorbell is /doorbell/{account.label}/KEY")


async def check_targets(settings: Settings, *, network: bool) -> list[Finding]:
    """How each target is reached. `network` also connects to its host. Nothing is sent."""
    from syncer.config.targets import NotifyTarget

    return [await _check(target, network) for target in settings.of(NotifyTarget)]


async def _check(target: NotifyTarget, network: bool) -> Finding:
    test = f"`syncer notify test {target.name}` sends a test"
    if target.webhook is None or not network:
        return Finding("ok", target.label, f"by {target.way}, which was not tried; {test}")
    from syncer.remote.probe import probe

    trouble = await probe(target.webhook.reveal(), None)
    if trouble is not None:
        return Finding(
            "problem", target.label, trouble.text, f"is its webhook right, and the host up? {test}"
        )
    return Finding("ok", target.label, f"the host of its webhook takes connections; {test}")


async def check_copies(settings: Settings) -> list[Finding]:
    """Whether each published copy can be reached, and has been published to. Nothing is written there."""
    from syncer.config.targets import PublishTarget

    return [await _check_copy(target) for target in settings.of(PublishTarget)]


async def _check_copy(target: PublishTarget) -> Finding:
    from syncer.clock import SystemClock
    from syncer.errors import AuthError, RemoteError, SchemaError
    from syncer.sync.copy_thread import PATIENCE, cut_off
    from syncer.sync.publish import connect

    copy = connect(target, SystemClock()).client
    try:
        position = await cut_off(copy, PATIENCE, copy.open, make=False)
    except RemoteError as error:
        refused = isinstance(error, AuthError)
        fix = "see docs/publish.md: the url, the password, TLS and the GRANTs"
        return Finding("problem", target.label, error.text, fix, credentials=refused)
    except SchemaError as error:
        return Finding("problem", target.label, str(error))
    finally:
        copy.close()
    if position is None:
        text = f"takes the login; nothing of the site {target.site} was published yet"
        return Finding("note", target.label, text, f"`syncer publish {target.name}` does")
    return Finding("ok", target.label, f"takes the login; the site {target.site} is published there")
