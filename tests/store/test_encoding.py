"""Bytes that are not UTF-8 do not get into a contact, whichever client types them, and any letters do."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable

import pytest

from syncer.core.model import FIELDS
from syncer.store.db import triggers
from tests.store.conftest import Mirror

#: What may not be stored -> bytes in hex. Each is tried in the middle of a word, at its end, and alone.
NOT_TEXT = {
    "a byte that never occurs": ["FF", "FE", "F5808080", "F8888080", "F888808080", "FC8480808080"],
    "a continuation without a lead": ["80", "BF", "9F", "A0", "E9", "4DE96C"],
    "a lead without its continuation": ["C3", "C328", "C3C3A9", "E2", "E282", "E28228", "F0", "F09F", "F09F98", "F09F9828"],
    "an overlong form": ["C080", "C0AF", "C1BF", "E08080", "E080AF", "E09FBF", "F0808080", "F08080AF", "F08FBFBF"],
    "half of a surrogate pair": ["EDA080", "EDAFBF", "EDB080", "EDBFBF", "EDA0BDEDB880"],
    "beyond U+10FFFF": ["F4908080", "F48FBF", "F4BFBFBF", "F7BFBFBF"],
    "another encoding": ["5A6F EB", "93414294", "FFFE4100", "FEFF0041", "A4B3", "610062"],
    "a NUL": ["00", "410042", "4100"],
    "a control character of Latin-1": ["C280", "C285", "C29F"],
    "what replaces a lost letter": ["EFBFBD"],
}  # fmt: skip
CASES = [(kind, value.replace(" ", "")) for kind, values in NOT_TEXT.items() for value in values]

GOOD = [
    "Zoë", "आशा राव", "ஆஷா", "🙂", "a\tb\nc", "O'Hara", "50%_*[x]", "\u00a0x", "–—", "\x7f", "\u07ff", "\u0800",
    "\ud7ff", "\ue000", "\ufdd0", "\U00010000", "\U0010fffd", "\u00a0", "é" * 3000, "x" * 9000 + "é",
]  # fmt: skip

#: The bytes at both sides of every boundary in table 3-7 of the Unicode Standard.
EDGES = bytes.fromhex("417F808F909FA0BFC0C1C2DFE0E1ECEDEEEFF0F1F3F4F5FF")


@pytest.mark.parametrize(("kind", "value"), CASES)
def test_bytes_that_are_not_text_are_refused_with_advice(mirror: Mirror, kind: str, value: str) -> None:
    row_id = mirror.contact()
    for at, number in (("", 0), ("41", 1), ("41", 2)):
        written = at + value + "42" * (number == 1)
        for statement in (
            f"UPDATE telecmi_contacts SET company = CAST(x'{written}' AS TEXT) WHERE id = {row_id}",
            f"INSERT INTO telecmi_contacts (company) VALUES (CAST(x'{written}' AS TEXT))",
        ):
            said = mirror.refused(statement, pragmas=["trusted_schema = OFF"])
            assert said.startswith("telecmi_contacts.company: the value is not UTF-8 text"), (kind, written)
            assert "UTF-8 and type the value again" in said


@pytest.mark.parametrize("options", [(), ("-safe",)])
def test_the_shell_is_refused_as_well(
    mirror: Mirror, shell: Callable[..., str], options: tuple[str, ...]
) -> None:
    mirror.contact()
    for _, value in CASES:
        said = shell(f"UPDATE telecmi_contacts SET company = CAST(x'{value}' AS TEXT);", *options, fails=True)
        assert "the value is not UTF-8 text" in said, value
    assert mirror.queue() == []


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_is_looked_at(mirror: Mirror, field: str) -> None:
    mirror.contact()
    for statement in (
        f"UPDATE telecmi_contacts SET {field} = CAST(x'41E9' AS TEXT)",
        f"INSERT INTO telecmi_contacts ({field}) VALUES (CAST(x'E08080' AS TEXT))",
    ):
        assert mirror.refused(statement).startswith(f"telecmi_contacts.{field}: the value is not UTF-8 text")


@pytest.mark.parametrize("good", GOOD)
def test_any_letters_are_taken(mirror: Mirror, good: str) -> None:
    row_id = mirror.contact()
    mirror.sql("UPDATE telecmi_contacts SET company = ?", good)
    assert mirror.row(row_id)["company"] == good and mirror.log()[0][4] == good


def test_an_odd_value_from_upstream_does_not_block_other_edits(mirror: Mirror) -> None:
    row_id = mirror.contact(company="\ufffd", job_title="a\x00b")
    mirror.sql("UPDATE telecmi_contacts SET last_name = 'Devi'")
    assert mirror.queue() == [(row_id, "update", "queued")]


def test_the_condition_agrees_with_python_about_every_sequence_of_edges() -> None:
    """All sequences of up to three bytes, and of four that begin with a lead of four."""
    samples = [bytes(s) for n in (1, 2, 3) for s in itertools.product(EDGES, repeat=n)]
    samples += [
        bytes((lead, *s)) for lead in (0xF0, 0xF1, 0xF4, 0xF5) for s in itertools.product(EDGES, repeat=3)
    ]
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE samples (b BLOB, x TEXT)")
    conn.executemany("INSERT INTO samples (b, x) VALUES (?1, CAST(?1 AS TEXT))", [(one,) for one in samples])
    refused = {one for (one,) in conn.execute(f"SELECT b FROM samples AS NEW WHERE {triggers.not_text('x')}")}
    conn.close()
    assert refused == {one for one in samples if not _is_text(one)}


def _is_text(value: bytes) -> bool:
    """Valid UTF-8 without control characters of Latin-1, and without U+FFFD to U+FFFF."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return not any("\x80" <= sign <= "\x9f" or "\ufffd" <= sign <= "\uffff" for sign in text)
