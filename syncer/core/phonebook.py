"""Writes a contact in each phonebook format: the XML directories of phones, and vCard.

All text comes from vendors and people, so it is escaped, and control characters are removed. docs/phones.md links the
sources of the formats.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from syncer.core.normalise import split_name

#: What XML 1.0 cannot hold, what ends a line, and invisible marks that reverse the direction of text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")

#: Bytes of a line of a vCard (RFC 6350, 3.2).
_LINE: Final = 75


@dataclass(frozen=True, slots=True)
class PhonebookEntry:
    """One row of the view `contacts`."""

    name: str | None
    number: str | None  #: in E.164
    email: str | None = None
    company: str | None = None

    @property
    def title(self) -> str:
        """The name, else the company, else the number."""
        return clean(self.name) or clean(self.company) or self.number or ""


def clean(text: str | None) -> str:
    """On one line, without control characters."""
    return " ".join(_CONTROL.sub(" ", text or "").split())


# -- XML -----------------------------------------------------------------------------------------------

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"})


def escaped(text: str | None) -> str:
    """Text as XML, for an element or an attribute."""
    return clean(text).translate(_ESCAPES)


def _directory_entry(entry: PhonebookEntry) -> str:
    """Cisco's format, which Yealink uses too."""
    if not entry.number:
        return ""
    name, number = escaped(entry.title), escaped(entry.number)
    return f"<DirectoryEntry><Name>{name}</Name><Telephone>{number}</Telephone></DirectoryEntry>\n"


def _grandstream(entry: PhonebookEntry) -> str:
    if not entry.number:
        return ""
    first, last = split_name(entry.title)
    return (
        f"<Contact><LastName>{escaped(last)}</LastName><FirstName>{escaped(first)}</FirstName>"
        f'<Company>{escaped(entry.company)}</Company><Phone type="Work"><phonenumber>{escaped(entry.number)}</phonenumber>'
        "<accountindex>1</accountindex></Phone></Contact>\n"
    )


# -- vCard ---------------------------------------------------------------------------------------------


def vcard_escaped(text: str) -> str:
    """Text on one line, as a vCard has it."""
    return re.sub(r"([\\,;])", r"\\\1", text)


def _value(text: str | None) -> str:
    return vcard_escaped(clean(text))


def folded(line: str) -> str:
    """A line of a vCard, folded into lines of at most `_LINE` bytes without cutting a character."""
    if len(line.encode()) <= _LINE:
        return f"{line}\r\n"
    out, size = [], 0
    for sign in line:
        width = len(sign.encode())
        if size + width > _LINE:
            out.append("\r\n ")
            size = 1
        out.append(sign)
        size += width
    return "".join(out) + "\r\n"


def _vcard(entry: PhonebookEntry) -> str:
    if not entry.title:
        return ""
    first, last = split_name(entry.title)
    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"N:{_value(last)};{_value(first)};;;",
        f"FN:{_value(entry.title)}",
        f"ORG:{_value(entry.company)}" if clean(entry.company) else "",
        f"TEL;TYPE=WORK,VOICE:{_value(entry.number)}" if entry.number else "",
        f"EMAIL;TYPE=INTERNET:{_value(entry.email)}" if clean(entry.email) else "",
        "END:VCARD",
    ]
    return "".join(folded(line) for line in lines if line)


# -- all formats ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Format:
    """One format: the beginning and the end of the file, and how one contact is written."""

    media_type: str
    head: str
    entry: Callable[[PhonebookEntry], str]  #: "" leaves the contact out
    tail: str
    refresh: bool = False  #: phones fetch the next page from the address in the header `Refresh`


_XML: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'

#: By the name of the file.
FORMATS: Final[dict[str, Format]] = {
    "yealink.xml": Format(
        "text/xml; charset=utf-8",
        f"{_XML}<YealinkIPPhoneDirectory>\n",
        _directory_entry,
        "</YealinkIPPhoneDirectory>\n",
    ),
    "grandstream.xml": Format(
        "text/xml; charset=utf-8", f"{_XML}<AddressBook>\n", _grandstream, "</AddressBook>\n"
    ),
    "cisco.xml": Format(
        "text/xml; charset=utf-8",
        f"{_XML}<CiscoIPPhoneDirectory>\n<Title>Contacts</Title>\n<Prompt>Choose a contact</Prompt>\n",
        _directory_entry,
        "</CiscoIPPhoneDirectory>\n",
        refresh=True,
    ),
    "contacts.vcf": Format("text/vcard; charset=utf-8", "", _vcard, ""),
}

#: Other names: Grandstream's phones append this one to the path that they are given.
ALIASES: Final = {"phonebook.xml": "grandstream.xml"}
