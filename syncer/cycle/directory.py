"""Pulls the organization's directory (TeleCMI v3) into the contacts that people edit.

What a listed contact means is `core/contacts.py`; what is missing from the listing `settle.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from syncer.core.contacts import Local
from syncer.core.listing import Certificate, Walk
from syncer.core.merge import dirty_fields
from syncer.core.model import DirectoryContact, Fields, Page, Paging, Position, Row, State, Verdict
from syncer.core.queue import Event
from syncer.core.rows import Bits
from syncer.cycle import joblist
from syncer.cycle.blocks import SMALLEST, Blocks
from syncer.cycle.env import TelecmiSource
from syncer.cycle.listing import rows_of, walk_pages
from syncer.cycle.mirrors import known_offset, learn_offset, learn_volatile, watch_quiescence
from syncer.cycle.run import Run
from syncer.cycle.settle import Ask, settle
from syncer.errors import BadAnswerError, RejectedError, RemoteError
from syncer.store import absorbing, contacts, feed, judging, queue
from syncer.store.connect import Connection
from syncer.store.contacts import Policy
from syncer.store.judging import Absorbing, Counts, Judged
from syncer.store.tables import telecmi_contacts

JOB = joblist.CONTACTS
TABLE = telecmi_contacts.name


def policy_of(source: TelecmiSource) -> Policy:
    """How rows of an account are judged."""
    account = source.account
    return Policy(account.name, account.region, account.push.on_conflict)


def as_contact(row: Row) -> DirectoryContact:
    """A listed row as a contact."""
    phone = row.values.get("phone_e164")
    return DirectoryContact(
        row.key, Fields.of(row.values), phone if isinstance(phone, str) else None, row.raw
    )


@dataclass(slots=True)
class Reading:
    """A walk through the directory under way: what it showed, and what it put off."""

    work: Absorbing
    began_in: int = 0  #: the push epoch when it began
    put_off: dict[str, DirectoryContact] = field(default_factory=dict)
    error: RemoteError | None = None

    @property
    def seen(self) -> Bits:
        """The rows that were shown."""
        return self.work.seen

    @property
    def counts(self) -> Counts:
        """What was taken over."""
        return self.work.counts


def new_reading(run: Run, source: TelecmiSource, *, blanks_wait: bool) -> Reading:
    """Begin to take over; with `blanks_wait`, fields that would turn blank wait for the listing's end."""
    ignored = frozenset(run.state.notes.get("volatile", {}).get(TABLE, []))
    work = Absorbing(policy_of(source), ignored=ignored, forgotten=run.env.forgotten)
    reading = Reading(work)
    if blanks_wait:
        work.put_off = lambda row: reading.put_off.update({row.contact_id: row})
    return reading


async def read_directory(
    run: Run, source: TelecmiSource, *, label: str = ""
) -> tuple[Reading, Certificate, Walk]:
    """Walk the whole directory, taking over what it shows as it comes."""
    store = run.env.store
    reading = new_reading(run, source, blanks_wait=True)
    reading.began_in = epoch = await store.read(queue.epoch)
    walk = Walk(Paging.CURSOR, has_total=True, offset=known_offset(run, TABLE))

    async def sift(pages: Sequence[Page]) -> Sequence[tuple[DirectoryContact, int]]:
        nonlocal epoch
        differing, epoch = await store.read(_sift, reading.work, rows_of(pages))
        return [(as_contact(row), pages[0].epoch) for row in differing]

    async def write(block: Sequence[tuple[DirectoryContact, int]]) -> float:
        rows, asked_in = [row for row, _ in block], min(asked_in for _, asked_in in block)
        return await _write(run, reading, rows, asked_in, large=len(rows) > SMALLEST)

    async def fetch(position: Position) -> Page:
        asked_in = epoch
        page = await source.client.fetch_directory_page(position if isinstance(position, str) else None)
        page.epoch = asked_in
        return page

    reading.error = await walk_pages(run, walk, fetch, Blocks(sift, write), label=label)
    return reading, walk.certificate(len(reading.seen) + reading.counts.forgotten), walk


def _sift(conn: Connection, work: Absorbing, rows: Sequence[Row]) -> tuple[Sequence[Row], int]:
    return judging.sift(conn, work, rows, _of_row, lambda row: Fields.of(row.values)), queue.epoch(conn)


def _of_row(row: Row) -> tuple[str, str | None, str]:
    phone = row.values.get("phone_e164")
    return row.key, phone if isinstance(phone, str) else None, row.raw


def _of_contact(contact: DirectoryContact) -> tuple[str, str | None, str]:
    return contact.contact_id, contact.phone_e164, contact.raw


async def absorb(run: Run, reading: Reading, rows: Sequence[DirectoryContact], asked_in: int) -> None:
    """Take over rows that were asked for in the epoch `asked_in`."""
    differing = await run.env.store.read(
        judging.sift, reading.work, rows, _of_contact, lambda contact: contact.fields
    )
    if differing:
        await _write(run, reading, differing, asked_in)


async def _write(
    run: Run, reading: Reading, rows: Sequence[DirectoryContact], asked_in: int, *, large: bool = False
) -> float:
    """Write a block; how long that held others up, in seconds."""
    work = reading.work
    work.asked_in, work.at = asked_in, run.env.stamp()

    def judge(conn: Connection) -> Judged:
        return judging.judge(conn, work, rows)

    def absorb_batch(conn: Connection, made: Judged) -> None:
        absorbing.write(conn, work, made)

    return await run.env.store.judged(judge, absorb_batch, large=large)


