"""Phonebooks: whatever a name has in it, each format is sound, and says the same."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.core.phonebook import FORMATS, PhonebookEntry, clean, folded

ASHA = PhonebookEntry("Asha Rao Example", "+919200000001", "asha@example.com", 'Acme & Sons; "B", <C>')


def book(name: str, *entries: PhonebookEntry) -> str:
    form = FORMATS[name]
    return form.head + "".join(form.entry(one) for one in entries) + form.tail


def parsed(name: str, *entries: PhonebookEntry) -> ElementTree.Element:
    return ElementTree.fromstring(book(name, *entries))


def properties(text: str) -> list[tuple[str, str]]:
    """The lines of a vCard, unfolded and without escapes."""
    lines = text.replace("\r\n ", "").split("\r\n")
    assert lines.pop() == ""
    return [(one.partition(":")[0], re.sub(r"\\(.)", r"\1", one.partition(":")[2])) for one in lines]


@pytest.mark.parametrize("name", ["yealink.xml", "cisco.xml"])
def test_a_directory_of_names_and_numbers(name: str) -> None:
    (entry,) = parsed(name, ASHA, PhonebookEntry("No Number", None)).iter("DirectoryEntry")
    assert [(one.tag, one.text) for one in entry] == [
        ("Name", "Asha Rao Example"),
        ("Telephone", "+919200000001"),
    ]


def test_grandstream_splits_the_name() -> None:
    (contact,) = parsed("grandstream.xml", ASHA, PhonebookEntry("No Number", None)).iter("Contact")
    assert (contact.findtext("FirstName"), contact.findtext("LastName")) == ("Asha Rao", "Example")
    assert contact.findtext("Company") == 'Acme & Sons; "B", <C>'
    assert contact.findtext("Phone/phonenumber") == "+919200000001"


def test_a_vcard_has_everything() -> None:
    assert properties(book("contacts.vcf", ASHA, PhonebookEntry(None, None))) == [
        ("BEGIN", "VCARD"),
        ("VERSION", "3.0"),
        ("N", "Example;Asha Rao;;;"),
        ("FN", "Asha Rao Example"),
        ("ORG", 'Acme & Sons; "B", <C>'),
        ("TEL;TYPE=WORK,VOICE", "+919200000001"),
        ("EMAIL;TYPE=INTERNET", "asha@example.com"),
        ("END", "VCARD"),
    ]
    short = properties(book("contacts.vcf", PhonebookEntry("Asha", None)))
    assert [name for name, _ in short] == ["BEGIN", "VERSION", "N", "FN", "END"]


@pytest.mark.parametrize(
    ("entry", "title"),
    [
        (PhonebookEntry(" \x00 ", "+919200000001", company="Acme"), "Acme"),
        (PhonebookEntry(None, "+919200000001"), "+919200000001"),
        (PhonebookEntry("Asha\r\nEvil: x\u202e", None), "Asha Evil: x"),
    ],
)
def test_what_an_entry_is_called(entry: PhonebookEntry, title: str) -> None:
    assert entry.title == title


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=80))
def test_any_text_makes_sound_phonebooks(name: str, company: str, email: str) -> None:
    entry = PhonebookEntry(name, "+919200000001", email, company)
    for form in ("yealink.xml", "cisco.xml", "grandstream.xml"):
        texts = [one.text or "" for one in parsed(form, entry).iter()]
        assert entry.title in texts or form == "grandstream.xml"
    card = book("contacts.vcf", entry)
    assert all(len(line.encode()) <= 75 for line in card.split("\r\n"))
    assert dict(properties(card))["FN"] == entry.title
    assert sum(line.startswith(("BEGIN:", "END:")) for line in card.split("\r\n")) == 2


def test_folding_cuts_no_character() -> None:
    line = "FN:" + "ஆ" * 100
    assert folded(line).replace("\r\n ", "") == f"{line}\r\n"
    assert all(len(part.encode()) <= 75 for part in folded(line).split("\r\n"))
    assert clean("ஆ\u200dஆ") == "ஆ\u200dஆ"  # joiners belong to the script
