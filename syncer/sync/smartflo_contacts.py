"""Pulls Smartflo's contact groups and contacts: increments by `updated_after`, and a full listing daily."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from syncer.core import cursor
from syncer.core.due import has_passed
from syncer.core.listing import Walk
from syncer.core.model import Page, Paging, Position, Proof
from syncer.core.normalise import utc_text
from syncer.errors import AuthError, RejectedError, RemoteError, TransientError
from syncer.store.db.connection import Connection
from syncer.store.db.mirrors import SMARTFLO_CONTACTS, SMARTFLO_GROUPS
from syncer.store.write import holds, mirror
from syncer.sync import pull, registry
from syncer.sync.run import Run
from syncer.sync.vendors import Sample, SmartfloSource

JOB = registry.SMARTFLO

#: A password that expires within this many days is reported.
DAYS_LEFT = 14

#: After this many drifted listings in a row, the cursor moves anyway.
MOST_DRIFTED = 3

#: After this many increments in a row with rows older than requested, the vendor is assumed to ignore the filter.
IGNORED_READS = 2


async def pull_smartflo(run: Run, source: SmartfloSource) -> None:
    """Pull groups, then contacts. If the account may not use one list, the other is still pulled."""
    try:
        await _pull_groups(run, source)
    except AuthError:
        raise
    except RemoteError as error:
        if isinstance(error, TransientError) and not error.sent:
            raise  # the vendor cannot be reached
        run.problem = f"{error.source} {error.call}: {run.problem}"
    await _pull_contacts(run, source)
    _warn_of_password(run, source)


async def _pull_groups(run: Run, source: SmartfloSource) -> None:
    async def fetch(position: Position) -> Page:
        assert isinstance(position, int)
        return await _limited(run, position, partial(source.client.fetch_groups_page, position))

    walk = Walk(Paging.NUMBERED, has_total=False, asked=100)
    await pull.pull(
        run,
        pull.new_reconciler(run, SMARTFLO_GROUPS),
        walk,
        fetch,
        max_deletions=source.account.max_deletions,
        fetch_one=source.client.fetch_group,
    )


async def _pull_contacts(run: Run, source: SmartfloSource) -> None:
    account, job, state = source.account, source.account.contacts, run.state
    full_due = state.cursor is None or state.last_full_at is None
    if state.last_full_at is not None:
        full_due = full_due or has_passed(job.full_every, state.last_full_at, run.env.now())
    whole = run.full or full_due or await _held_or_approved(run)
    after = None
    if not whole and state.cursor is not None:
        after = cursor.ask_after(state.cursor, job.overlap, account.updated_after_format)
    asked_from = state.cursor
    stamps: list[str] = []
    older = 0
    server_now = ""

    async def fetch(position: Position) -> Page:
        nonlocal older, server_now
        assert isinstance(position, int)
        page = await _limited(run, position, partial(source.client.fetch_contacts_page, position, after))
        if page.server_date is not None:
            server_now = utc_text(page.server_date)
        limit = server_now or utc_text(run.env.now())
        best = cursor.advance(None, (row.stamp for row in page.rows), limit)
        if best is not None:
            stamps[:] = [max([best, *stamps])]
        if after is not None and asked_from is not None:
            older += sum(cursor.is_older(row.stamp, asked_from, job.overlap) for row in page.rows)
        return page

    walk = Walk(Paging.NUMBERED, has_total=False, asked=100)
    certificate = await pull.pull(
        run,
        pull.new_reconciler(run, SMARTFLO_CONTACTS),
        walk,
        fetch,
        max_deletions=account.max_deletions,
        whole=whole,
        fetch_one=source.client.fetch_contact,
    )
    if after is not None:
        live = await run.env.store.read(mirror.live_count, SMARTFLO_CONTACTS, run.account)
        left_out = certificate.verdict is not Proof.PARTIAL and certificate.distinct < live
        _learn_filter(run, older, left_out=left_out)
    if run.full and not full_due:
        return  # a full read by a person changes neither the cursor nor the time of the next full listing
    if certificate.verdict is Proof.DRIFTED and not _drifted_enough(run):
        return  # rows that moved while we read may be before the new cursor: start from the old one again
    if certificate.verdict is not Proof.PARTIAL:
        state.notes.pop("drifted", None)
        state.cursor = cursor.advance(state.cursor, stamps, server_now or utc_text(run.env.now()))
        if whole:
            state.last_full_at = run.at


async def _limited(run: Run, position: int, fetch: Callable[..., Awaitable[Page]]) -> Page:
    """A page of a hundred rows or, if the vendor refuses that, of its default size.

    The greatest `limit` is not documented, nor whether a greater one is reduced or refused.
    """
    if run.state.notes.get("no_limit"):
        return await fetch(limit=None)
    try:
        return await fetch()
    except RejectedError as refusal:
        if position != 1:
            raise
        try:
            page = await fetch(limit=None)
        except RejectedError:
            raise refusal from None  # the limit was not the reason
        run.state.notes["no_limit"] = True
        run.notice("the vendor refuses pages of a hundred rows; it is asked without a limit from now on")
        return page


def _drifted_enough(run: Run) -> bool:
    """Whether listings always drift, so waiting for a complete one is pointless."""
    times = int(run.state.notes.get("drifted", 0)) + 1
    run.state.notes["drifted"] = times
    return times >= MOST_DRIFTED


async def _held_or_approved(run: Run) -> bool:
    """Whether contacts are held, or were approved for removal: only a full listing settles them."""

    def ask(conn: Connection) -> bool:
        table = SMARTFLO_CONTACTS.name
        decided = holds.decided(conn, JOB, run.account, table)
        return bool(decided.approved or holds.open_rows(conn, JOB, run.account, table))

    return await run.env.store.read(ask)


def _learn_filter(run: Run, older: int, *, left_out: bool) -> None:
    """Learn whether the vendor applies `updated_after`. It does if rows of the mirror are left out.

    Rows that should have been left out show that it does not, which is reported once.
    """
    notes = run.state.notes
    if not older:
        notes.pop("filter_ignored", None)
        if left_out:
            notes["filter"] = "honoured"
        return
    times = int(notes.get("filter_ignored", 0)) + 1
    notes["filter_ignored"] = min(times, IGNORED_READS + 1)
    if times == IGNORED_READS:
        notes["filter"] = "ignored"
        run.notice("the vendor ignores updated_after: each incremental pull is a full listing")


def _warn_of_password(run: Run, source: SmartfloSource) -> None:
    days = source.client.days_left
    told = run.state.notes.get("password_days")
    if days is None or days > DAYS_LEFT:
        run.state.notes.pop("password_days", None)
    elif told != days:
        run.state.notes["password_days"] = days
        run.notice(f"the Smartflo password of this login expires in {days} days: change it in the portal")


async def first_page(source: SmartfloSource, sample: Sample, now: datetime) -> Page:
    """The first page, for `doctor`."""
    del now
    return await source.client.fetch_contacts_page(1, None, limit=1 if sample is Sample.LITTLE else 100)


async def first_groups_page(source: SmartfloSource, sample: Sample, now: datetime) -> Page:
    """The first page of groups, for `doctor`."""
    del now
    return await source.client.fetch_groups_page(1, limit=1 if sample is Sample.LITTLE else 100)
