"""Reads vCard 2.1 to 4.0: the few properties that a contact here has room for. Others are skipped line by line.

It is our own because vobject 0.9.9 rejects a whole file for one odd line and for the quoted-printable lines of
Android's and Nokia's vCard 2.1, and keeps every photo in memory.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TextIO

from syncer.core.import_rows import LabelledNumber
from syncer.errors import UsageError

#: The properties that are kept.
_WANTED = frozenset({"N", "FN", "TEL", "EMAIL", "ORG", "TITLE", "X-SYNCER-ACCOUNT"})

#: Name and parameters of a line; a quoted parameter may hold a colon.
_HEAD = re.compile(r'\s*((?:[^:;"]|"[^"]*")+)((?:;(?:[^:;"]|"[^"]*")*)*):', re.DOTALL)
_PARAMETER = re.compile(r';((?:[^;"]|"[^"]*")*)')

_PIECES = re.compile(r"\\.|[^\\;,]+|.", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

#: Words of a TEL that say nothing about which number to take.
_NO_LABELS = frozenset({"voice", "pref", "internet", "x400", "msg", "text"})

#: The rank of a value that is not marked as preferred.
_UNRANKED = 101

#: The longest value of a wanted property.
_LONGEST = 1 << 16


@dataclass(slots=True)
class Card:
    """One vCard, as far as it is read."""

    number: int  #: counted from 1
    line: int  #: where it begins
    structured: list[str] | None = None  #: N: family, given, additional, ...
    full: str = ""
    ranked: list[tuple[int, LabelledNumber]] = field(default_factory=list)  #: numbers; 1: the preferred one
    emails: list[tuple[int, str]] = field(default_factory=list)  #: likewise
    company: str = ""
    title: str = ""
    account: str = ""

    @property
    def email(self) -> str:
        """The preferred address, else the first."""
        return min(self.emails, key=itemgetter(0))[1] if self.emails else ""

    @property
    def numbers(self) -> list[LabelledNumber]:
        """All numbers, the preferred ones first."""
        return [number for _, number in sorted(self.ranked, key=itemgetter(0))]


def read_cards(file: TextIO, name: str) -> Iterator[Card]:
    """Each card. UsageError for a card without an end, with its line, and for a file without cards."""
    card: Card | None = None
    inner = 0  # a card within a card: vCard 2.1 has the AGENT
    agent = False
    count = 0
    legacy = file.encoding == "cp1252"
    for number, line in _unfolded(file):
        word = line.strip().upper()
        if word == "BEGIN:VCARD":
            if card is None:
                count += 1
                card = Card(count, number)
            elif agent:
                inner += 1
            else:
                raise _endless(name, card)
        elif word == "END:VCARD":
            if inner:
                inner -= 1
            elif card is not None:
                yield card
                card = None
        elif card is not None and not inner:
            agent = word.startswith("AGENT") and word.endswith(":")
            _take(card, line, legacy)
    if card is not None:
        raise _endless(name, card)
    if not count:
        raise UsageError(f"{name} holds no vCard: there is no line BEGIN:VCARD; nothing was changed")


def _endless(name: str, card: Card) -> UsageError:
    return UsageError(
        f"{name}: the card that begins in line {card.line} has no END:VCARD; nothing was changed"
    )


def _unfolded(file: TextIO) -> Iterator[tuple[int, str]]:
    """Each logical line, with the number of its first line."""
    began, text, wanted, soft = 0, "", False, False
    for number, raw in enumerate(file, start=1):
        line = raw.rstrip("\r\n")
        if soft or (line[:1] in (" ", "\t") and began):
            if wanted and len(text) < _LONGEST:
                text = text[:-1] + line if soft else text + line[1:]
            soft = soft and line.endswith("=")
            continue
        if began:
            yield began, text
        began, text = number, line
        head = line.partition(":")[0].upper()
        wanted = head.partition(";")[0].rpartition(".")[2].strip() in _WANTED
        soft = "QUOTED-PRINTABLE" in head and line.endswith("=")
        if not wanted:
            text = line[:40]  # enough for BEGIN, END and AGENT; a photo may be megabytes in one line
    if began:
        yield began, text


def _take(card: Card, line: str, legacy: bool) -> None:
    """Take what a line says into the card, if it is a wanted property."""
    head = _HEAD.match(line)
    if head is None:
        return
    name = head[1].rpartition(".")[2].strip().upper()
    if name not in _WANTED:
        return
    parameters = _parameters(head[2])
    value = _decoded(line[head.end() :], parameters, legacy)
    kinds = {kind.strip().strip('"').lower() for kind in ",".join(parameters.get("TYPE", [])).split(",")} - {
        ""
    }
    rank = 1 if "pref" in kinds else _rank(parameters)
    match name:
        case "N" if card.structured is None:
            card.structured = [" ".join(map(_unescaped, _split(part, ","))) for part in _split(value, ";")]
        case "FN" if not card.full:
            card.full = _unescaped(value)
        case "TEL":
            label = " ".join(sorted(kinds - _NO_LABELS))
            card.ranked.append((rank, LabelledNumber(_unescaped(value), label, rank < _UNRANKED)))
        case "EMAIL" if value.strip():
            card.emails.append((rank, _unescaped(value)))
        case "ORG" if not card.company:
            card.company = _unescaped(_split(value, ";")[0])
        case "TITLE" if not card.title:
            card.title = _unescaped(value)
        case "X-SYNCER-ACCOUNT":
            card.account = _unescaped(value)


def _parameters(text: str) -> dict[str, list[str]]:
    """The parameters by name, in upper case. A bare word of vCard 2.1 is a type or an encoding."""
    out: dict[str, list[str]] = {}
    for part in _PARAMETER.findall(text):
        name, equals, value = part.partition("=")
        if equals:
            out.setdefault(name.strip().upper(), []).append(value.strip().strip('"'))
        elif part.strip().upper() in ("QUOTED-PRINTABLE", "BASE64", "8BIT", "7BIT"):
            out.setdefault("ENCODING", []).append(part.strip())
        elif part.strip():
            out.setdefault("TYPE", []).append(part.strip())
    return out


def _rank(parameters: Mapping[str, list[str]]) -> int:
    """How much a value is preferred, from 1 to 100 (RFC 6350, 5.3), else `_UNRANKED`."""
    text = parameters.get("PREF", [""])[0]
    return int(text) if re.fullmatch("[1-9][0-9]?|100", text) else _UNRANKED


def _decoded(value: str, parameters: Mapping[str, list[str]], legacy: bool) -> str:
    """A value as text. In a file that is not Unicode (`legacy`, read as cp1252), a property may declare its charset."""
    if any(one.upper() == "QUOTED-PRINTABLE" for one in parameters.get("ENCODING", ())):
        octets = quopri.decodestring(value.encode("utf-8", "replace"))
    elif legacy and not value.isascii():
        octets = value.encode("cp1252")
    else:
        return value
    for charset in (*parameters.get("CHARSET", ()), "utf-8", "cp1252"):
        try:
            return octets.decode(charset)
        except (LookupError, UnicodeError, ValueError):
            continue
    return octets.decode("utf-8", "replace")


def _split(value: str, sign: str) -> list[str]:
    """Split at a sign that is not escaped."""
    parts = [""]
    for piece in _PIECES.findall(value):
        if piece == sign:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], text)
