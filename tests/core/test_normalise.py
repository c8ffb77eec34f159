"""Phone numbers, names, text and times in all the spellings that were met."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.core import normalise
from syncer.core.normalise import (
    canonical_id,
    clean,
    collapse,
    is_masked,
    parse_stamp,
    phone_digits,
    phone_problem,
    plausible_ms,
    same,
    says_the_same,
    spelled_alike,
    split_name,
    to_e164,
    typed_e164,
    utc_text,
    voicename_epoch_ms,
    written_like,
)

ANY_TEXT = st.text(st.characters(codec=None), max_size=80)


@pytest.mark.parametrize(
    "written",
    [
        "919100000000", "+919100000000", "+91 91000 00000", "+91-91000-00000", "09100000000", "9100000000",
        "00919100000000", "0091 9100000000", "0919100000000", "(0)91000 00000", "tel:+919100000000",
        "\u200e+91 91000\u00a000000\u200f", "９１００００００００", 9100000000, 919100000000,
    ],
)  # fmt: skip
def test_every_usual_spelling_is_one_number(written: str | int) -> None:
    assert to_e164(written, "IN") == "+919100000000"


def test_a_ten_digit_number_that_begins_like_the_country_code_is_a_whole_number() -> None:
    assert to_e164("9191000000", "IN") == "+919191000000"


def test_invented_numbers_pass() -> None:
    assert [to_e164(9200000000 + n, "IN") for n in (0, 1, 99)] == [
        "+919200000000", "+919200000001", "+919200000099",
    ]  # fmt: skip


def test_a_number_of_another_country_without_its_plus() -> None:
    assert to_e164("14155552671", "IN") == "+14155552671"
    assert to_e164("0014155552671", "IN") == "+14155552671"
    assert to_e164("4155552671", "US") == "+14155552671"


@pytest.mark.parametrize(
    "written",
    [
        "+91xxxxxx2999",
        "+91XXXXXX2999",
        "98******01",
        "+9192•••••001",
        "xxxxxxxxxx",
        "**********",
        "92000NNN01",
    ],
)
def test_a_masked_number_is_none_at_all(written: str) -> None:
    assert is_masked(written)
    assert to_e164(written, "IN") is None


@pytest.mark.parametrize(
    "written",
    [None, "", " ", "+", "unknown", "Anonymous", "12345", "9200000001, 9200000002", True, 0, -9200000001],
)
def test_what_is_no_number(written: str | int | None) -> None:
    assert to_e164(written, "IN") is None
    assert not is_masked(written)


def test_no_region_has_shorter_numbers_than_are_read() -> None:
    general = [phonenumbers.PhoneMetadata.metadata_for_region(one) for one in phonenumbers.SUPPORTED_REGIONS]
    assert min(min(one.general_desc.possible_length) for one in general) == normalise._SHORTEST_PHONE


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        *[(one, "has an extension") for one in (
            "+91 92000 12345 ext 5", "92000 12345 ext. 5", "9200012345 extn 12", "9200012345 x5", "9200012345x5",
            "+919200012345;ext=5", "tel:+919200012345;ext=5", "+91 92000 12345 (ext 5)", "9200012345 Extension: 501",
            "9200012345#5", "9200012345, ext 5", "9200012345ext5",
        )],
        *[(one, "is a SIP address") for one in (
            "sip:9200012345@pbx.example.com", "SIPS:office@example.com", "9200012345@example.com",
            "<sip:+919200012345@example.com>",
        )],
        *[(one, "has words next to the number") for one in (
            "92000 12345 (office)", "(office) 92000 12345", "Office: +91 92000 12345", "mob. 9200012345",
            "9200012345 home", "9200012345 (ask for Asha)", "call 9200012345 first",
        )],
        *[(one, "holds more than one number") for one in (
            "9200000001, 9200000002", "9200000001/9200000002", "9200000001 or 9200000002", "9200000001; +919200000002",
        )],
        *[(one, "is masked: write the full number") for one in (
            "+91xxxxxx2999", "+91XXXXXX2999", "98******01", "+9192•••••001", "xxxxxxxxxx", "92000NNN01", "92000123NN",
            "NNNNN12345", "92000123x4", "92xxx12345 ext 5x", "+91 92000 xxxxx",
        )],
        *[(one, "cannot be read as a number in region IN") for one in (
            "", "call me", "Anonymous", "12", "ext 5", "12 ext 5", "+", "9200000001 9200000002",
        )],
        *[(one, "") for one in ("9200012345", "+91 92000 12345", "tel:+919200012345", "(0)92000 12345", "+14155552671")],
    ],
)  # fmt: skip
def test_why_a_number_cannot_be_sent(written: str, problem: str) -> None:
    said = phone_problem(written, "IN")
    assert said.startswith(problem) and bool(said) == bool(problem)


@pytest.mark.parametrize(
    "written",
    ["92000 12345 (office)", "(office) 92000 12345", "Office: +91 92000 12345", "mob. 9200012345", "9200012345 home",
     "Tel 92000-12345", "WhatsApp: 9200012345"],
)  # fmt: skip
def test_a_number_with_a_label_is_read(written: str) -> None:
    assert to_e164(written, "IN") == "+919200012345"


@pytest.mark.parametrize(
    "written",
    [
        "+91 92000 12345 ext 5", "9200012345x5", "sip:9200012345@pbx.example.com", "9200000001/9200000002",
        "9200012345 (ask for Asha)", "office", "(office)", "9200012 office 345", "homeoffice 9200012345", "9200012345o",
    ],
)  # fmt: skip
def test_a_number_that_is_in_doubt_is_not_read(written: str) -> None:
    assert to_e164(written, "IN") is None


def test_a_region_without_mobile_numbers_reads_only_whole_ones() -> None:
    assert {to_e164("+919200000001", region) for region in ("TA", "001", "XX")} == {"+919200000001"}
    assert to_e164("9200000001", "XX") is None
    assert not is_masked(None) and not is_masked(9200000001)


def test_huge_numbers_and_long_text_are_not_looked_at() -> None:
    assert to_e164(10**9000, "IN") is None
    assert to_e164("9" * 10_000, "IN") is None


@given(ANY_TEXT)
def test_no_text_makes_reading_a_number_fail(text: str) -> None:
    found = to_e164(text, "IN")
    assert found is None or (found[0] == "+" and phone_digits(found).isdecimal())
    if found is not None:
        assert not is_masked(text)
        assert to_e164(phone_digits(found), "IN") == found  # what we send reads back as the same number


@given(st.text("0123456789", min_size=1, max_size=16))
def test_a_normal_form_is_its_own_normal_form(digits: str) -> None:
    found = to_e164(digits, "IN")
    assert found is None or to_e164(found, "IN") == found


UUID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(
    ("canonical", "spellings"),
    [
        ("1", ["1", " 1 ", "1.0", "+1", "+1.00", "\ufeff1", "1\n", "\u00a01"]),
        ("0", ["0", "0.0", "+0"]),
        ("919200000001", ["919200000001", "+919200000001", " 919200000001.0 "]),
        ("123456789012345678901234567890", ["123456789012345678901234567890.0"]),
        (
            UUID,
            [
                UUID,
                UUID.upper(),
                f"{{{UUID}}}",
                f" {{{UUID.upper()}}} ",
                f"urn:uuid:{UUID}",
                f"URN:UUID:{UUID}",
            ],
        ),
        ("c-1", ["c-1", " c-1\t"]),
    ],
)
def test_spellings_of_one_id(canonical: str, spellings: list[str]) -> None:
    assert {canonical_id(one) for one in spellings} == {canonical}


@pytest.mark.parametrize(
    "sample", [UUID, UUID.upper(), f"{{{UUID}}}", f" {{{UUID.upper()}}} ", f"urn:uuid:{UUID}"]
)
def test_an_id_is_sent_in_the_writing_of_the_vendor(sample: str) -> None:
    other = UUID.replace("550e", "aa0e")
    assert written_like(UUID, sample) == sample.strip()
    assert written_like(other, sample) == sample.strip().replace("550e", "aa0e").replace("550E", "AA0E")
    assert written_like("c-1", sample) == "c-1"
    assert written_like(other, "c-1") == written_like(other, " 1.0 ") == written_like(other, "") == other


def test_what_may_be_two_ids_stays_two() -> None:
    ids = [
        "1", "01", "001", "-1", "1.5", "1e3", "1000.", "1,000", "0x1", "1 0", "A-1", "a-1", "１", "", "+", "+01",
        UUID, UUID.replace("-", ""), UUID[:-1], "550E8400", "3F2", "3f2",
    ]  # fmt: skip
    assert [canonical_id(one) for one in ids] == ids


@given(ANY_TEXT)
def test_a_canonical_id_is_its_own(text: str) -> None:
    assert canonical_id(canonical_id(text)) == canonical_id(text)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Asha Rao", ("Asha", "Rao")),
        ("  Asha   Devi \t Rao ", ("Asha Devi", "Rao")),
        ("Asha", ("", "Asha")),
        ("", ("", "")),
        (None, ("", "")),
    ],
)
def test_a_name_is_split_at_its_last_word(name: str | None, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


def test_clean_takes_out_only_what_cannot_be_stored() -> None:
    assert clean("a\x00b") == "ab"
    assert clean("a\ud800b") == "a\ufffdb"
    assert clean("\ud83d\ude00") == "😀"  # a pair that came in two halves is a character
    assert clean(" Ärger ") == " Ärger "


@given(ANY_TEXT)
def test_clean_text_can_be_stored(text: str) -> None:
    assert "\x00" not in clean(text)
    clean(text).encode()
    assert clean(clean(text)) == clean(text)


def test_null_and_empty_are_one_value() -> None:
    assert same(None, "") and same("", None) and same(None, None) and same("a", "a")
    assert not same(None, "a") and not same("a", "b") and not same(None, 0)


@pytest.mark.parametrize(
    ("field", "a", "b", "alike"),
    [
        ("phone_no", "919200000001", "+91 92000 00001", True),
        ("phone_no", "919200000001", "9200000002", False),
        ("phone_no", "919200000001", "unknown", False),
        ("phone_no", "unknown", "UNKNOWN ", True),
        ("phone_no", "", None, True),
        ("company", "Acme  Ltd ", "acme ltd", True),
        ("company", "Cafe\u0301", "Café", True),
        ("company", "Straße", "STRASSE", True),
        ("company", "Acme", "Acne", False),
        ("company", "Acme", None, False),
        ("company", "\u00a0", "", True),
    ],
)
def test_spellings_of_one_value(field: str, a: str | None, b: str | None, alike: bool) -> None:
    assert spelled_alike(field, a, b, "IN") is alike
    assert spelled_alike(field, b, a, "IN") is alike


@given(ANY_TEXT)
def test_collapsing_twice_changes_nothing_more(text: str) -> None:
    assert collapse(collapse(text)) == collapse(text)


# The vendor's own samples: each `time` is 5 h 30 min later than the name.
@pytest.mark.parametrize(
    ("voicename", "time", "epoch"),
    [
        ("157013743669294846865923_919100000000.mp3", 1570157223000, 1570137436692),
        ("157009505096485983954758_919200000000.mp3", 1570114837000, 1570095050964),
        ("1570137436_919100000000.mp3", 1570137436000, 1570137436000),
        ("1570137436692.wav", None, 1570137436692),
        ("157013743669294846865923_919100000000.mp3", None, 1570137436692),
    ],
)
def test_the_time_in_a_voicename(voicename: str, time: int | None, epoch: int) -> None:
    assert voicename_epoch_ms(voicename, time) == epoch


@pytest.mark.parametrize(
    ("voicename", "time"),
    [
        ("greeting.mp3", 1570157223000),
        ("42.mp3", 1570157223000),
        ("", None),
        ("919100000000_1570137436.mp3", 1570157223000),
        ("20231105123000.mp3", None),
        ("157013743669294846865923.mp3", 1570157223000 + 86_400_000),  # not within a day
        ("0000000000.mp3", None),
        ("٣٣٣٣٣٣٣٣٣٣٣٣٣.mp3", None),
    ],
)
def test_no_time_in_a_voicename(voicename: str, time: int | None) -> None:
    assert voicename_epoch_ms(voicename, time) is None


@given(ANY_TEXT, st.none() | st.integers())
def test_a_voicename_never_makes_it_fail(voicename: str, time: int | None) -> None:
    found = voicename_epoch_ms(voicename, time)
    assert found is None or plausible_ms(found)


def test_utc_text() -> None:
    ist = timezone(timedelta(hours=5, minutes=30))
    assert utc_text(datetime(2026, 11, 21, 9, 30, tzinfo=UTC)) == "2026-11-21T09:30:00.000Z"
    assert utc_text(datetime(2026, 11, 21, 15, 0, 0, 123999, tzinfo=ist)) == "2026-11-21T09:30:00.123Z"
    assert utc_text(datetime(2026, 11, 21, 9, 30)) == "2026-11-21T09:30:00.000Z"
    assert utc_text(1570137436692) == "2019-10-03T21:17:16.692Z"
    assert utc_text(datetime(7, 1, 1, tzinfo=UTC)) == "0007-01-01T00:00:00.000Z"


@pytest.mark.parametrize("value", [10**30, -(10**30), 10**17])
def test_a_time_outside_the_calendar_is_a_value_error(value: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        utc_text(value)


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2024-05-08T12:45:03+0000", "2024-05-08T12:45:03.000Z"),
        ("2024-05-08T12:45:03+0530", "2024-05-08T07:15:03.000Z"),
        ("2024-05-08T12:45:03+05:30", "2024-05-08T07:15:03.000Z"),
        ("2024-05-08T12:45:03-08", "2024-05-08T20:45:03.000Z"),
        ("2024-05-08T12:45:03Z", "2024-05-08T12:45:03.000Z"),
        ("2024-05-08T12:45:03.4567Z", "2024-05-08T12:45:03.456Z"),
        ("2024-05-08 12:45:03", "2024-05-08T12:45:03.000Z"),
        (" 2024-05-08 12:45 ", "2024-05-08T12:45:00.000Z"),
        ("2024-05-08", "2024-05-08T00:00:00.000Z"),
        ("0000-00-00 00:00:00", None),
        ("2024-13-08T12:45:03Z", None),
        ("0001-01-01T00:00:00+0530", None),
        ("2024-05-08T12:45:03+99:99", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_stamps(written: str | None, utc: str | None) -> None:
    assert parse_stamp(written) == utc


@given(st.datetimes(timezones=st.timezones()))
def test_a_stamp_reads_back(moment: datetime) -> None:
    try:
        text = utc_text(moment)
    except ValueError:
        return
    assert parse_stamp(text) == text


@given(ANY_TEXT)
def test_no_text_makes_reading_a_stamp_fail(text: str) -> None:
    assert parse_stamp(text) is None or len(parse_stamp(text) or "") == 24


@settings(max_examples=300)
@given(
    region=st.sampled_from(
        ["IN", "US", "GB", "DE", "IT", "SG", "AE", "AR", "MX", "BR", "HU", "SM", "CI", "KZ"]
    ),
    plus=st.sampled_from(["", "+"]),
    front=st.sampled_from(["", "0", "91", "091", "0091", "1", "44", "39", "54", "52"]),
    digits=st.text("0123456789", min_size=4, max_size=12),
    known=st.booleans(),
)
def test_the_short_way_to_a_number_says_what_the_long_one_says(
    region: str, plus: str, front: str, digits: str, known: bool
) -> None:
    if known:  # near a number that is one
        example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        number = str(example.national_number)
        digits = (
            number[: -len(digits) or None] + digits[: len(number)] if len(digits) < len(number) else number
        )
    text = plus + front + digits
    short = normalise._plain_mobile(text, region)
    assert short is None or short == normalise._to_e164(text, region), text


def test_the_short_way_is_the_usual_one() -> None:
    for text in ("919200000001", "+919200000001", "9200000001"):
        assert normalise._plain_mobile(text, "IN") == "+919200000001"
    for text in ("92000 00001", "+14155552671", "", "+91xxxxxx2999", "09200000001", "٩٢٠٠٠٠٠٠٠١"):
        assert normalise._plain_mobile(text, "IN") is None
    assert normalise._plain_mobile("92477637305", "AR") is None, "its 9 may be a prefix that is dialled"


def test_a_typed_number_is_read_in_the_first_region_that_knows_it() -> None:
    assert typed_e164("9200000001", ["US", "IN"]) == "+919200000001"
    assert typed_e164("4155552671", ["US", "IN"]) == "+14155552671"
    assert typed_e164("call me", ["IN", "US"]) is None and typed_e164("9200000001", []) is None


def test_spellings_of_a_number_by_its_region() -> None:
    for compare in (spelled_alike, says_the_same):
        assert compare("phone_no", "9200000001", "+919200000001", "IN")
        assert compare("phone_no", "+919200000001", "9200000001", "IN")
        assert not compare("phone_no", "9200000001", "+919200000001", "US")
        assert not compare("phone_no", "9200000001", "unknown", "IN")
        assert not compare("phone_no", "unknown", "9200000001", "IN")
        assert compare("phone_no", "unknown", "UNKNOWN", "IN")


@pytest.mark.parametrize("written", ["sip:9200012345", "SIPS:9200012345"])
def test_a_sip_address_without_a_host(written: str) -> None:
    assert phone_problem(written, "IN").startswith("is a SIP address")


@pytest.mark.parametrize(
    ("name", "time", "read"),
    [
        ("1700000000", None, 1_700_000_000_000),  # ten digits: seconds
        ("1700000000123", None, 1_700_000_000_123),  # thirteen: milliseconds
        ("170000000012", None, None),  # twelve could be a phone number
        ("1700000000123456", None, 1_700_000_000_123),
        ("1700000000123", 1_700_000_000_123 + 86_400_000, 1_700_000_000_123),  # a day from the row's own time
        ("1700000000123", 1_700_000_000_124 + 86_400_000, None),
        ("170000000012", 1_700_000_000_000, 1_700_000_000_000),
    ],
)
def test_the_epoch_of_a_file_name(name: str, time: int | None, read: int | None) -> None:
    assert voicename_epoch_ms(name, time) == read
