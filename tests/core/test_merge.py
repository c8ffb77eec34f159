"""The comparison of one contact, field by field: whose value a field shows, and what is still to be sent."""

from __future__ import annotations

import pytest

from syncer.core.merge import Clash, Sent, dirty_fields, is_dirty, merge, shows
from syncer.core.model import Fields, OnConflict

#: What a person typed over a value, and what a vendor with its own spelling makes of both.
RESPELLINGS = {
    "trailing blank": ("Acme", "Acme ", "Acme"),
    "leading blank": ("Acme", "\u00a0Acme", "Acme"),
    "inner blanks": ("Acme Tools", "Acme   Tools", "Acme Tools"),
    "no blanks": ("AcmeTools", "Acme Tools", "AcmeTools"),
    "line break": ("Acme Tools", "Acme\nTools", "Acme Tools"),
    "lower case": ("kumar", "Kumar", "kumar"),
    "upper case": ("KUMAR", "Kumar", "KUMAR"),
    "sharp s": ("STRASSE", "Straße", "STRASSE"),
    "decomposed": ("José", "Jose\u0301", "José"),
    "without accents": ("Jose", "José", "Jose"),
    "full width": ("Acme", "\uff21\uff43\uff4d\uff45", "Acme"),
    "ligature": ("Office", "O\ufb03ce", "Office"),
    "punctuation": ("Acme Inc", "Acme, Inc.", "Acme Inc"),
    "typographic quotes": ('"Acme"', "\u201cAcme\u201d", '"Acme"'),
    "emoji": ("Acme", "Acme \U0001f600", "Acme"),
    "escaped": ("Acme &amp; Sons", "Acme & Sons!", "Acme &amp; Sons"),
    "third spelling": ("acme", "Acme ", "ACME"),
    "blanks alone": ("", "  ", ""),
    "Devanagari": ("\u0930\u093e\u0935", "\u0930\u093e\u0935 ", "\u0930\u093e\u0935"),
}
#: Edits that mean something else, although not much of them differs.
OTHER_WORDS = {
    "letter": ("Acme", "Acne"),
    "digit": ("Unit 1", "Unit 2"),
    "vowel of Devanagari": ("\u0915\u093f", "\u0915\u0941"),
    "cleared": ("Acme", ""),
    "word": ("Acme", "Acme Tools"),
}
TEXT_FIELDS = ("first_name", "last_name", "email_id", "company", "job_title")


def of(name: str, value: str) -> Fields:
    return Fields(phone_no="919200000001")._replace(**{name: value})


@pytest.mark.parametrize("name", TEXT_FIELDS)
@pytest.mark.parametrize("kind", RESPELLINGS)
def test_an_edit_that_upstream_accepted_and_respelled_is_agreed(kind: str, name: str) -> None:
    base, typed, shown = RESPELLINGS[kind]
    sent = [Sent({name: typed}, accepted=True)]
    result = merge(of(name, base), of(name, typed), of(name, shown), sent=sent)
    assert result.base == result.local == of(name, shown)
    assert result.settled and not (result.dirty or result.clashes or result.taken or result.overruled)


@pytest.mark.parametrize("kind", RESPELLINGS)
def test_an_edit_in_spelling_that_was_not_sent_is_still_to_be_sent(kind: str) -> None:
    base, typed, _ = RESPELLINGS[kind]
    result = merge(of("company", base), of("company", typed), of("company", base))
    assert result.dirty == ("company",) and result.local == of("company", typed) and not result.settled


@pytest.mark.parametrize("kind", RESPELLINGS)
def test_an_edit_in_spelling_whose_answer_was_lost_is_sent_again(kind: str) -> None:
    """Upstream shows what it showed before: that proves nothing before it has accepted the edit."""
    base, typed, shown = RESPELLINGS[kind]
    sent = [Sent({"company": typed}, accepted=False)]
    result = merge(of("company", base), of("company", typed), of("company", base), sent=sent)
    assert result.dirty == ("company",)
    if shown != base:  # it has moved: our own request did that
        result = merge(of("company", base), of("company", typed), of("company", shown), sent=sent)
        assert result.base == result.local == of("company", shown) and not result.clashes


@pytest.mark.parametrize("kind", RESPELLINGS)
def test_a_newer_edit_in_spelling_is_not_taken_for_the_one_that_was_sent(kind: str) -> None:
    base, typed, shown = RESPELLINGS[kind]
    newer = typed + "  !"
    sent = [Sent({"company": typed}, accepted=True)]
    result = merge(of("company", base), of("company", newer), of("company", shown), sent=sent)
    assert result.local == of("company", newer) and result.dirty == ("company",)


@pytest.mark.parametrize("kind", OTHER_WORDS)
def test_an_accepted_edit_that_upstream_does_not_show_is_not_agreed(kind: str) -> None:
    base, typed = OTHER_WORDS[kind]
    sent = [Sent({"company": typed}, accepted=True)]
    result = merge(of("company", base), of("company", typed), of("company", base), sent=sent)
    assert result.dirty == ("company",) and not result.settled


