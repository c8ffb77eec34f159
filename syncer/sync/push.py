"""Pushes local edits: look up, decide, commit the intent, send, commit the answer, read back.

No transaction is open during HTTP, and every write follows a lookup. `core/push.py` and `core/contacts.py` decide
about each change. An edit made upstream between the lookup and the write is overwritten if it is of the same
field; the vendor's API does not allow more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from syncer.core.batches import batches, halves, payload
from syncer.core.due import has_passed
from syncer.core.model import Operation, State
from syncer.core.normalise import utc_text
from syncer.core.numbers import held_text
from syncer.core.push import LAG, Due, Observation, PushDecision, Send, Settle, Wait
from syncer.errors import (
    AuthError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RejectedError,
    RemoteError,
    TransientError,
)
from syncer.store.db.connection import Connection
from syncer.store.write import contacts, push_intents, push_statements, queue, runs
from syncer.sync import registry, telecmi_contacts
from syncer.sync.run import Run
from syncer.sync.upstream_lookup import PushRun, fetch_before_push, verify_after_push
from syncer.sync.vendors import TelecmiSource

JOB = registry.PUSH

#: Seconds between two lookups of an add without an answer.
SECOND_LOOK = 2.0

#: If requests for single contacts fail and listings do not, listings are used instead for this long.
ASK_AGAIN = timedelta(days=1)

#: The most rounds of one run. An update of a contact that upstream deleted becomes an add, which is sent in the next
#: round. So is a change that waits for another to free its number; a chain takes one round per change.
ROUNDS = 20

#: This many accepted changes are read back together, or more if the directory is large.
IN_FLIGHT = 1000

#: After this many failed calls in a row, the vendor is at fault and not a row: it is the depth of halving 100.
MOST_FAILURES = 8


async def push_changes(run: Run, source: TelecmiSource) -> None:
    """Push everything that is due, or with `run.person` everything that is open."""
    store, account = run.env.store, source.account
    push = PushRun(run, source)
    await _recall(push)
    await store.write(_prepare, account.name, account.region, run.at)
    run.env.step("push: prepared")
    for round_ in range(ROUNDS):
        everything = run.person and round_ == 0
        due = await store.read(push_statements.in_play, account.name, run.env.now(), everything=everything)
        if round_:
            due = [one for one in due if one.state is State.QUEUED]
        if not due:
            break
        run.seen = max(run.seen, len(due))
        moved, decisions = await _decide(push, due, await fetch_before_push(push, due))
        if any(isinstance(d, Wait) and d.look_again for d in decisions) and not run.env.plan_only:
            await run.env.clock.sleep(SECOND_LOOK)
            more, decisions = await _decide(push, due, await fetch_before_push(push, due, again=True))
            moved += more
        if run.env.plan_only:
            run.plan = [_in_words(decision) for decision in decisions]
            return
        sends = [d for d in decisions if isinstance(d, Send)]
        await _send_all(push, sends)
        if not sends and not moved:
            break
    states = await store.read(queue.load_states, push.lost)
    if lost := [number for number in push.lost if states.get(number) is State.UNKNOWN]:
        numbers = ", ".join(str(n) for n in lost[:5])
        run.incomplete(f"the outcome of change {numbers} is not known yet; it is looked up at the next push")


async def _recall(push: PushRun) -> None:
    """What is known about the vendor from pulls of the directory and earlier pushes."""
    run, notes = push.run, push.run.state.notes
    known = await run.env.store.read(runs.load_job, telecmi_contacts.JOB, push.account)
    for name in ("offset", "volatile"):
        notes.pop(name, None)
        if name in known.notes:
            notes[name] = known.notes[name]
    failed_at = notes.get("by_id_failed_at")
    if failed_at is not None and has_passed(ASK_AGAIN, failed_at, run.env.now()):
        del notes["by_id_failed_at"]
    push.by_id = not ("by_id_ignored" in notes or "by_id_failed_at" in notes)


def _prepare(conn: Connection, account: str, region: str, at: str) -> None:
    queue.recover(conn, account, at)
    contacts.fill_phones(conn, account, region)
    push_statements.forget_overtaken(conn, account, at)


async def _decide(
    push: PushRun, due: Sequence[Due], observations: Mapping[int, Observation]
) -> tuple[int, list[PushDecision]]:
    """Decide each change, and in the same transaction apply the decisions that send nothing.

    Returns how many changes had a transition, and all decisions. One block at a time, so people who edit do not
    wait for long.
    """
    run, store, account = push.run, push.run.env.store, push.source.account
    policy = telecmi_contacts.policy_of(account)
    many = await store.read(push_statements.too_many_deletes, account.name, account.max_deletions)
    releases = await store.read(contacts.pending_releases, account.name, account.region)

    def work(conn: Connection, block: Sequence[Due]) -> tuple[int, list[PushDecision]]:
        decisions = push_statements.decide_all(
            conn, block, observations, policy, run.env.now(), releases=releases, too_many_deletes=many
        )
        return push_statements.carry_out(conn, decisions, policy, run.env.stamp(), push.retry_at), decisions

    moved = 0
    decisions: list[PushDecision] = []
    for block in push_statements.blocks(due):
        more, some = await store.write(work, block)
        moved, decisions = moved + more, decisions + some
    run.env.step("push: decided")
    return moved, sorted(decisions, key=lambda decision: decision.change.id)


# -- sending ------------------------------------------------------------------------------------------


async def _send_all(push: PushRun, sends: Sequence[Send]) -> None:
    """Send one call after the other. Accepted changes are read back, even if a call fails.

    A read-back costs a listing, so it waits until a quarter of the directory is in flight. Then all read-backs
    together cost a few times as much as sending, whatever the size.
    """
    run, done = push.run, 0
    in_flight = max(IN_FLIGHT, await run.env.store.read(contacts.live_count, push.account) // 4)
    try:
        for batch in batches(sends):
            await _send(push, await _begin(push, batch))
            done += len(batch)
            run.env.progress(JOB, run.account, done, len(sends))
            if len(push.accepted) >= in_flight:
                await _read_back_accepted(push)
    except RemoteError:
        await _read_back_accepted(push)
        raise
    finally:
        await _note_accepted(push)  # nothing else is done while the run is being stopped
    await _read_back_accepted(push)


async def _begin(push: PushRun, batch: Sequence[Send]) -> list[Send]:
    """Commit the intents of the changes of a call that are still wanted. Returns those changes.

    The answer to the previous call is recorded in the same commit, before anything else is sent.
    """
    run, store = push.run, push.run.env.store
    going_out = await store.write(push_intents.begin_sending, batch, run.env.stamp(), push.answered)
    push.answered = []
    if going_out:
        run.env.step("push: intent")
    return going_out


async def _send(push: PushRun, batch: list[Send]) -> None:
    """Send one call whose intents are committed, and its halves if it is refused."""
    if not batch:
        return
    run, store = push.run, push.run.env.store
    try:
        await _call(push, batch)
    except (AuthError, PermissionDeniedError) as error:
        why = "the credentials were refused" if isinstance(error, AuthError) else error.text
        await store.write(push_statements.turned_away, batch, run.env.stamp(), why, None, spent=False)
        raise
    except TransientError as error:
        why, next_at = f"not processed: {error.text}", push.retry_at(batch[0].change.attempts + 1)
        await store.write(push_statements.turned_away, batch, run.env.stamp(), why, next_at, spent=True)
        raise
    except OutcomeUnknownError as error:
        run.env.step("push: lost")
        if error.code is not None and _may_be_one_row(push, batch):
            await _refused(push, batch, RejectedError(error.source, error.call, error.text, code=error.code))
        else:
            note = f"no usable answer came ({error.text}); it is looked up before anything is sent again"
            await _read_back(push, batch, note)
    except RejectedError as refusal:
        run.env.step("push: refused")
        await _refused(push, batch, refusal)
    else:
        push.failures, push.passed = 0, True
        push.answered = batch
        push.accepted += batch
        run.env.step("push: answered")


async def _note_accepted(push: PushRun) -> None:
    """Record the answer to the last call, if no later intent did."""
    if push.answered:
        await push.run.env.store.write(push_intents.note_accepted, push.answered)
        push.answered = []
        push.run.env.step("push: noted")


async def _read_back_accepted(push: PushRun) -> None:
    """Read back what was accepted since the last time, with a single listing if it is a lot."""
    await _note_accepted(push)
    if push.accepted:
        batch, push.accepted = push.accepted, []
        await _read_back(push, batch, "accepted; the directory does not show it yet")


def _may_be_one_row(push: PushRun, batch: Sequence[Send]) -> bool:
    """Whether one row of the call may be the reason why the vendor failed, so it is searched for by halving.

    Not if one call after the other fails: then the vendor is at fault. A single row is at fault only if others
    were accepted.
    """
    push.failures += 1
    return push.failures <= MOST_FAILURES and (len(batch) > 1 or push.passed)


async def _call(push: PushRun, batch: Sequence[Send]) -> None:
    client = push.source.client
    match batch[0].operation:
        case Operation.ADD:
            await client.add([payload(send) for send in batch])
        case Operation.UPDATE:
            await client.update([payload(send) for send in batch])
        case Operation.DELETE:
            await client.delete([send.contact_id or "" for send in batch])


async def _read_back(push: PushRun, batch: Sequence[Send], note: str) -> None:
    """Read back what was sent. What upstream shows is settled; the rest becomes unknown."""
    run = push.run
    try:
        await verify_after_push(push, batch)
    except RemoteError as error:
        run.log.info("what was sent could not be read back", call=error.call)
    lost = await _note_lost(push, batch, note)
    run.env.step("push: settled")
    run.changed += len(batch) - lost


async def _note_lost(push: PushRun, batch: Sequence[Send], note: str) -> int:
    """Mark the changes that are still being sent as unknown. Returns how many there are."""
    env = push.run.env
    lost = await env.store.write(push_statements.unsettled, batch, env.stamp(), note, push.retry_at)
    push.lost += lost
    return len(lost)


async def _refused(push: PushRun, batch: list[Send], refusal: RejectedError) -> None:
    """A refusal says nothing about the members: read back, then send what was not applied in halves."""
    run, store, operation = push.run, push.run.env.store, batch[0].operation
    try:
        proven, missing = await verify_after_push(push, batch)
        if operation is Operation.ADD and proven and refusal.code != 400:
            await run.env.clock.sleep(SECOND_LOOK)  # an add may show late, even one of a refused batch
            proven, _ = await verify_after_push(push, batch)
    except RemoteError as error:
        run.log.info("a refused call could not be read back", call=error.call)
        proven, missing = False, []
    if not proven:
        await _note_lost(push, batch, f"refused ({refusal.text}), and not read back yet")
        return
    if operation is Operation.UPDATE and missing:
        # Upstream no longer has them: the next round decides.
        await store.write(push_statements.back_to_queue, missing, run.env.stamp())
        batch = [send for send in batch if send not in missing]
    if len(batch) == 1:
        await _reject(push, batch[0], refusal)
        return
    left = await store.write(push_statements.back_to_queue, batch, run.env.stamp())
    run.changed += len(batch) - len(left)
    run.env.step("push: bisect")
    parts = [tuple(left)] if len(left) == 1 else halves(left)
    for part in parts:
        if part:
            await _send(push, await _begin(push, part))


async def _reject(push: PushRun, send: Send, refusal: RejectedError) -> None:
    """Reject the change that upstream refused, or let it wait if its number was given up a moment ago."""
    run, store, number, row = push.run, push.run.env.store, send.phone_e164, send.change.contact_row
    holder, moved = "", False
    if number is not None and refusal.code == 409:
        holder = await _holder_in_words(push, row, number)
        if not holder:
            policy, since = telecmi_contacts.policy_of(push.source.account), utc_text(run.env.now() - LAG)
            moved = await store.read(contacts.was_given_up, policy, number, row, since)
    if not await store.write(
        push_statements.refuse,
        send,
        refusal.code,
        run.env.now(),
        _refusal_in_words(send, refusal, holder),
        push.retry_at,
        number_was_moved=moved,
    ):
        push.lost.append(send.change.id)
    run.env.step("push: rejected")


async def _holder_in_words(push: PushRun, row: int, number: str) -> str:
    """Which other row has the number upstream, or ''."""
    account, store = push.source.account, push.run.env.store
    holder = await store.read(contacts.upstream_phone_owner, account.name, number, row)
    if holder is None:
        return ""
    releases = await store.read(contacts.pending_releases, account.name, account.region)
    return held_text(row, number, holder, releases)


def _refusal_in_words(send: Send, refusal: RejectedError, holder: str) -> str:
    """Why upstream refused, with the field if that is known."""
    if holder:
        return f"phone_no: {holder} (upstream refused it with code {refusal.code}: {refusal.text})"
    field_ = refusal.field
    if field_ is None and refusal.code == 409:
        field_ = "phone_no"
    if field_ is None and len(send.fields) == 1:
        field_ = next(iter(send.fields))
    named = f"{field_}: " if field_ else f"one of {', '.join(send.fields)}: " if send.fields else ""
    return f"{named}upstream refused it with code {refusal.code} ({refusal.text}); correct the row, or retry or discard"


def _in_words(decision: PushDecision) -> str:
    """What a push would do, for `sync --dry-run`."""
    change = decision.change
    row = f"contact row {change.contact_row} (change {change.id})"
    match decision:
        case Send():
            names = ", ".join(decision.fields)
            return f"would {decision.operation} {row}" + (f": {names}" if names else "")
        case Wait():
            return f"would wait with {row}: {decision.why}"
        case Settle():
            return f"would settle {row} without sending: {decision.move.note or decision.move.event}"
