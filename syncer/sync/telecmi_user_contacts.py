"""Pulls the contact list of one TeleCMI user (v2), and creates contacts that the directory lacks."""

from __future__ import annotations

from datetime import datetime

from syncer.core.due import lies_ahead
from syncer.core.listing import Walk
from syncer.core.model import Page, Paging, Position
from syncer.remote.rows import Announce
from syncer.store.db.mirrors import USER_CONTACTS
from syncer.store.db.read_only import chunks
from syncer.store.write import runs, user_list
from syncer.store.write.contacts import Policy
from syncer.store.write.reconciler import BLOCK
from syncer.sync import pull, telecmi_contacts
from syncer.sync.run import Run
from syncer.sync.vendors import Sample, TelecmiSource


async def pull_user_contacts(run: Run, source: TelecmiSource) -> None:
    """Mirror the list. If the directory was read completely before, update the contacts that come only from the list."""
    account, store = source.account, run.env.store

    async def fetch(position: Position, _: Announce) -> Page:
        assert isinstance(position, int)
        return await source.client.fetch_user_contacts_page(position)

    offset = pull.known_offset(run, USER_CONTACTS.name)
    walk = Walk(Paging.NUMBERED, has_total=True, offset=offset, asked=10)
    began = run.env.stamp()
    reconciler = pull.new_reconciler(run, USER_CONTACTS)
    certificate = await pull.pull(run, reconciler, walk, fetch, max_deletions=account.max_deletions)
    known = await store.read(runs.load_job, telecmi_contacts.JOB, account.name)
    done = known.last_complete_at
    directory_was_read = done is not None and (done <= began or lies_ahead(done, run.env.now()))
    if account.contacts.enabled and certificate.complete and directory_was_read:
        policy = telecmi_contacts.policy_of(account)
        wrote = await _update_contacts(run, policy)
        await pull.watch_quiescence(run, f"{telecmi_contacts.TABLE} of the list", walk.fingerprint, wrote)


async def _update_contacts(run: Run, policy: Policy) -> int:
    """Create, change and remove the contacts that come only from the list. Returns how many."""
    store, at = run.env.store, run.env.stamp()
    to_do = await store.read(user_list.to_do, policy)
    added = changed = removed = 0
    for block in chunks(to_do.missing, BLOCK):
        added += await store.write(user_list.add, policy, block, at)
    for block in chunks(to_do.followers, BLOCK):
        some, gone = await store.write(user_list.follow, policy, block, at)
        changed += some
        removed += gone
    run.added += added
    run.changed += changed
    run.removed += removed
    return added + changed + removed


async def first_page(source: TelecmiSource, sample: Sample, now: datetime) -> Page:
    """The first page, for `doctor`."""
    del sample, now
    return await source.client.fetch_user_contacts_page(1)