@pytest.mark.parametrize("kind", OTHER_WORDS)
def test_what_is_neither_base_nor_ours_is_a_conflict(kind: str) -> None:
    typed, theirs = OTHER_WORDS[kind]
    sent = [Sent({"company": typed}, accepted=True)]
    result = merge(of("company", "Before"), of("company", typed), of("company", theirs), sent=sent)
    assert set(result.clashes) == {"company"}


def test_an_edit_that_was_undone_after_it_was_sent_is_undone_upstream_too() -> None:
    sent = [Sent({"company": "Acme "}, accepted=True)]
    result = merge(of("company", "Acme"), of("company", "Acme"), of("company", "Acme "), sent=sent)
    assert result.base == of("company", "Acme ") and result.dirty == ("company",)


@pytest.mark.parametrize("shown", ["919200000002", "+91 92000 00002"])
def test_a_number_that_was_sent_as_digits_is_agreed_as_it_is_shown(shown: str) -> None:
    base, local = Fields(phone_no="919200000001"), Fields(phone_no="092000 00002")
    sent = [Sent({"phone_no": "919200000002"}, accepted=False)]
    result = merge(base, local, Fields(phone_no=shown), sent=sent)
    assert result.base == result.local == Fields(phone_no=shown) and not result.clashes


#: base, local, upstream and what was sent of one field; then the new base and local, and who won or what is left.
TABLE = [
    ("a", "a", "a", None, "a", "a", ""),
    ("a", "b", "a", None, "a", "b", "dirty"),
    ("a", "a", "b", None, "b", "b", "taken"),
    ("a", "b", "b", None, "b", "b", ""),
    ("a", "b", "B", None, "B", "B", ""),
    ("a", "b", "c", None, "a", "b", "clash"),
    ("a", "", "c", None, "a", "", "clash"),
    ("a", "b", "", None, "a", "b", "clash"),
    ("a", "a", "A", None, "A", "A", "taken"),
    ("a", "b", "b", "b", "b", "b", ""),
    ("a", "b", "B", "b", "B", "B", ""),
    ("a", "c", "b", "b", "b", "c", "dirty"),
    ("a", "a", "b", "b", "b", "a", "dirty"),
    ("a", "c", "d", "b", "a", "c", "clash"),
    ("a", "a", "a", "b", "a", "a", ""),
    ("a", "b", "a", "b", "a", "b", "dirty"),
]


@pytest.mark.parametrize(("base", "mine", "theirs", "sent", "agreed", "shown", "outcome"), TABLE)
def test_merge_of_one_field(
    base: str, mine: str, theirs: str, sent: str | None, agreed: str, shown: str, outcome: str
) -> None:
    requests = [] if sent is None else [Sent({"company": sent}, accepted=False)]
    result = merge(of("company", base), of("company", mine), of("company", theirs), sent=requests)
    assert (result.base, result.local) == (of("company", agreed), of("company", shown))
    assert result.dirty == (("company",) if outcome == "dirty" else ())
    assert result.clashes == ({"company": Clash(base, mine, theirs)} if outcome == "clash" else {})
    assert result.taken == ({"company": (mine, theirs)} if outcome == "taken" else {})
    assert result.overruled == {}
    assert result.settled is (agreed != base)


@pytest.mark.parametrize(
    ("policy", "agreed", "shown"), [("ask", "a", "b"), ("local", "c", "b"), ("remote", "c", "c")]
)
def test_who_wins_a_conflict(policy: OnConflict, agreed: str, shown: str) -> None:
    result = merge(of("company", "a"), of("company", "b"), of("company", "c"), on_conflict=policy)
    assert (result.base.company, result.local.company) == (agreed, shown)
    assert result.taken == ({"company": ("b", "c")} if policy == "remote" else {})
    assert result.overruled == ({"company": ("c", "b")} if policy == "local" else {})
    assert result.dirty == (("company",) if policy == "local" else ())


def test_the_newest_request_that_upstream_shows_counts() -> None:
    sent = [Sent({"company": value}, accepted=False) for value in ("b", "B")]
    result = merge(of("company", "a"), of("company", "B"), of("company", "B"), sent=sent)
    assert result.local.company == result.base.company == "B" and not result.dirty


def test_a_row_that_was_never_agreed_on_differs_from_an_empty_one_with_its_number() -> None:
    local, remote = of("company", "Apex"), Fields("+91 92000 00001", first_name="Asha")
    result = merge(None, local, remote)
    assert result.base == Fields("+91 92000 00001", first_name="Asha") and result.settled
    assert result.local == Fields("+91 92000 00001", first_name="Asha", company="Apex")
    assert result.dirty == ("company",) and result.taken == {"first_name": ("", "Asha")}


def test_a_number_is_one_number_however_it_is_typed() -> None:
    assert not is_dirty("phone_no", "919200000001", "092000 00001", "IN")
    assert is_dirty("phone_no", "919200000001", "9200000002", "IN")
    assert is_dirty("company", "Acme", "ACME", "IN")
    assert dirty_fields(of("company", "a"), Fields("9200000001", company="b"), "IN") == ("company",)


def test_a_request_for_other_fields_shows_nothing() -> None:
    assert not shows(Sent({"company": "Acme"}, accepted=True), "job_title", "", "", "IN")
