"""The `notify` job of one target: sends the notifications in `outbox`, in order, each at least once.

Triggers write the outbox. `core/notifications.py` decides when a notification is tried again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from syncer.clock import Clock
from syncer.config.targets import NotifyTarget, signing_key
from syncer.core.due import time_left
from syncer.core.notifications import LONGEST_WAIT, message_id, shown, words
from syncer.errors import ConfigError, RemoteError
from syncer.remote.client import ApiClient
from syncer.remote.delivery import TIMEOUT, AppriseAddress, Command, Message, Sender, Webhook
from syncer.remote.wire import split_address
from syncer.store.db.read_only import Reader
from syncer.store.read import outbox
from syncer.store.read.outbox import Notification
from syncer.store.write import outbox as writing
from syncer.sync.run import Run
from syncer.sync.vendors import Source

#: The event of a test notification.
TEST_EVENT = "test"


def connect(target: NotifyTarget, clock: Clock) -> Source[NotifyTarget, Sender]:
    """The source of a target. Raises ConfigError for an address that Apprise does not know."""
    if target.webhook is not None:
        url = target.webhook.reveal()
        api = ApiClient(
            source=target.label,
            base_url=split_address(url)[0],
            requests_per_second=50.0,
            concurrency=1,
            timeout=TIMEOUT,
            rand=clock.rand,
            sleep=clock.sleep,
            now=clock.now,
        )
        key = signing_key(target.secret) if target.secret is not None else None
        return Source(target, api, Webhook(api, url, key, lambda: clock.now().timestamp()))
    if target.command is not None:
        return Source(target, None, Command(target.label, target.command, os.environ))
    assert target.apprise is not None
    return Source(target, None, AppriseAddress(target.label, target.apprise.reveal()))


def check_addresses(targets: Iterable[NotifyTarget]) -> None:
    """Raise ConfigError if Apprise does not know an address. Sends nothing."""
    problems: list[str] = []
    for target in targets:
        if target.apprise is not None:
            try:
                AppriseAddress(target.label, target.apprise.reveal())
            except ConfigError as error:
                problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)


async def deliver(run: Run, source: Source[NotifyTarget, Sender]) -> None:
    """Send everything that is due; with `run.person` also what waits to be tried again.

    To keep the order, the first notification that the target does not accept ends the run.
    """
    store, target = run.env.store, source.account
    if run.env.plan_only:
        queued = (await store.read(outbox.counts)).get(target.name, {}).get("queued", 0)
        if queued:
            run.plan.append(f"would send {queued} notification{'' if queued == 1 else 's'} to {target.label}")
        return
    while (one := await store.read(outbox.head, target.name)) is not None:
        if not run.person and time_left(one.next_attempt_at, run.env.now(), LONGEST_WAIT):
            run.incomplete(f"{target.label}: {one.last_error}; tried again at {one.next_attempt_at}")
            return
        message = await store.read(_message, one, target)
        if message is None:
            await store.write(writing.drop, one)
            continue
        run.seen += 1
        try:
            await source.client.send(message)
        except RemoteError as error:
            if await store.write(writing.mark_failed, one, run.env.now(), error.text):
                run.incomplete(str(error))
                return
            run.notice(f"notification {one.id} was given up after a day: {error.text}")
        else:
            await store.write(writing.mark_sent, one, run.env.stamp())
            run.changed += 1
        run.env.progress(run.job, run.account, run.seen, None)


def _message(conn: Reader, one: Notification, target: NotifyTarget) -> Message | None:
    data = outbox.data(conn, one)
    if data is None:
        return None
    return _compose(message_id(one.target, one.id, one.created_at), one.event, one.created_at, data, target)


def _compose(number: str, event: str, at: str, data: dict[str, Any], target: NotifyTarget) -> Message:
    data = shown(data, private=target.private)
    title, text = words(event, data)
    return Message(number, {"type": event, "timestamp": at, "data": data}, title, text)


async def send_test(source: Source[NotifyTarget, Sender], at: str, rand: float) -> None:
    """Send a test notification, which is not recorded. Raises RemoteError."""
    target = source.account
    number = message_id(target.name, int(rand * 2**53), at)
    await source.client.send(_compose(number, TEST_EVENT, at, {"table": "outbox", "id": 0}, target))
