"""What a file says about one contact, before it is compared with the mirror.

`formats` splits files into cells and cards; `import_plan.py` decides what is done with a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from syncer.core.model import Fields
from syncer.core.normalise import clean, collapse, split_name

#: Control characters, except those that collapse to a space. Triggers refuse most of them.
_CONTROL = dict.fromkeys(sign for sign in (*range(0x20), *range(0x7F, 0xA0)) if not chr(sign).isspace())
#: Two more that XML cannot contain: a workbook with one of them cannot be opened.
_CONTROL |= dict.fromkeys((0xFFFE, 0xFFFF))

#: A number that a spreadsheet has shortened, so that its last digits are lost.
_SHORTENED = re.compile(r"[+-]?\d(?:[.,]\d+)?E\+?\d+", re.IGNORECASE)

#: A number from a program that stores it as a fraction: 919200000001.0.
_FRACTION = re.compile(r"(\+?\d{5,})\.0+")

#: Text as a formula, so that it is not read as a number: ="919200000001".
_QUOTED = re.compile(r'="(.*)"', re.DOTALL)

#: Marks a label that means a mobile phone.
_MOBILE = re.compile(r"mobile|cell|\bmob\b|whatsapp|iphone", re.IGNORECASE)

_HONORIFICS = frozenset({"mr", "mrs", "ms", "miss", "dr", "prof", "shri", "smt", "sir", "madam"})


class Candidate(NamedTuple):
    """What a row of a file says about a contact. A blank field says nothing."""

    row: int  #: its number in the file, from 1: a spreadsheet's row, or the n-th card
    fields: Fields = Fields()
    one_name: bool = False  #: first and last name were one text in the file
    others: tuple[str, ...] = ()  #: further numbers, which upstream cannot store
    account: str = ""  #: the account that the row names, if it names one
    problem: str = ""  #: why the row cannot be read; no personal data


class LabelledNumber(NamedTuple):
    """A phone number of a contact, as the file has it."""

    value: str
    label: str = ""
    preferred: bool = False


def tidy(text: str | None) -> str:
    """A value on one line, in NFC, without control characters, trimmed."""
    if not text:
        return ""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())  # the usual case, made fast
    return collapse(clean(text).translate(_CONTROL))


def cell(text: str) -> str:
    """A cell of a table, tidied, without the formula that keeps a spreadsheet from reading a number."""
    plain = tidy(text)
    while quoted := _QUOTED.fullmatch(plain):
        plain = tidy(quoted[1].replace('""', '"'))
    return plain


def pick_number(numbers: Iterable[LabelledNumber]) -> tuple[str, tuple[str, ...]]:
    """The number to use (the preferred one, else a mobile, else the first), and the others with their labels."""
    listed = [one for one in numbers if one.value]
    if not listed:
        return "", ()
    chosen = next(
        (one for one in listed if one.preferred),
        next((one for one in listed if _MOBILE.search(one.label)), listed[0]),
    )
    known = {_digits(chosen.value)}
    others = []
    for one in listed:
        if _digits(one.value) not in known:
            known.add(_digits(one.value))
            others.append(f"{one.value} ({one.label})" if one.label else one.value)
    return chosen.value, tuple(others)


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number)[-10:] or number


def number_problem(text: str) -> str:
    """Why a number cannot be read after a spreadsheet saved it, or ''."""
    if _SHORTENED.fullmatch(text):
        return (
            f"{text} was shortened by a spreadsheet, and its last digits are lost: format the column as text "
            "in the original and export it again"
        )
    return ""


def written_number(text: str | None) -> str:
    """A number as text, without the marks that only say that it is a number."""
    plain = cell(text or "").removeprefix("'")
    if plain[:4].lower() == "tel:":
        plain = plain[4:].strip()
    fraction = _FRACTION.fullmatch(plain)
    return fraction[1] if fraction else plain


def names(first: str, middle: str, last: str, full: str) -> tuple[str, str, bool]:
    """First and last name, and whether they come from one text.

    If the parts have no last name, the full name is used if it has more than one word.
    """
    first = collapse(f"{first} {middle}")
    if last or (first and " " not in full):
        return first, last, False
    if full:
        return *split_name(full), True
    return first, last, False


def job_title(text: str) -> str:
    """A job title, or '' for an honorific, which many programs also call "title"."""
    return "" if text.casefold().rstrip(".") in _HONORIFICS else text


def card_candidate(
    row: int,
    *,
    structured: Sequence[str] | None,
    full: str,
    numbers: Sequence[LabelledNumber],
    email: str,
    company: str,
    title: str,
    account: str = "",
) -> Candidate:
    """What a vCard says. `structured` is its N (family, given, additional, ...), if it has one."""
    family, given, additional = ([*map(cell, structured or ()), "", "", ""])[:3]
    company, email, full = cell(company), cell(email), cell(full)
    numbers = [one._replace(value=written_number(one.value)) for one in numbers]
    phone, others = pick_number(numbers)
    # A card needs a name, so that of a company, or of an unknown person, repeats another value.
    if full in (company, email) or any(written_number(full) == one.value for one in numbers):
        full = ""
    if " " in family and not (given or additional) and full in ("", family):
        family, full = "", family  # simple phones write the whole name as the family name
    first, last, one_name = names(given, additional, family, full)
    fields = Fields(phone, first, last, email, company, job_title(cell(title)))
    return Candidate(row, fields, one_name, others, account)
