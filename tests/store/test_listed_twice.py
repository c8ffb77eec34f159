"""One identity listed more than once: one row, whatever the order, and no write once it is known."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from syncer.core.model import Note, Row
from syncer.core.rows import combine
from syncer.store.db.mirrors import SMARTFLO_CONTACTS, USER_CONTACTS, VOICEMAILS
from syncer.store.write.contacts import Policy
from syncer.store.write.directory import DirectoryReconciler
from syncer.store.write.mirror import MirrorReconciler
from syncer.store.write.reconciler import Context, Reconciler
from tests.store.conftest import Mirror

AT = "2026-11-21T12:00:00.000Z"


def flo(group: str, stamp: str = "2026-11-20T10:00:00.000Z", **values: str) -> Row:
    """A Smartflo contact as one of its groups lists it."""
    known = {"smartflo_id": "7", "contact_group_id": group, "name": "Asha Example", **values}
    return Row("7", known, json.dumps(known), stamp=stamp)


def mine(time: int | None, *notes: Note, **values: str) -> Row:
    """A contact of a user list."""
    known = {"mobile": "9200000001", "phone_e164": "+919200000001", "time": time, **values}
    raw = json.dumps({**known, "notes": [n.msg for n in notes]})
    return Row("9200000001", known, raw, notes=notes)


def contact(company: str, **values: str) -> Row:
    fields = {"contact_id": "c-1", "phone_no": "919200000001", "company": company, **values}
    return Row("c-1", {**fields, "phone_e164": "+919200000001"}, json.dumps(fields))


def heard(time: int, number: str) -> Row:
    values = {"voicename": "v-1", "time": time, "from_number": number, "phone_e164": f"+{number}"}
    return Row("v-1", values, json.dumps(values))


Make = Callable[[Context], Reconciler]

CASES: dict[str, tuple[Make, str, list[Row]]] = {
    "a contact in two groups": (
        lambda context: MirrorReconciler(SMARTFLO_CONTACTS, context),
        "smartflo_contacts",
        [flo("1", email_id="asha@example.com"), flo("2"), flo("3", company_name="Acme Example")],
    ),
    "a number twice in a user list, saved at one moment": (
        lambda context: MirrorReconciler(USER_CONTACTS, context),
        "telecmi_user_contacts",
        [mine(5, name="Asha"), mine(5, name="Meera", email="m@example.com")],
    ),
    "a number twice in a user list": (
        lambda context: MirrorReconciler(USER_CONTACTS, context),
        "telecmi_user_contacts",
        [mine(5, Note("old", 1, ""), name="Asha"), mine(9, Note("new", 2, ""), name="Meera"), mine(None, name="X")],
    ),
    "a contact_id twice": (
        lambda context: DirectoryReconciler(Policy("main", "IN", "ask"), context, asked_in=10**9),
        "telecmi_contacts",
        [contact("Acme Example"), contact("Other Example", job_title="Buyer")],
    ),
    "a voicename twice": (
        lambda context: MirrorReconciler(VOICEMAILS, context),
        "telecmi_voicemails",
        [heard(1_700_000_000_000, "919200000001"), heard(1_700_000_000_000, "919200000002")],
    ),
}  # fmt: skip


def listing(
    mirror: Mirror, make: Make, rows: Sequence[Row], known: Sequence[str] = (), *, size: int = 1
) -> Reconciler:
    """Take one full listing over, `size` rows a block."""
    reconciler = make(Context("main", at=AT, listed_twice=frozenset(known)))
    for at in range(0, len(rows), size):
        mirror.read(reconciler.compare, rows[at : at + size])
        with mirror.db.write() as conn:
            reconciler.write(conn)
    mirror.read(reconciler.combine_copies, is_full=True)
    with mirror.db.write() as conn:
        reconciler.write(conn)
        reconciler.write_deferred(conn, frozenset())
    return reconciler


def stored(mirror: Mirror, table: str) -> list[tuple[Any, ...]]:
    return mirror.sql(f"SELECT * FROM {table} WHERE account = 'main' ORDER BY id")


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize("case", CASES)
def test_rows_of_one_identity_become_one_row_whatever_their_order(
    mirror: Mirror, case: str, size: int
) -> None:
    make, table, rows = CASES[case]
    known: Sequence[str] = ()
    before: Any = None
    for number, order in enumerate(itertools.permutations(rows)):
        seq = mirror.one("SELECT max(seq) FROM change_log")
        reconciler = listing(mirror, make, order, known, size=size)
        known = reconciler.listed_twice(is_full=True)
        assert known == [rows[0].key] and not reconciler.pending
        if number:
            assert stored(mirror, table) == before
            assert reconciler.wrote == 0
            assert mirror.one("SELECT max(seq) FROM change_log") == seq
        before = stored(mirror, table)
        assert len(before) == 1


@pytest.mark.parametrize("case", CASES)
def test_an_identity_listed_once_again_is_forgotten_as_a_double(mirror: Mirror, case: str) -> None:
    make, table, rows = CASES[case]
    known = listing(mirror, make, rows).listed_twice(is_full=True)
    reconciler = listing(mirror, make, rows[:1], known)
    assert reconciler.listed_twice(is_full=True) == []
    shown = stored(mirror, table)
    assert listing(mirror, make, rows[:1]).wrote == 0
    assert stored(mirror, table) == shown


def test_copies_that_are_known_count_as_different_rows_and_a_repeated_row_does_not(mirror: Mirror) -> None:
    make, _, rows = CASES["a contact in two groups"]
    first = listing(mirror, make, rows)
    assert (first.rows, first.distinct) == (3, 1)  # perhaps rows moved while we read
    second = listing(mirror, make, rows, first.listed_twice(is_full=True))
    assert (second.rows, second.distinct) == (3, 3)
    again = listing(mirror, make, [*rows, rows[0]], first.listed_twice(is_full=True))
    assert (again.rows, again.distinct) == (4, 3)


def test_both_rows_of_a_number_in_a_user_list_count(mirror: Mirror) -> None:
    make, _, rows = CASES["a number twice in a user list"]
    assert listing(mirror, make, rows).distinct == 3


def test_what_both_rows_say_is_kept_where_they_do_not_contradict_each_other(mirror: Mirror) -> None:
    listing(mirror, *_of("a contact in two groups"))
    row = mirror.row(1, "smartflo_contacts")
    assert (row["email_id"], row["company_name"]) == ("asha@example.com", "Acme Example")
    listing(mirror, *_of("a number twice in a user list"))
    assert mirror.row(1, "telecmi_user_contacts")["name"] == "Meera"
    assert mirror.sql("SELECT msg FROM telecmi_notes ORDER BY msg") == [("new",), ("old",)]


def _of(case: str) -> tuple[Make, list[Row]]:
    make, _, rows = CASES[case]
    return make, rows


def test_a_living_row_counts_more_than_one_that_the_vendor_calls_deleted(mirror: Mirror) -> None:
    make, _, rows = CASES["a contact in two groups"]
    gone = rows[1]._replace(deleted_at=AT, stamp="2026-11-21T10:00:00.000Z")
    for order in ([rows[0], gone], [gone, rows[0]]):
        reconciler = listing(mirror, make, order)
        assert not reconciler.vanishing
    assert mirror.row(1, "smartflo_contacts")["deleted_at"] is None
    assert listing(mirror, make, [gone]).vanishing == {1}


@pytest.mark.parametrize(
    "copies", [list(p) for p in itertools.permutations(CASES["a contact in two groups"][2])]
)
def test_combining_does_not_depend_on_the_order(copies: list[Row]) -> None:
    expected = combine(CASES["a contact in two groups"][2], None, "phone_number")
    assert combine(copies, None, "phone_number") == expected
    assert json.loads(expected.raw)["email_id"] == "asha@example.com"


def test_a_number_is_never_taken_from_another_row_than_its_derived_form() -> None:
    masked = Row(
        "1", {"phone_number": "+91xxxxx", "phone_e164": None}, '{"phone_number":"+91xxxxx"}', stamp="b"
    )
    clear = Row("1", {"phone_number": "9200000001", "phone_e164": "+919200000001"}, "{}", stamp="a")
    assert combine([clear, masked], None, "phone_number").values == {
        "phone_number": "+91xxxxx",
        "phone_e164": None,
    }
    blank = masked._replace(values={"phone_number": "", "phone_e164": None})
    assert combine([clear, blank], None, "phone_number").values["phone_e164"] == "+919200000001"
