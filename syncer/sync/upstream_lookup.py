"""Looks at contacts upstream, before a push and after it: one by one, or by a listing, whichever is less.

What a look shows is taken over at once, which may already settle changes. What follows from what it
could prove is decided in `core/push.py`; sending is left to `push.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

from syncer.core.limits import Tally, check
from syncer.core.model import Operation, Proof, State
from syncer.core.normalise import utc_text
from syncer.core.push import LONGEST_RETRY, Due, Observation, Send
from syncer.core.retry import backoff
from syncer.errors import BadAnswerError, RejectedError, TransientError
from syncer.store.write import contacts, holds, push_statements
from syncer.sync import registry, telecmi_contacts
from syncer.sync.pager import read_listing
from syncer.sync.run import Run
from syncer.sync.vendors import TelecmiSource

JOB = registry.PUSH

#: Contacts to look at: by row, the directory's id of each.
Rows: TypeAlias = Mapping[int, str | None]


@dataclass(slots=True)
class PushRun:
    """One push run under way."""

    run: Run
    source: TelecmiSource
    by_id: bool = True  #: the vendor answers for one contact by its id
    listings: int = 0
    doubted: bool = False  #: asking by id has just failed
    lost: list[int] = field(default_factory=list)  #: changes whose answer did not come
    answered: list[Send] = field(default_factory=list)  #: accepted by the last call, not on record yet
    accepted: list[Send] = field(default_factory=list)  #: answered well, and still to be read back
    failures: int = 0  #: calls in a row of which the vendor itself said that it failed
    passed: bool = False  #: a call went through in this run

    @property
    def account(self) -> str:
        return self.source.account.name

    def doubt_by_id(self) -> None:
        """Asking for one contact failed: a listing has to do. If that works, it will for a day."""
        self.by_id = False
        self.doubted = True

    def retry_at(self, attempts: int) -> str:
        """When a change is tried again, by how often it was."""
        pause = backoff(attempts, self.run.env.clock.rand(), base=5.0, cap=LONGEST_RETRY.total_seconds())
        return utc_text(self.run.env.now() + timedelta(seconds=pause))


async def fetch_before_push(
    push: PushRun, due: Sequence[Due], *, again: bool = False
) -> dict[int, Observation]:
    """Look at every contact in play: one by one when that takes fewer calls, else by a listing.

    What is seen is taken over at once, which may already settle changes.
    """
    known = {one.row: one.contact_id for one in due if one.known}
    listing = any(not one.known and one.state is not State.HELD for one in due)
    if not listing:
        pages = 2 + await push.run.env.store.read(contacts.live_count, push.account) // 100
        listing = len(known) > pages or not push.by_id
    if not listing:
        looks = await _by_id(push, known)
        if all(look.seen for look in looks.values()):
            return looks
    return await _by_listing(push, {one.row: one.contact_id for one in due}, again=again)


async def _by_id(push: PushRun, rows: Rows) -> dict[int, Observation]:
    """Ask for each contact by its id. What is not shown is not proven gone: a listing has to say so."""
    looks: dict[int, Observation] = {}
    store = push.run.env.store
    for row, contact_id in rows.items():
        assert contact_id is not None
        reconciler = await telecmi_contacts.new_reconciler(push.run, push.source, defer_blanks=False)
        try:
            found = await push.source.client.fetch_contact(contact_id)
        except BadAnswerError:
            push.by_id = False
            push.run.state.notes["by_id_ignored"] = True
            push.run.notice(
                "the directory does not answer for one contact by its id; listings are read instead"
            )
            return {one: Observation(None, seen=False) for one in rows}
        except RejectedError:
            found = None
        except TransientError:
            push.doubt_by_id()
            return {one: Observation(None, seen=False) for one in rows}
        if found is not None:
            await store.read(reconciler.compare, [found])
            if reconciler.pending:
                await store.apply(reconciler.write)
        looks[row] = Observation(None, seen=found is not None)
    return looks


async def _by_listing(
    push: PushRun, rows: Rows, *, again: bool = False, confirm: bool = True
) -> dict[int, Observation]:
    """Walk the directory. Only a whole listing that misses no more than it may proves absence.

    `confirm` off: what it misses is not asked for by its id; nothing is judged gone then.
    """
    run, store = push.run, push.run.env.store
    reconciler = await telecmi_contacts.new_reconciler(run, push.source, defer_blanks=False)
    walk, fetch = telecmi_contacts.new_walk(run, push.source)
    certificate, error = await read_listing(run, reconciler, walk, fetch, label=f"{JOB} look")
    if error is not None and certificate.rows == 0:
        raise error
    if push.doubted and error is None:
        push.doubted = False
        run.state.notes["by_id_failed_at"] = run.env.stamp()
    push.listings = push.listings + 1 if certificate.complete and again else int(certificate.complete)
    verdict = certificate.verdict
    living, _ = await store.read(reconciler.unseen)
    decided = await store.read(holds.decided, telecmi_contacts.JOB, push.account, telecmi_contacts.TABLE)
    settled = {row for row, name in decided.approved | decided.rejected if not name}
    missing = [row for row in living if row not in settled]
    live = await store.read(contacts.live_count, push.account)
    breach = check(Tally(live, reconciler.distinct, len(missing), {}, {}), push.source.account.max_deletions)
    if breach.removal and verdict is Proof.COMPLETE:
        # it misses so much that it proves no absence; of an empty one nothing at all is believed
        verdict = Proof.DRIFTED if certificate.rows else Proof.PARTIAL
    looks = {}
    for row, contact_id in rows.items():
        seen = row in reconciler.seen
        gone = False
        if confirm and not seen and contact_id is not None and verdict is Proof.COMPLETE:
            gone = await _confirm_gone(push, contact_id)
        looks[row] = Observation(verdict, seen, gone, push.listings)
    return looks


async def _confirm_gone(push: PushRun, contact_id: str) -> bool:
    """A contact that a whole listing misses is asked for by its id, where that works."""
    if not push.by_id:
        return True
    try:
        return await push.source.client.fetch_contact(contact_id) is None
    except (BadAnswerError, RejectedError):
        return True  # the vendor has no such call: the listing alone decides
    except TransientError:
        push.doubt_by_id()
        return False


async def verify_after_push(push: PushRun, batch: Sequence[Send]) -> tuple[bool, list[Send]]:
    """Read back what a call may have changed.

    Returns whether absence counts as proof, and what of the batch was not shown.
    """
    store = push.run.env.store
    rows = await store.read(push_statements.ids_upstream, [s.change.contact_row for s in batch])
    known = {row: contact_id for row, contact_id in rows.items() if contact_id is not None}
    pages = 2 + await store.read(contacts.live_count, push.account) // 100
    looks: dict[int, Observation] = {}
    proven = False
    if len(known) == len(rows) and push.by_id and len(known) <= pages:
        looks = await _by_id(push, known)
        proven = push.by_id
    if not proven:
        looks = await _by_listing(push, rows, confirm=False)
        proven = all(look.listing is Proof.COMPLETE for look in looks.values())
    missing = [s for s in batch if not looks[s.change.contact_row].seen]
    deleted = [s for s in missing if s.operation is Operation.DELETE]
    if deleted and proven:
        region = push.source.account.region
        await store.write(push_statements.deleted_upstream, deleted, region, push.run.env.stamp())
    return proven, missing
