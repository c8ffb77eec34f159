"""Bytes to JSON and back: odd numbers, broken text, depth; and rows of any kind."""

from __future__ import annotations

import gzip
import json
import math
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.core.model import Row
from syncer.remote import rows, wire
from syncer.remote.error_text import named_field, safe_text, with_vendor_text
from syncer.remote.unpack import LARGEST_ANSWER
from syncer.remote.wire import NotJson, decode, encode, read_body

ANY_TEXT = st.text(st.characters(codec=None))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":NaN,"b":-Infinity,"c":1e999}', {"a": "NaN", "b": "-Infinity", "c": "1e999"}),
        (b'{"a":"caf\xe9"}', {"a": "caf\ufffd"}),
        (b"1" * 5000, "1" * 5000),
        (b"", NotJson("empty")),
        (b" \n ", NotJson("empty")),
        (b"<html></html>", NotJson("HTML")),
        (b'{"code":200', NotJson("cut JSON", cut=True)),
        (b"Bad gateway", NotJson("text")),
    ],
)
def test_bodies(content: bytes, value: object) -> None:
    assert decode(content) == value


NAMES = {"name": "Zoë Müller"}
LATIN = json.dumps(NAMES, ensure_ascii=False).encode("latin-1")
UTF8 = json.dumps(NAMES, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=ISO-8859-1", "application/json;charset=latin1", "text/plain; charset='l1'",
        'application/json; CHARSET="iso-8859-1"', "application/json; charset = iso-8859-15; x=y",
        "application/json; charset=windows-1252", "application/json; x=1; charset=cp1252",
    ],
)  # fmt: skip
def test_a_declared_single_byte_charset_is_honoured(content_type: str) -> None:
    assert decode(LATIN, content_type) == NAMES
    assert decode(UTF8, content_type) == NAMES, (
        "JSON that is valid UTF-8 is UTF-8, whatever a server's default says"
    )
    assert decode(b'{"a":1}', content_type) == {"a": 1}


def test_latin_1_is_read_as_browsers_read_it() -> None:
    assert decode(b'{"a":"\x93caf\xe9\x94"}', "application/json; charset=iso-8859-1") == {"a": "“café”"}
    assert decode(b'{"a":"\x81\xe9"}', "application/json; charset=iso-8859-1") == {"a": "\x81é"}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "application/json; charset=utf-8",
        'text/html; charset="UTF8"',
        "charset=",
        "x;;=",
    ],
)
def test_one_broken_byte_without_another_charset_damages_one_letter(content_type: str | None) -> None:
    assert decode(b'{"a":"caf\xe9"}', content_type) == {"a": "caf\ufffd"}
    assert decode(UTF8, content_type) == NAMES


@pytest.mark.parametrize(
    ("content", "charset"),
    [
        (LATIN, "us-ascii"), (LATIN, "gbk"), (LATIN, "shift_jis"), (LATIN, "utf-7"), (LATIN, "unicode_escape"),
        (LATIN, "rot13"), (LATIN, "zip"), (LATIN, "no-such-thing"), (b'{"a":"\xd2"}', "windows-1253"),
        (json.dumps(NAMES).encode("utf-16"), "utf-16"),
        (json.dumps(NAMES).encode("utf-32"), "utf-32"),
    ],
)  # fmt: skip
def test_another_charset_is_refused_by_name(content: bytes, charset: str) -> None:
    body = decode(content, f"application/json; charset={charset}")
    assert isinstance(body, NotJson) and not body.cut
    assert body.kind == f"text in the charset {charset}"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("bom", [True, False])
def test_wide_characters_are_not_json(codec: str, bom: bool) -> None:
    text = ("\ufeff" if bom and codec != "utf-16" else "") + json.dumps(NAMES)
    assert isinstance(decode(text.encode(codec)), NotJson)


@pytest.mark.parametrize(
    "junk", [b"x%s", b"%sx", b")]}',\n%s", b"%s%s", b"callback(%s)", b"%s<html>", b"\x00%s"]
)
def test_junk_around_the_json_is_not_passed_over(junk: bytes) -> None:
    assert isinstance(decode(junk.replace(b"%s", UTF8)), NotJson)


