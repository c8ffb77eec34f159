"""Groups changes into requests."""

from __future__ import annotations

from collections.abc import Sequence

from syncer.core.model import Operation, State
from syncer.core.push import Send

#: The most contacts of a write call (v3 `/contact/add`, `/update`, `/delete`).
BATCH = 100


def batches(sends: Sequence[Send]) -> list[tuple[Send, ...]]:
    """Divide into calls with one operation each: updates first, then adds, then deletes.

    Changes that were sent before without success go in separate calls, smaller with each attempt, so that one row
    that crashes the server does not block others for good.
    """
    out: list[tuple[Send, ...]] = []
    for operation in (Operation.UPDATE, Operation.ADD, Operation.DELETE):
        by_tries: dict[int, list[Send]] = {}
        for send in sends:
            if send.operation is operation:
                tries = send.change.attempts if send.change.state is State.UNKNOWN else 0
                by_tries.setdefault(tries, []).append(send)
        for tries, group in sorted(by_tries.items()):
            step = max(1, BATCH >> tries)
            out += [tuple(group[i : i + step]) for i in range(0, len(group), step)]
    return out


def halves(batch: Sequence[Send]) -> list[tuple[Send, ...]]:
    """The halves of a refused batch, to find the bad row."""
    middle = (len(batch) + 1) // 2
    return [tuple(batch[:middle]), tuple(batch[middle:])]


def payload(send: Send) -> dict[str, str]:
    """One element of the call's list."""
    if send.operation is Operation.UPDATE:
        assert send.contact_id is not None
        return {"contact_id": send.contact_id, **send.fields}
    return dict(send.fields)
