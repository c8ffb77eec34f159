"""Looks contacts up before a push, and reads them back after it: by id or with a listing, whichever takes fewer calls.

What upstream shows is written to the mirror at once, which may already settle changes. `core/push.py` decides what an
observation proves, and `push.py` sends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from syncer.core.limits import too_many_gone
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


@dataclass(slots=True)
class PushRun:
    """The state of one push run."""

    run: Run
    source: TelecmiSource
    by_id: bool = True  #: single contacts can be requested by id
    listings: int = 0  #: complete listings in a row
    doubted: bool = False  #: a request by id has just failed
    lost: list[int] = field(default_factory=list)  #: changes whose outcome is unknown
    answered: list[Send] = field(default_factory=list)  #: accepted by the last call, not recorded yet
    accepted: list[Send] = field(default_factory=list)  #: accepted, not read back yet
    failures: int = 0  #: consecutive calls for which the vendor reported a failure of its own
    passed: bool = False  #: a call succeeded in this run

    @property
    def account(self) -> str:
        return self.source.account.name

    def doubt_by_id(self) -> None:
        """A request for one contact failed: use listings. If a listing works, use them for a day."""
        self.by_id = False
        self.doubted = True

    def retry_at(self, attempts: int) -> str:
        """When a change is tried again after this many attempts."""
        pause = backoff(attempts, self.run.env.clock.rand(), base=5.0, cap=LONGEST_RETRY.total_seconds())
        return utc_text(self.run.env.now() + timedelta(seconds=pause))


async def fetch_before_push(
    push: PushRun, due: Sequence[Due], *, again: bool = False
) -> dict[int, Observation]:
    """Look up the contact of every due change. Returns an observation for each contact row."""
    known = {one.row: one.contact_id for one in due if one.known and one.contact_id is not None}
    all_known = all(one.known or one.state is State.HELD for one in due)
    if all_known and await _is_cheaper_by_id(push, len(known)):
        found = await _by_id(push, known)
        if found is not None and all(one.seen for one in found.values()):
            return found
    return await _by_listing(push, {one.row: one.contact_id for one in due}, again=again)


async def _is_cheaper_by_id(push: PushRun, number: int) -> bool:
    """Whether this many requests by id work and are no more than a listing takes."""
    return (
        push.by_id and number <= 2 + await push.run.env.store.read(contacts.live_count, push.account) // 100
    )


async def _by_id(push: PushRun, rows: Mapping[int, str]) -> dict[int, Observation] | None:
    """Request each contact by its id; None if such requests fail. A contact that is not shown is not proven gone."""
    found: dict[int, Observation] = {}
    store = push.run.env.store
    for row, contact_id in rows.items():
        reconciler = await telecmi_contacts.new_reconciler(push.run, push.source, defer_blanks=False)
        try:
            contact = await push.source.client.fetch_contact(contact_id)
        except BadAnswerError:
            push.by_id = False
            push.run.state.notes["by_id_ignored"] = True
            push.run.notice(
                "the directory does not answer for one contact by its id; listings are read instead"
            )
            return None
        except RejectedError:
            contact = None
        except TransientError:
            push.doubt_by_id()
            return None
        if contact is not None:
            await store.read(reconciler.compare, [contact])
            if reconciler.pending:
                await store.apply(reconciler.write)
        found[row] = Observation(None, seen=contact is not None)
    return found


async def _by_listing(
    push: PushRun, rows: Mapping[int, str | None], *, again: bool = False, confirm: bool = True
) -> dict[int, Observation]:
    """Read the directory. Only a complete listing that lacks no more than the removal limits allow proves absence.

    A contact that it lacks is requested by id before it counts as gone. With `confirm` off, nothing counts as gone.
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
    push.listings = (push.listings if again else 0) + 1 if certificate.complete else 0
    verdict = certificate.verdict
    living, _ = await store.read(reconciler.unseen)
    decided = await store.read(holds.decided, telecmi_contacts.JOB, push.account, telecmi_contacts.TABLE)
    settled = {row for row, name in decided.approved | decided.rejected if not name}
    missing = [row for row in living if row not in settled]
    live = await store.read(contacts.live_count, push.account)
    limit = push.source.account.max_deletions
    suspicious = too_many_gone(len(missing), live=live, listed=reconciler.distinct, max_deletions=limit)
    if suspicious and verdict is Proof.COMPLETE:
        # It lacks too much to prove absence. An empty one proves nothing at all.
        verdict = Proof.DRIFTED if certificate.rows else Proof.PARTIAL
    found = {}
    for row, contact_id in rows.items():
        seen = row in reconciler.seen
        gone = False
        if confirm and not seen and contact_id is not None and verdict is Proof.COMPLETE:
            gone = await _confirm_gone(push, contact_id)
        found[row] = Observation(verdict, seen, gone, push.listings)
    return found


async def _confirm_gone(push: PushRun, contact_id: str) -> bool:
    """Whether a contact that a complete listing lacks is gone: it is requested by id, where that works."""
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

    Returns whether absence counts as proof, and the changes whose contacts were not shown.
    """
    store = push.run.env.store
    rows = await store.read(push_statements.ids_upstream, [s.change.contact_row for s in batch])
    known = {row: contact_id for row, contact_id in rows.items() if contact_id is not None}
    found = None
    if len(known) == len(rows) and await _is_cheaper_by_id(push, len(known)):
        found = await _by_id(push, known)
    proven = found is not None
    if found is None:
        found = await _by_listing(push, rows, confirm=False)
        proven = all(one.listing is Proof.COMPLETE for one in found.values())
    missing = [s for s in batch if not found[s.change.contact_row].seen]
    deleted = [s for s in missing if s.operation is Operation.DELETE]
    if deleted and proven:
        region = push.source.account.region
        await store.write(push_statements.deleted_upstream, deleted, region, push.run.env.stamp())
    return proven, missing
