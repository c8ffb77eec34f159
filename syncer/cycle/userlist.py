"""Pulls the contact list of one TeleCMI user (v2), and what of it the directory lacks."""

from __future__ import annotations

from syncer.core.listing import Walk
from syncer.core.model import Page, Paging, Position
from syncer.cycle import directory, joblist, mirrors
from syncer.cycle.env import TelecmiSource
from syncer.cycle.listing import Foresee
from syncer.cycle.run import Run
from syncer.store import runs, userlist
from syncer.store.tables import USER_CONTACTS

JOB = joblist.USER_CONTACTS


async def pull_user_contacts(run: Run, source: TelecmiSource) -> None:
    """Mirror the list; with the account's directory known whole, bring its own rows in line."""
    account, store = source.account, run.env.store

    async def fetch(position: Position, _: Foresee) -> Page:
        assert isinstance(position, int)
        return await source.client.fetch_user_contacts_page(position)

    offset = mirrors.known_offset(run, USER_CONTACTS.name)
    walk = Walk(Paging.NUMBERED, has_total=True, offset=offset, asked=10)
    began = run.env.stamp()
    certificate = await mirrors.pull(run, USER_CONTACTS, walk, fetch, max_deletions=account.max_deletions)
    known = await store.read(runs.load_job, directory.JOB, account.name)
    whole = known.last_complete_at is not None and known.last_complete_at <= began
    if account.contacts.enabled and certificate.complete and whole:
        policy = directory.policy_of(source)
        added = changed = removed = 0
        if await store.read(userlist.needs_work, policy):
            added, changed, removed = await store.write(userlist.bring_in_line, policy, run.env.stamp())
            run.added += added
            run.changed += changed
            run.removed += removed
        wrote = added + changed + removed
        await mirrors.watch_quiescence(run, f"{directory.TABLE} of the list", walk.fingerprint, wrote)
