"""Pulls Smartflo's contact groups and contacts: increments by `updated_after`, and a full listing once a day."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from syncer.core import cursor
from syncer.core.due import has_passed
from syncer.core.listing import Walk
from syncer.core.model import Page, Paging, Position, Proof
from syncer.core.normalise import utc_text
from syncer.errors import AuthError, RejectedError, RemoteError
from syncer.remote.rows import Announce
from syncer.store.db.connection import Connection
from syncer.store.db.mirrors import SMARTFLO_CONTACTS, SMARTFLO_GROUPS
from syncer.store.write import holds
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
        if not error.sent:
            raise  # the vendor cannot be reached
        run.problem = f"{error.source} {error.call}: {run.problem}"
    await _pull_contacts(run, source)
    _warn_of_password(run, source)


async def _pull_groups(run: Run, source: SmartfloSource) -> None:
    async def fetch(position: Position, _: Announce) -> Page:
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
    state, full_every = run.state, source.account.contacts.full_every
    full_due = (
        state.cursor is None
        or state.last_full_at is None
        or has_passed(full_every, state.last_full_at, run.env.now())
    )
    is_full = run.full or full_due or await _held_or_approved(run)
    reconciler = pull.new_reconciler(run, SMARTFLO_CONTACTS)
    pages = _ContactPages(run, source, None if is_full else state.cursor)
    certificate = await pull.pull(
        run,
        reconciler,
        Walk(Paging.NUMBERED, has_total=False, asked=100),
        pages.fetch,
        max_deletions=source.account.max_deletions,
        is_full=is_full,
        fetch_one=source.client.fetch_contact,
    )
    if not is_full:
        live = await run.env.store.read(reconciler.live_count)
        left_out = certificate.verdict is not Proof.PARTIAL and certificate.distinct < live
        _learn_filter(run, pages.older, left_out=left_out)
    if run.full and not full_due:
        return  # a full read by a person changes neither the cursor nor the time of the next full listing
    if certificate.verdict is Proof.DRIFTED and not _drifted_enough(run):
        return  # rows that moved while we read may be before the new cursor: start from the old one again
    if certificate.verdict is not Proof.PARTIAL:
        state.notes.pop("drifted", None)
        state.cursor = cursor.advance(state.cursor, [pages.newest], pages.server_now)
        if is_full:
            state.last_full_at = run.at


class _ContactPages:
    """Fetches the pages of one pull, and notes what their timestamps say about the cursor and the filter."""

    def __init__(self, run: Run, source: SmartfloSource, since: str | None) -> None:
        """`since`: the cursor of an increment."""
        self.newest: str | None = None  #: the latest timestamp of a row
        self.older = 0  #: rows that the filter should have left out
        self._run = run
        self._client = source.client
        self._since = since
        self._overlap = source.account.contacts.overlap
        self._format = source.account.updated_after_format
        self._server_date: datetime | None = None

    @property
    def server_now(self) -> str:
        """The vendor's clock, or ours if its responses have no date."""
        return utc_text(self._server_date or self._run.env.now())

    async def fetch(self, position: Position, _: Announce) -> Page:
        """One page."""
        assert isinstance(position, int)
        since = self._since
        after = None if since is None else cursor.ask_after(since, self._overlap, self._format)
        page = await _limited(self._run, position, partial(self._client.fetch_contacts_page, position, after))
        self._server_date = page.server_date or self._server_date
        self.newest = cursor.advance(self.newest, (row.stamp for row in page.rows), self.server_now)
        if since is not None:
            self.older += sum(cursor.is_older(row.stamp, since, self._overlap) for row in page.rows)
        return page


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
    """Whether so many listings in a row drifted that waiting for a complete one is pointless."""
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
    notes = run.state.notes
    if days is None or days > DAYS_LEFT:
        notes.pop("password_days", None)
    elif notes.get("password_days") != days:
        notes["password_days"] = days
        run.notice(f"the Smartflo password of this login expires in {days} days: change it in the portal")


async def first_page(source: SmartfloSource, sample: Sample, now: datetime) -> Page:
    """The first page, for `doctor`."""
    del now
    return await source.client.fetch_contacts_page(1, None, limit=1 if sample is Sample.LITTLE else 100)


async def first_groups_page(source: SmartfloSource, sample: Sample, now: datetime) -> Page:
    """The first page of groups, for `doctor`."""
    del now
    return await source.client.fetch_groups_page(1, limit=1 if sample is Sample.LITTLE else 100)