@given(st.binary(max_size=60), st.text(max_size=30))
def test_no_content_type_makes_decoding_fail(content: bytes, label: str) -> None:
    decode(content, f"application/json; charset={label}")
    decode(content, label)


@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate", "br"]))
def test_no_bytes_make_decoding_fail(content: bytes, encoding: str) -> None:
    decode(content)
    read_body(content, encoding)


# -- what is compressed --------------------------------------------------------------------------------

PAGE = {"code": 200, "contacts": [{"contact_id": str(n), "first_name": "Asha"} for n in range(100)]}
PLAIN = json.dumps(PAGE).encode()


def gz(content: bytes, level: int = 9) -> bytes:
    return gzip.compress(content, level, mtime=0)


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("", PLAIN),
        ("identity", PLAIN),
        (" Identity , ", PLAIN),
        ("gzip", gz(PLAIN)),
        ("x-gzip", gz(PLAIN)),
        ("GZIP", gz(PLAIN)),
        ("identity, gzip", gz(PLAIN)),
        ("gzip", b"".join(gz(PLAIN[at : at + 100]) for at in range(0, len(PLAIN), 100))),
        ("gzip", gz(PLAIN[:50]) + gz(b"") + gz(PLAIN[50:])),
        ("gzip", gz(PLAIN) + b"\0" * 512),
        ("gzip", gz(PLAIN) + b"\r\n"),
        ("gzip", gz(b" " * 200_000 + PLAIN, 0)),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", zlib.compress(PLAIN, 0)),
        ("deflate", raw_deflate(PLAIN)),
        ("deflate", raw_deflate(b" " * 200_000 + PLAIN)),
    ],
)
def test_a_body_is_unpacked(encoding: str, packed: bytes) -> None:
    assert read_body(packed, encoding) == PAGE
    assert read_body(bytearray(packed), encoding) == PAGE


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "br", "gzip, gzip"])
def test_an_empty_body_is_empty_however_it_is_said_to_be_compressed(encoding: str) -> None:
    assert read_body(b"", encoding) == NotJson("empty")


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", b"junk"),
        ("gzip", PLAIN),
        ("gzip", gz(PLAIN)[:-1]),
        ("gzip", gz(PLAIN)[:40]),
        ("gzip", gz(PLAIN)[:-8] + b"\0" * 8),
        ("gzip", gz(PLAIN) + gz(PLAIN)[:30]),
        ("deflate", zlib.compress(PLAIN)[:-1]),
        ("deflate", raw_deflate(PLAIN)[:-1]),
        ("deflate", PLAIN),
        ("deflate", b"x"),
    ],
)
def test_compression_that_is_damaged_or_cut_is_the_lines_fault(encoding: str, packed: bytes) -> None:
    assert read_body(packed, encoding) == NotJson("damaged compression", cut=True)


@pytest.mark.parametrize(
    ("encoding", "says"),
    [
        ("br", "compressed with br, which was not asked for"),
        ("zstd", "compressed with zstd"),
        ("compress", "compressed with compress"),
        ("Asha-Example", "in an unknown Content-Encoding"),
        ("gzip, gzip", "compressed more than once"),
        ("gzip,gzip,gzip", "compressed more than once"),
        ("deflate, gzip", "compressed more than once"),
        ("br, gzip", "compressed more than once"),
    ],
)
def test_encodings_that_are_refused(encoding: str, says: str) -> None:
    got = read_body(gz(gz(PLAIN)), encoding)
    assert isinstance(got, NotJson) and got.refused and says in got.kind and "Asha" not in got.kind


LARGE = LARGEST_ANSWER + 1


