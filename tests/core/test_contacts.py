"""Rows that only wait to be sent: what a look says of them without judging them one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncer.core.contacts import Change, Intent, Local, absorb, waits_untouched
from syncer.core.model import DirectoryContact, Fields, OnConflict, Operation, State

NUMBERS = ("919200000001", "+91 92000 00001", "92000 00001", "919200000002", "12", "")
WORDS = ("", "A", "B")
FIELDS = st.builds(Fields, st.sampled_from(NUMBERS), *[st.sampled_from(WORDS)] * 5)


def waiting(*numbers: int) -> tuple[Change, ...]:
    """Queued updates of row 1."""
    return tuple(Change(n, "main", 1, Operation.UPDATE, State.QUEUED) for n in numbers)


@given(
    base=FIELDS,
    local=FIELDS,
    remote=st.none() | FIELDS,
    sent=st.none() | st.dictionaries(st.sampled_from(("phone_no", "company")), st.sampled_from(WORDS)),
    changes=st.sampled_from([waiting(1), waiting(1, 2)]),
    on_conflict=st.sampled_from(["ask", "local", "remote"]),
)
def test_what_waits_untouched_is_what_would_be_left_as_it_is(
    base: Fields,
    local: Fields,
    remote: Fields | None,
    sent: dict[str, str] | None,
    changes: tuple[Change, ...],
    on_conflict: OnConflict,
) -> None:
    shown = base if remote is None else remote
    intents = () if sent is None else (Intent(1, 1, Operation.UPDATE, sent, None, "", None),)
    row = Local(1, "main", "c-1", local, "+919200000001", None, "{}", base, "directory", 1, changes, intents)
    outcome = absorb(row, DirectoryContact("c-1", shown, None, "{}"), region="IN", on_conflict=on_conflict)
    if waits_untouched(base, local.phone_no, shown, "IN"):
        assert (outcome.base, outcome.local, outcome.deleted) == (base, local, False)
        assert not (outcome.moves or outcome.new or outcome.taken or outcome.overruled or outcome.blanks)
        assert not (outcome.settled or outcome.restored)
    elif shown == base:
        assert outcome.local.phone_no != local.phone_no, "only a number in another spelling is changed then"
