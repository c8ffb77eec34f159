"""Which column of a table holds which field, by the English headers of Excel, Google, Outlook and Zoho exports.

`--map` names other columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncer.core.import_rows import (
    Candidate,
    LabelledNumber,
    cell,
    job_title,
    names,
    pick_number,
    written_number,
)
from syncer.core.model import FIELDS, Fields

#: Role of a column -> its headers in the form of `_plain`, the best first.
_HEADERS: dict[str, tuple[str, ...]] = {
    "phone_no": (
        "phone no", "mobile", "mobile phone", "mobile number", "mobile no", "cell", "cell phone", "cell number", "phone",
        "phone number", "telephone", "telephone number", "tel", "contact number", "contact no", "primary phone",
        "whatsapp", "whatsapp number", "phone e164", "business phone", "work phone", "office phone", "business phone 2",
        "company main phone", "phone 2", "alternate number", "home phone", "home phone 2", "other phone", "asst phone",
        "car phone", "radio phone",
    ),
    "first": ("first name", "given name", "firstname", "forename", "first"),
    "middle": ("middle name", "additional name", "middlename"),
    "last": ("last name", "family name", "lastname", "surname", "last"),
    "full": ("name", "full name", "display name", "fullname", "contact name", "customer name", "lead name", "file as"),
    "email_id": (
        "email id", "email", "e mail", "email address", "e mail address", "primary email", "mail", "e mail 1 value",
        "email 1 value", "e mail 2 address", "e mail 2 value", "secondary email", "e mail 3 address", "e mail 3 value",
    ),
    "company": (
        "company", "company name", "organization", "organisation", "organization name", "organisation name",
        "organization 1 name", "account name", "business name", "firm", "employer",
    ),
    "job_title": (
        "job title", "jobtitle", "designation", "position", "organization title", "organization 1 title", "role", "title",
    ),
    "account": ("account",),
}  # fmt: skip

#: Field in `--map` -> role, if they differ.
_ROLES = {"first_name": "first", "last_name": "last"}

#: Google's pairs of columns: `Phone 1 - Label` and `Phone 1 - Value`.
_PAIR = re.compile(r"(phone|e mail|email) \d+ value")

#: Google's separator of several values in a cell.
_SEVERAL = " ::: "


class UnknownColumnError(ValueError):
    """`--map` names a column that the file does not have."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the fields are in a table."""

    header: tuple[str, ...]  #: of the file, tidied
    places: Mapping[str, tuple[int, ...]]  #: role -> columns, the best first
    labels: Mapping[int, int]  #: column of a number -> column of its label

    @property
    def known(self) -> int:
        """How many columns are understood."""
        return sum(map(len, self.places.values()))


def find_columns(header: Sequence[str], mapping: Mapping[str, str]) -> Columns:
    """Read a header. `mapping` (`--map`) is field -> column. Raises UnknownColumnError if it names a missing one."""
    shown = tuple(cell(name.removeprefix("\ufeff")) for name in header)
    places: dict[str, tuple[int, ...]] = {}
    for field, column in mapping.items():
        wanted = cell(column).casefold()
        found = [n for n, name in enumerate(shown) if name.casefold() == wanted]
        if not found:
            raise UnknownColumnError(column)
        places[_ROLES.get(field, field)] = tuple(found)
    taken = {place for found in places.values() for place in found}
    plain: dict[str, list[int]] = {}  # several columns may have one name
    for n, name in enumerate(shown):
        if n not in taken:
            plain.setdefault(_plain(name), []).append(n)
    for role, headers in _HEADERS.items():
        known = list(headers)
        if prefix := {"phone_no": "phone", "email_id": "e"}.get(role):
            known += [name for name in sorted(plain) if _PAIR.fullmatch(name) and name.startswith(prefix)]
        found = [n for name in known for n in plain.get(name, ())]
        if found and role not in places:
            places[role] = tuple(dict.fromkeys(found))
    labels = {}
    for n in places.get("phone_no", ()):
        stem = _plain(shown[n]).removesuffix("value")
        for word in ("label", "type"):
            if label := plain.get(stem + word):
                labels[n] = label[0]
    return Columns(shown, places, labels)


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", name.casefold()).split())


def read_row(columns: Columns, row: int, cells: Sequence[str]) -> Candidate | None:
    """What a row of a table says; None if it is blank."""
    values = [cell(text) for text in cells]
    if not any(values):
        return None
    width = len(columns.header)
    if any(values[width:]):
        problem = f"it has {len(values)} cells and the header {width}: a cell with a delimiter in it has to be quoted"
        return Candidate(row, problem=problem)
    values += [""] * (width - len(values))

    def first(role: str) -> str:
        return next((values[n] for n in columns.places.get(role, ()) if values[n]), "")

    places = columns.places
    phone, others = pick_number(
        number for n in places.get("phone_no", ()) for number in _numbers(columns, n, values)
    )
    if places.get("first") and places.get("first") == places.get("last"):  # mapped to one column
        given, surname, one_name = names("", "", "", first("first"))
    else:
        given, surname, one_name = names(first("first"), first("middle"), first("last"), first("full"))
    title = values[places["job_title"][0]] if "job_title" in places else ""
    emails = (part.strip() for n in places.get("email_id", ()) for part in _parts(columns, n, values))
    email = next(filter(None, emails), "")
    fields = Fields(phone, given, surname, email, first("company"), job_title(title))
    return Candidate(row, fields, one_name, others, first("account"))


def _numbers(columns: Columns, n: int, values: Sequence[str]) -> list[LabelledNumber]:
    label = values[columns.labels[n]] if n in columns.labels else columns.header[n]
    preferred = label.startswith("*")
    return [
        LabelledNumber(written_number(part), label.lstrip("* "), preferred)
        for part in _parts(columns, n, values)
    ]


def _parts(columns: Columns, n: int, values: Sequence[str]) -> list[str]:
    """The values of a cell. In the columns of `contacts export` it is always one."""
    return [values[n]] if columns.header[n] in FIELDS else values[n].split(_SEVERAL)