@pytest.mark.parametrize(
    ("encoding", "packed", "says"),
    [
        ("gzip", lambda: gz(bytes(LARGE)), "more than 32 MiB"),
        ("gzip", lambda: gz(bytes(1 << 24)) * 3, "more than 32 MiB"),
        ("deflate", lambda: zlib.compress(bytes(LARGE)), "more than 32 MiB"),
        ("deflate", lambda: raw_deflate(bytes(LARGE)), "more than 32 MiB"),
        ("gzip", lambda: gz(b"") * 100_000, "too many parts"),
        ("", lambda: b" " * LARGE, "more than 32 MiB"),
        ("", lambda: b"[" + b"[]," * 10_000_000 + b"[]]", "more values"),
        ("", lambda: b'{"contacts":[' + b"{}," * 10_000_000 + b"{}]}", "more values"),
        ("", lambda: b'{"contacts":[' + b"0," * 15_000_000 + b"0]}", "more values"),
        ("", lambda: b'{"contacts":[' + b"0," * wire.MOST_ROWS + b"0]}", "more than 50,000 rows"),
        ("", lambda: b'{"contacts":[' + b"{}," * wire.MOST_ROWS + b"{}]}", "more than 50,000 rows"),
        ("", lambda: b"[" * 200_000, "deeper than 100 levels"),
        ("", lambda: b"[" * 10_000_000, "more values"),
        ("", lambda: b"[" * 101 + b"]" * 101, "deeper than 100 levels"),
        ("", lambda: b'{"a":' * 101 + b"1" + b"}" * 101, "deeper than 100 levels"),
        ("", lambda: b'[{"a":' + b'[{"b":' * 60 + b"NaN" + b"}]" * 60 + b"}]", "deeper than 100 levels"),
    ],
)
def test_what_is_beyond_all_bounds_is_refused_while_it_is_small(
    encoding: str, packed: Callable[[], bytes], says: str
) -> None:
    body = packed()
    tracemalloc.start()
    try:
        got = read_body(body, encoding)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(got, NotJson) and got.refused and says in got.kind
    assert most < 2.5 * LARGEST_ANSWER


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100 + b"]" * 100,
        b'{"contacts":[' + b'{"a":1},' * (wire.MOST_ROWS - 1) + b'{"a":1}]}',
        b'{"a":"' + b"[{" * 100_000 + b'"}',
        b'{"a":"' + b"," * 900_000 + b'"}',
    ],
)
def test_what_is_within_the_bounds_is_read(content: bytes) -> None:
    assert read_body(content, "") == json.loads(content)


@given(ANY_JSON)
def test_the_quick_reader_says_what_the_lenient_one_says(value: object) -> None:
    body = json.dumps(value).encode()
    assert repr(decode(body)) == repr(wire._decode_leniently(body))


@given(ANY_JSON)
def test_what_is_stored_as_raw_is_json_for_every_reader(value: object) -> None:
    read = decode(json.dumps(value).encode())
    raw = rows.raw_json(read)  # type: ignore[arg-type]
    raw.encode()
    assert "\x00" not in raw

    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads(raw, parse_constant=refuse)


def test_requests_are_ascii() -> None:
    assert encode({"name": "Zoë \ud800"}) == b'{"name":"Zo\\u00eb \\ud800"}'


def test_raw_is_compact_and_in_order() -> None:
    assert (
        rows.raw_json({"b": 1, "a": "é\x00", "c": [None, True]}) == '{"b":1,"a":"é\\u0000","c":[null,true]}'
    )


@pytest.mark.parametrize(
    ("value", "as_text", "as_integer"),
    [
        (None, None, None),
        ("", "", None),
        (" 12 ", " 12 ", 12),
        ("12.0", "12.0", 12),
        ("twelve", "twelve", None),
        (12, "12", 12),
        (12.0, "12", 12),
        (1.5, "1.5", None),
        (True, "true", None),
        (10**30, "1" + "0" * 30, None),
        (2**63, str(2**63), None),
        ({"a": 1}, '{"a":1}', None),
        ("a\x00b\ud800", "ab\ufffd", None),
        ("-5", "-5", -5),
        ("--5", "--5", None),
        ("٣", "٣", 3),
        ("²", "²", None),
        (math.inf, "inf", None),
        (1e300, "1e+300", None),
    ],
)
def test_lenient_values(value: object, as_text: str | None, as_integer: int | None) -> None:
    assert rows.text(value) == as_text  # type: ignore[arg-type]
    assert rows.integer(value) == as_integer  # type: ignore[arg-type]