@dataclass(slots=True)
class ContactSubject:
    """The contacts at the end of a directory listing."""

    reading: Reading
    at: str  #: when the run began
    table: str = TABLE

    @property
    def _policy(self) -> Policy:
        return self.reading.work.policy

    def live(self, conn: Connection) -> int:
        """Living rows that the directory knows."""
        return contacts.live_count(conn, self._policy.account)

    def filled(self, conn: Connection, columns: Iterable[str]) -> dict[str, int]:
        """By column: living rows that have a value."""
        return contacts.filled_counts(conn, self._policy.account, columns)

    def keys(self, conn: Connection, rows: Iterable[int]) -> dict[int, str]:
        """The directory's ids of rows."""
        return {row: local.contact_id or "" for row, local in contacts.load_rows(conn, rows).items()}

    def remove(self, conn: Connection, row_id: int, at: str) -> None:
        """The directory lost the contact: a tombstone, but for one that was edited here."""
        local = contacts.load_rows(conn, [row_id]).get(row_id)
        if local is not None:
            lose(conn, local, self._policy, at)

    def blank(self, conn: Connection, allowed: frozenset[tuple[int, str]]) -> None:
        """Take over the rows that were put off, but for the blanks that are not allowed."""
        reading, policy = self.reading, self._policy
        known = contacts.load_by_contact_id(conn, policy.account, list(reading.put_off))
        unknown = [one for one in reading.put_off.values() if one.contact_id not in known]
        phones = {one.phone_e164 for one in unknown if one.phone_e164 is not None}
        adopters = contacts.load_adopters(conn, policy.account, phones)  # rows that it turns out to be
        batch = []
        for contact_id, remote in reading.put_off.items():
            local = known.get(contact_id) or adopters.pop(remote.phone_e164 or "", None)
            if local is None:
                continue
            refused = {
                name: local.base.get(name)
                for row, name in reading.counts.blanks
                if row == local.row_id and (row, name) not in allowed and local.base is not None
            }
            if refused:  # raw stays the old one, so that the next listing sees the difference again
                remote = replace(
                    remote, fields=remote.fields._replace(**refused), raw=local.raw or remote.raw
                )
            batch.append((local, remote))
        for local, remote in batch:
            if absorbing.take_over(conn, local, remote, policy, self.at, queue.tick(conn)):
                reading.counts.changed += 1


def lose(conn: Connection, local: Local, policy: Policy, at: str) -> None:
    """A contact is proven gone from the directory."""
    deletes = local.open(State.QUEUED, State.SENDING, State.UNKNOWN, State.HELD, State.CONFLICT, delete=True)
    if local.deleted:
        for change in deletes:
            queue.move(conn, change.id, Event.SHOWN, at, note="upstream no longer has it")
        contacts.forget_base(conn, local.row_id, queue.tick(conn))
        return
    if local.base is not None and dirty_fields(local.base, local.fields, policy.region):
        contacts.detach(conn, local.row_id, at)  # an edit beats a delete: it is added again
        queue.begin_anew(conn, local, at)
        return
    for change in local.changes:
        if change.state is not State.SENDING:
            queue.move(conn, change.id, Event.GIVE_UP, at, note="the contact is gone upstream")
    contacts.tombstone(conn, local.row_id, at)


async def pull_directory(run: Run, source: TelecmiSource) -> None:
    """One pull: take over what the directory shows, then settle what it no longer shows."""
    store, account = run.env.store, source.account
    if await store.read(contacts.unfilled, account.name, account.region):
        await store.write(contacts.fill_phones, account.name, account.region)
    pending = await store.read(feed.pending, account.name)  # a push may be under way beside this pull
    reading, certificate, walk = await read_directory(run, source)
    counts = reading.counts
    run.seen, run.added, run.changed = counts.seen, counts.added, counts.changed
    run.judge(TABLE, certificate)
    living: list[int] = []
    deleted: list[int] = []
    if certificate.verdict is not Verdict.PARTIAL:
        living, deleted = await store.read(contacts.unseen, account.name, reading.seen, reading.began_in)
        learn_offset(run, TABLE, walk, len(living))
    learn_volatile(run, TABLE, counts.volatile, counts.seen)
    run.quiet = counts.quiet
    if certificate.complete and deleted and certificate.rows:
        await store.write(_settle_deleted, deleted, policy_of(source), run.env.stamp())
    await settle(
        run,
        ContactSubject(reading, run.at),
        certificate,
        listed=len(reading.seen),
        unseen=living,
        shown=lambda row: row in reading.seen,
        vanished=(),
        blanks=counts.blanks,
        max_deletions=account.max_deletions,
        ask=asker(source),
    )
    run.changed = counts.changed
    if certificate.complete and not pending:
        wrote = counts.added + counts.changed + counts.quiet
        await watch_quiescence(run, TABLE, walk.fingerprint, wrote)
    if reading.error is not None:
        raise reading.error


def _settle_deleted(conn: Connection, rows: list[int], policy: Policy, at: str) -> None:
    for local in contacts.load_rows(conn, rows).values():
        lose(conn, local, policy, at)


def asker(source: TelecmiSource) -> Ask:
    """Asks the directory for one contact by its id; see `settle.Ask`."""

    async def ask(contact_id: str) -> bool | None:
        try:
            return await source.client.fetch_contact(contact_id) is not None
        except (BadAnswerError, RejectedError):
            return None

    return ask
