"""The shape of a vendor's answers: their fields and the kinds of values, without any value.

`remote/documented.py` has the documented fields, and `cli/report.py` writes the report.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

#: The path of a field: `contacts[].phone_no`. The whole answer is "".
Place: TypeAlias = str

#: The documented kinds of a field (`text|null`), with `?` in front if it may be absent.
Promise: TypeAlias = str

FieldFinding = Literal["as documented", "another kind", "missing", "not documented"]

#: Names that may be shown in a report. Other keys could be people's names or numbers.
_PLAIN_NAME = re.compile(r"[a-z][A-Za-z_]{0,39}[0-9]?")

_TEXTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("empty", re.compile(r"\s*")),
    ("a whole number", re.compile(r"-?\d{1,9}")),
    ("digits", re.compile(r"\d+")),
    ("+ and digits", re.compile(r"\+\d+")),
    ("a masked number", re.compile(r"\+?[\dxX*]*[xX*]{2}[\dxX*]*")),
    ("a number with signs", re.compile(r"\+?[\d ()./-]*\d[\d ()./-]*")),
    ("a UUID", re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")),
    ("true or false", re.compile(r"(?i:true|false)")),
    ("an email address", re.compile(r"\S+@\S+\.\S+")),
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(?P<zone>Z|[+-]\d\d:?\d\d)?)?")


@dataclass(slots=True)
class Shape:
    """The fields seen so far in the answers to one call."""

    kinds: dict[Place, Counter[str]] = field(default_factory=dict)
    #: How many objects were seen at a path (`contacts[]`).
    objects: Counter[Place] = field(default_factory=Counter)

    def add(self, value: Any, promised: Mapping[Place, Promise]) -> None:
        """Add one answer. Fields below an undocumented object are not named."""
        self._add("", value, promised)

    def _add(self, place: Place, value: Any, promised: Mapping[Place, Promise]) -> None:
        kind = kind_of(value)
        self.kinds.setdefault(place, Counter())[kind] += 1
        if kind.partition(":")[0] not in _kinds(promised.get(place, "")):
            return
        if isinstance(value, dict):
            self.objects[place] += 1
            for name, inner in value.items():
                self._add(_below(place, str(name), promised), inner, promised)
        elif isinstance(value, list):
            for inner in value:
                self._add(f"{place}[]", inner, promised)


@dataclass(frozen=True, slots=True)
class Line:
    """One field: what is documented, and what was seen."""

    place: Place
    verdict: FieldFinding
    promised: Promise  #: "" if not documented
    seen: tuple[tuple[str, int], ...]  #: kind -> how often, the most frequent first
    absent: int  #: objects that lack it


def compare(shape: Shape, promised: Mapping[Place, Promise]) -> list[Line]:
    """Every field that is documented or was seen, in the order of the documentation."""
    known = [place for place in promised if place in shape.kinds or shape.objects[_parent(place)]]
    others = [place for place in shape.kinds if place not in promised]
    return [_line(shape, place, promised.get(place, "")) for place in (*known, *others)]


def _line(shape: Shape, place: Place, promise: Promise) -> Line:
    seen = shape.kinds.get(place, Counter[str]())
    is_field = not place.endswith("[]") and place != ""
    absent = max(0, shape.objects[_parent(place)] - seen.total()) if is_field else 0
    expected = _kinds(promise)
    verdict: FieldFinding = "as documented"
    if not promise:
        verdict = "not documented"
    elif any(kind.partition(":")[0] not in expected for kind in seen):
        verdict = "another kind"
    elif absent and not promise.startswith("?"):
        verdict = "missing"
    return Line(place, verdict, promise, tuple(seen.most_common()), absent)


def _kinds(promise: Promise) -> list[str]:
    return promise.removeprefix("?").split("|")


def kind_of(value: Any) -> str:
    """The kind of a value, without the value: `text: 12 digits`."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return f"number: {_digits(len(str(abs(value))))}"
        case float():
            return "number: with a fraction"
        case dict():
            return "object"
        case list():
            return "list: empty" if not value else "list"
        case _:
            return f"text: {_text(value)}"


def _text(value: str) -> str:
    date = _DATE.fullmatch(value)
    if date is not None:
        zone = date["zone"]
        written = "" if zone is None else " Z" if zone == "Z" else " +00:00" if ":" in zone else " +0000"
        return ("a time" if date[1] else "a date") + written
    for name, pattern in _TEXTS:
        if pattern.fullmatch(value):
            if name in ("digits", "+ and digits"):
                return name.replace("digits", _digits(sum(c.isdigit() for c in value)))
            return name
    return "words"


def _digits(number: int) -> str:
    return "1 digit" if number == 1 else f"{number} digits"


def _below(place: Place, name: str, promised: Mapping[Place, Promise]) -> Place:
    inner = f"{place}.{name}" if place else name
    if inner in promised or _PLAIN_NAME.fullmatch(name):
        return inner
    return f"{place}.(an odd name)" if place else "(an odd name)"


def _parent(place: Place) -> Place:
    return place.rpartition(".")[0]