def test_totals() -> None:
    assert [rows.count(v) for v in (0, "7", 7.0, -1, None, True, [], "x")] == [
        0,
        7,
        7,
        None,
        None,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize("value", [False, "false", "False", " FALSE ", "0", 0, "", None, "null", [], {}])
def test_what_says_no(value: object) -> None:
    assert not rows.truthy(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, "true", "1", 1, "expired", "no", ["x"], {"a": None}])
def test_what_says_yes(value: object) -> None:
    assert rows.truthy(value)  # type: ignore[arg-type]


def test_stamps_as_text_and_as_epochs() -> None:
    assert rows.stamp("2024-05-08T12:45:03+0000") == "2024-05-08T12:45:03.000Z"
    assert rows.stamp(1715172303) == rows.stamp("1715172303000") == "2024-05-08T12:45:03.000Z"
    assert [rows.stamp(v) for v in (None, "", "0000-00-00 00:00:00", 0, 5, True, {})] == [None] * 7


def read(row: object, raw: str) -> Row:
    return Row(rows.identity(row, "id"), {}, raw)  # type: ignore[arg-type]


def test_a_row_that_cannot_be_understood_is_set_aside_and_the_others_stay() -> None:
    odd = [3, None, "x", [], {}, {"id": None}, {"id": ""}, {"id": " "}, {"id": {}}, {"id": True}, {"id": 1.5}]
    page = rows.read_page([{"id": "a"}, *odd, {"id": 7}, {"id": 8.0}], read)  # type: ignore[list-item]
    assert [row.key for row in page.rows] == ["a", "7", "8"]
    assert len(page.set_aside) == len(odd) and page.size == len(odd) + 3
    assert page.set_aside[0].reason == "the row is not an object" and page.set_aside[0].raw == "3"
    assert {aside.reason for aside in page.set_aside[4:]} == {
        "id is missing", "id is empty", "id is neither text nor a whole number",
    }  # fmt: skip


@given(st.lists(ANY_JSON, max_size=5))
def test_no_rows_make_a_page_fail(items: list[object]) -> None:
    decoded = decode(json.dumps(items).encode())
    assert isinstance(decoded, list)
    page = rows.read_page(decoded, read)
    assert page.size == len(items)


def test_two_pages_have_one_digest_exactly_when_their_rows_are_the_same() -> None:
    one, other = {"id": 1, "n": "x"}, {"id": 2, "n": "y"}

    def digest(*items: object) -> str:
        return rows.read_page(list(items), read, total=3).digest  # type: ignore[arg-type]

    assert digest(one, other) == digest(dict(one), dict(other))
    assert len({digest(), digest(one), digest(one, other), digest(other, one)}) == 4


@pytest.mark.parametrize(
    "message",
    [
        "Contact Asha Rao already exists",
        "919200000001 already exists",
        "asha@example.com is not valid",
        "phone_no 9200000001 is invalid",
        'value "x" is invalid',
        "Token abcdef is invalid",
        "https://vendor.example is required",
        {"phone_no": "is invalid"},
        None,
        "",
        "is invalid " * 50,
    ],
)
def test_what_may_be_personal_is_not_repeated(message: object) -> None:
    assert safe_text(message) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("last_name is required.", "last_name is required"),
        ("Duplicate contact within the organization", "Duplicate contact within the organization"),
        ("limit must be less than 100", "limit must be less than 100"),
    ],
)
def test_harmless_words_are_repeated(message: str, said: str) -> None:
    assert with_vendor_text("refused", message) == f'refused: "{said}"'


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("phone_no already exists", "phone_no"),
        ("Invalid phone number", "phone_no"),
        ("last_name is required", "last_name"),
        ("Last name missing", "last_name"),
        ("bad email_id", "email_id"),
        ("job title too long", "job_title"),
        ({"errors": [{"field": "company"}]}, "company"),
        ("first_name and last_name are required", "first_name"),
        ("contact exists", None),
        (None, None),
    ],
)
def test_the_field_that_a_message_names(message: object, field: str | None) -> None:
    assert named_field(message) == field  # type: ignore[arg-type]


@given(ANY_JSON)
def test_no_message_makes_wording_fail(message: object) -> None:
    with_vendor_text("refused", message)  # type: ignore[arg-type]
    named_field(message)  # type: ignore[arg-type]
