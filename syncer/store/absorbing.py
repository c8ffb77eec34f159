"""The statements that take over what the directory showed: in batches, only rows that differ.

What becomes of each row is said by `judging.py`. New rows, rows that just changed, and edits that arrived are
written many at a time; the few others one by one, since they move changes of the queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from syncer.core.contacts import Absorbed, Local, absorb
from syncer.core.model import FIELDS, DirectoryContact
from syncer.core.normalise import to_e164
from syncer.store import bulk, queue
from syncer.store.batch import Batch
from syncer.store.contacts import Policy, save_base
from syncer.store.judging import Absorbing, Judged, change, judge
from syncer.store.tables import telecmi_contacts


def write(conn: Connection, work: Absorbing, made: Judged) -> None:
    """Write down what was judged, on the snapshot that it was judged on."""
    counts, seen = work.counts, work.seen
    work.unwritten.difference_update([row.contact_id for row in made.rows])
    work.fresh = work.fresh and len(made.fresh) == len(made.rows)
    queue.begin(conn, made.epoch)
    for step in made.steps:
        if isinstance(step, Batch):
            step.write(conn)
        else:
            save(conn, step.local, step.row, step.outcome, work.policy, work.at, made.epoch)
    for row_id in _insert(conn, list(made.fresh.values()), work.policy.account, work.at, made.epoch):
        seen.add(row_id)
    for row_id in made.seen:
        seen.add(row_id)
    for row in made.put_off:
        assert work.put_off is not None
        work.put_off(row)
    counts.add(made.counts)
    if made.again:
        absorb_batch(conn, work, made.again)


def absorb_batch(conn: Connection, work: Absorbing, rows: Sequence[DirectoryContact]) -> None:
    """Write down what the directory showed."""
    write(conn, work, judge(conn, work, rows))


#: The columns of a new row, in the order of the table.
_SHOWN = ("account", "contact_id", "phone_no", "phone_e164", "first_name", "last_name", "email_id",
          "company", "job_title", "first_seen_at", "last_changed_at", "raw")  # fmt: skip


_INSERT_BASES = f"""
INSERT INTO contact_base (row_id, account, source, contact_id, {", ".join(FIELDS)}, phone_e164, touched)
SELECT id, account, 'directory', contact_id, {", ".join(f"COALESCE({name}, '')" for name in FIELDS)}, phone_e164, ?
FROM telecmi_contacts WHERE id BETWEEN ? AND ?
"""


def _insert(
    conn: Connection, rows: Sequence[DirectoryContact], account: str, at: str, epoch: int
) -> Iterable[int]:
    """Write new rows, their bases and log entries, a statement each; returns the row ids."""
    if not rows:
        return []
    shown = []
    for row in rows:
        phone_no, *others = [value or None for value in row.fields]
        shown.append((account, row.contact_id, phone_no, row.phone_e164, *others, at, at, row.raw))
    ids = bulk.insert_new(conn, telecmi_contacts, _SHOWN, shown, at)
    conn.exec_driver_sql(_INSERT_BASES, (epoch, ids[0], ids[-1]))
    return ids


def take_over(
    conn: Connection, local: Local, remote: DirectoryContact, policy: Policy, at: str, epoch: int
) -> bool:
    """Absorb one contact; True when people see a change."""
    outcome = absorb(local, remote, region=policy.region, on_conflict=policy.on_conflict)
    return save(conn, local, remote, outcome, policy, at, epoch)


def save(
    conn: Connection,
    local: Local,
    row: DirectoryContact,
    outcome: Absorbed,
    policy: Policy,
    at: str,
    epoch: int,
) -> bool:
    """Carry out what was decided; True when people see a change."""
    batch = Batch()
    change(batch, local, row, outcome, policy, at)
    batch.write(conn)
    if outcome.base != local.base or local.source != "directory" or local.contact_id != row.contact_id:
        save_base(
            conn,
            local.row_id,
            policy.account,
            outcome.base,
            "directory",
            row.contact_id,
            epoch,
            to_e164(outcome.base.phone_no, policy.region),
        )
    for step in outcome.moves:
        queue.apply_move(conn, step, at)
    for new in outcome.new:
        queue.add_change(conn, policy.account, local.row_id, new, at)
    if outcome.settled and local.intents:
        queue.drop_intents(conn, local.row_id)
    return bool(outcome.taken) or outcome.restored
