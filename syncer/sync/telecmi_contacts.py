"""Pulls the organization's directory (TeleCMI v3) into the contacts that people edit.

`core/contacts.py` decides what a listed contact means; `removals.py` handles contacts that are not listed.
"""

from __future__ import annotations

from datetime import datetime

from syncer.config import TelecmiAccount
from syncer.core.listing import Walk
from syncer.core.model import Page, Paging, Position
from syncer.remote.rows import Announce
from syncer.store.db.tables import telecmi_contacts
from syncer.store.write import contacts, queue
from syncer.store.write.contacts import Policy
from syncer.store.write.directory import DirectoryReconciler
from syncer.sync import registry
from syncer.sync.pager import Fetch
from syncer.sync.pull import context_of, known_offset, pull
from syncer.sync.run import Run
from syncer.sync.vendors import Sample, TelecmiSource

JOB = registry.CONTACTS
TABLE = telecmi_contacts.name


def policy_of(account: TelecmiAccount) -> Policy:
    """How contacts of an account are merged."""
    return Policy(account.name, account.region, account.push.on_conflict)


async def new_reconciler(
    run: Run, source: TelecmiSource, *, defer_blanks: bool = True
) -> DirectoryReconciler:
    """A reconciler for what is requested from now on."""
    epoch = await run.env.store.read(queue.epoch)
    context = context_of(run, TABLE)
    return DirectoryReconciler(policy_of(source.account), context, asked_in=epoch, defer_blanks=defer_blanks)


def new_walk(run: Run, source: TelecmiSource) -> tuple[Walk, Fetch]:
    """The walk through the whole directory."""

    async def fetch(position: Position, announce: Announce) -> Page:
        cursor = position if isinstance(position, str) else None
        return await source.client.fetch_directory_page(cursor, announce=announce)

    return Walk(Paging.CURSOR, has_total=True, offset=known_offset(run, TABLE)), fetch


async def pull_directory(run: Run, source: TelecmiSource) -> None:
    """Take over what the directory shows, then handle what it no longer shows."""
    store, account = run.env.store, source.account
    if await store.read(contacts.unfilled, account.name, account.region):
        await store.write(contacts.fill_phones, account.name, account.region)
    reconciler = await new_reconciler(run, source)
    walk, fetch = new_walk(run, source)
    await pull(
        run,
        reconciler,
        walk,
        fetch,
        max_deletions=account.max_deletions,
        fetch_one=source.client.fetch_contact,
    )


async def first_page(source: TelecmiSource, sample: Sample, now: datetime) -> Page:
    """The first page, for `doctor`."""
    del now
    return await source.client.fetch_directory_page(None, limit=1 if sample is Sample.LITTLE else 100)
