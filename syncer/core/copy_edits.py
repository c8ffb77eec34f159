"""What becomes of an edit that somebody wrote into a published copy, before the triggers have their say."""

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
    """One row of `contact_edits`."""

    id: int
    request: str  #: names it for good
    account: str | None
    action: str
    contact_row: int | None
    contact_id: str | None
    fields: Mapping[str, str | None] = field(default_factory=dict)  #: None: is left as it is

    @property
    def given(self) -> dict[str, str]:
        """The fields that are to be set."""
        return {name: value for name in FIELDS if (value := self.fields.get(name)) is not None}


@dataclass(frozen=True, slots=True)
class Target:
    """The contact that an edit names."""

    id: int
    account: str
    contact_id: str | None
    deleted: bool
    user_list: bool  #: it is in the user's own list only
    fields: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be written, or why nothing is."""

    account: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""


def account_of(edit: CopyEdit, regions: Mapping[str, str], target: Target | None) -> str | None:
    """The account that it is about; None where it names none and there are several."""
    if target is not None:
        return target.account
    return edit.account or (next(iter(regions)) if len(regions) == 1 else None)


def decide(
    edit: CopyEdit, regions: Mapping[str, str], target: Target | None, holder: int | None, forgotten: bool
) -> Decision:
    """`regions`: the accounts whose directory is mirrored. `holder`: another live contact with the number given."""
    account = account_of(edit, regions, target)
    if account is None:
        return Decision(refusal=f"account is needed: there are {', '.join(sorted(regions)) or 'none'}")
    if account not in regions:
        return Decision(refusal=f"there is no account {account!r} whose contacts are mirrored")
    if edit.action == "add":
        if edit.contact_row is not None or edit.contact_id is not None:
            return Decision(refusal="an add names neither contact_row nor contact_id")
    elif refusal := _wrong_target(edit, target):
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


def _wrong_target(edit: CopyEdit, target: Target | None) -> str:
    if edit.contact_row is None and edit.contact_id is None:
        return "contact_row or contact_id is needed"
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
    """Bring the number into the form that is sent, or drop one that is only spelled otherwise; why it cannot be."""
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
