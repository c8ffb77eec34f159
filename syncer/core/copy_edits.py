"""Checks edits that were written into a published copy, before they reach the triggers of the mirror."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from syncer.core.model import FIELDS, REQUIRED
from syncer.core.normalise import phone_digits, phone_problem, same, spelled_alike, to_e164

FORGOTTEN: Final = (
    "this person was forgotten (`syncer forget`), and an edit from a copy does not bring anybody back"
)


@dataclass(frozen=True, slots=True)
class CopyEdit:
    """A row of `contact_edits`."""

    id: int
    request: str  #: its permanent name
    account: str | None
    action: str
    contact_row: int | None
    contact_id: str | None
    fields: Mapping[str, str | None] = field(default_factory=dict)  #: None: not changed

    @property
    def given(self) -> dict[str, str]:
        """The fields to set."""
        return {name: value for name in FIELDS if (value := self.fields.get(name)) is not None}


@dataclass(frozen=True, slots=True)
class Target:
    """The contact that an edit names."""

    id: int
    account: str
    contact_id: str | None
    deleted: bool
    user_list: bool  #: it is only in the user's own list
    fields: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write, or why nothing is written."""

    account: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""


def account_of(edit: CopyEdit, regions: Mapping[str, str], target: Target | None) -> str | None:
    """The account of an edit; None if it names none and there are several."""
    if target is not None:
        return target.account
    return edit.account or (next(iter(regions)) if len(regions) == 1 else None)


def decide(
    edit: CopyEdit,
    regions: Mapping[str, str],
    target: Target | None,
    holder: int | None,
    forgotten: bool,
    *,
    replaced: bool = False,
) -> Decision:
    """Check an edit. `regions` are those of the accounts with a mirrored directory, by account; `holder` is another
    live contact with the given number. `replaced`: the edit may be older than a restore, and name another row."""
    account = account_of(edit, regions, target)
    if account is None:
        return Decision(refusal=f"account is needed: there are {', '.join(sorted(regions)) or 'none'}")
    if account not in regions:
        return Decision(refusal=f"there is no account {account!r} whose contacts are mirrored")
    if edit.action == "add":
        if edit.contact_row is not None or edit.contact_id is not None:
            return Decision(refusal="an add names neither contact_row nor contact_id")
    elif refusal := _wrong_target(edit, target, replaced=replaced):
        return Decision(refusal=refusal)
    if edit.action == "delete":
        return Decision(account)
    fields = edit.given
    missing = [
        name for name in REQUIRED if not fields.get(name, "" if edit.action == "add" else "kept").strip()
    ]
    if missing:
        return Decision(refusal=f"upstream takes no contact without {' and '.join(missing)}")
    if refusal := _set_number(fields, regions[account], target):
        return Decision(refusal=refusal)
    if "phone_no" in fields:
        if forgotten:
            return Decision(refusal=FORGOTTEN)
        if holder is not None:
            return Decision(refusal=f"contact row {holder} of account {account} holds this number already")
    if target is not None:
        fields = {name: value for name, value in fields.items() if not same(target.fields.get(name), value)}
    return Decision(account, fields)


def _wrong_target(edit: CopyEdit, target: Target | None, *, replaced: bool) -> str:
    if edit.contact_row is None and edit.contact_id is None:
        return "contact_row or contact_id is needed"
    if replaced and edit.contact_id is None:
        return (
            f"the mirror or the copy was replaced since, and contact row {edit.contact_row} may be somebody else: look "
            "it up again, or name the contact_id"
        )
    if target is None:
        return "no contact has this contact_row or contact_id"
    if edit.account is not None and edit.account != target.account:
        return f"contact row {target.id} belongs to account {target.account}"
    if edit.contact_id is not None and edit.contact_id != target.contact_id:
        return f"contact row {target.id} has another contact_id"
    if target.deleted:
        return f"contact row {target.id} is deleted"
    if edit.action == "delete" and target.user_list:
        return f"contact row {target.id} is in the user's own list only: remove it in TeleCMI"
    return ""


def _set_number(fields: dict[str, str], region: str, target: Target | None) -> str:
    """Write the number as it is sent, or drop it if only its spelling differs. Returns why it is not valid, or ''."""
    written = fields.get("phone_no")
    if written is None:
        return ""
    there = target.fields.get("phone_no") if target is not None else None
    if there and spelled_alike("phone_no", there, written, region):
        del fields["phone_no"]
        return ""
    e164 = to_e164(written, region)
    if e164 is None or phone_problem(written, region):
        return f"the phone number {phone_problem(written, region)}"
    fields["phone_no"] = phone_digits(e164)
    return ""
