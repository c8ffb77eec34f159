"""Applies batches of adds, updates and deletes to TeleCMI's directory: checks, duplicates, refusals.

`telecmi` checks who sends a batch, and its size.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from syncer.sandbox.answer import Refused
from syncer.sandbox.state import FIELDS, REQUIRED, Organization, phone_key

if TYPE_CHECKING:
    from syncer.sandbox.world import World

Undo = Callable[[], None]


class _RowRefused(Refused):
    def __init__(self, code: int, text: str, field: str | None = None) -> None:
        super().__init__(code, text)
        self.field = field


def add(world: World, org: Organization, rows: Sequence[Any]) -> None:
    """Add contacts. Raises `Refused`: 400 (validation) or 409 (duplicate within the organization)."""
    phones = _phones(world, org)

    def one(row: Any) -> Undo:
        settings = world.settings.telecmi
        _check_fields(world, row, allowed=FIELDS)
        if settings.reject_last_name:
            for name in REQUIRED:
                if not str(row.get(name) or "").strip():
                    raise _RowRefused(400, f"{name} is required", name)
        stored = {name: _stored(world, name, row[name]) for name in FIELDS if name in row}
        key = phone_key(row.get("phone_no"), settings.duplicate_rule)
        if key is not None and key in phones:
            raise _RowRefused(409, "phone_no already exists in the organization", "phone_no")
        contact = world.new_contact(org, stored)
        if settings.visible_after_s or settings.visible_after_lists:
            org.hold_back(contact, world.now() + settings.visible_after_s, int(settings.visible_after_lists))
        if key is not None:
            phones[key] = contact.contact_id

        def undo() -> None:
            del org.contacts[contact.contact_id]
            if key is not None:
                del phones[key]

        return undo

    _apply(world, rows, one)


def update(world: World, org: Organization, rows: Sequence[Any]) -> None:
    """Change the named fields of contacts. Raises `Refused`: 400 or 409."""
    phones = _phones(world, org)

    def one(row: Any) -> Undo:
        settings = world.settings.telecmi
        _check_fields(world, row, allowed=("contact_id", *FIELDS))
        contact_id = row.get("contact_id")
        if not contact_id:
            raise _RowRefused(400, "contact_id is required", "contact_id")
        contact = org.contacts.get(contact_id)
        if contact is None:
            return _unknown_id(world)
        old = contact.fields
        new = dict(old)
        for name in FIELDS:
            if name not in row:
                continue
            value = row[name]
            if not str(value or "").strip():
                if name in REQUIRED:
                    if settings.reject_last_name:
                        raise _RowRefused(400, f"{name} is required", name)
                elif not _clears(world, name, value):
                    continue
            new[name] = _stored(world, name, value)
        key = phone_key(row["phone_no"], settings.duplicate_rule) if "phone_no" in row else None
        if key is not None and phones.get(key, contact_id) != contact_id:
            raise _RowRefused(409, "phone_no already exists in the organization", "phone_no")
        was = [known for known, owner in phones.items() if owner == contact_id]
        if key is not None:
            for known in was:
                del phones[known]
            phones[key] = contact_id
        contact.fields = new
        if settings.read_lag_s:
            contact.lag.append((world.now() + settings.read_lag_s, old))

        def undo() -> None:
            contact.fields = old
            if settings.read_lag_s:
                contact.lag.pop()
            if key is not None:
                del phones[key]
                phones.update(dict.fromkeys(was, contact_id))

        return undo

    _apply(world, rows, one)


def delete(world: World, org: Organization, contact_ids: Sequence[Any]) -> None:
    """Delete contacts. Raises `Refused`: 400."""

    def one(contact_id: Any) -> Undo:
        if not isinstance(contact_id, str) or not contact_id:
            raise _RowRefused(400, "contact_ids must be texts", "contact_ids")
        contact = org.contacts.get(contact_id)
        if contact is None:
            return _unknown_id(world)
        settings = world.settings.telecmi
        lists = {user_id: list(user.contacts) for user_id, user in org.users.items() if settings.shared_store}
        del org.contacts[contact_id]
        if settings.delete_lag_s:
            contact.gone_at = world.now() + settings.delete_lag_s
            org.gone.append(contact)
        if settings.shared_store:
            for user in org.users.values():
                key = phone_key(contact.fields.get("phone_no"))
                user.contacts[:] = [row for row in user.contacts if phone_key(row["mobile"]) != key]

        def undo() -> None:
            org.contacts[contact_id] = contact
            ordered = sorted(org.contacts.items(), key=lambda item: item[1].seq)
            org.contacts.clear()
            org.contacts.update(ordered)
            contact.gone_at = None
            org.gone[:] = [c for c in org.gone if c is not contact]
            for user_id, rows in lists.items():
                org.users[user_id].contacts[:] = rows

        return undo

    _apply(world, contact_ids, one)


def _apply(world: World, rows: Sequence[Any], one: Callable[[Any], Undo]) -> None:
    """Apply the rows one by one. A setting says what remains after a refusal."""
    mode = world.settings.telecmi.batch_on_refusal
    undo: list[Undo] = []
    first: tuple[int, _RowRefused] | None = None
    for n, row in enumerate(rows):
        try:
            undo.append(one(row))
        except _RowRefused as refused:
            first = first or (n, refused)
            if mode != "others":
                break
    if first is None:
        return
    if mode == "none":
        for step in reversed(undo):
            step()
    place, why = first
    if world.settings.telecmi.refusal_names_row:
        raise Refused(why.code, f"contacts[{place}].{why.field}: {why.text}")
    raise Refused(why.code, "duplicate contact" if why.code == 409 else "validation failed")


def _unknown_id(world: World) -> Undo:
    match world.settings.telecmi.unknown_id:
        case "ignored":
            return lambda: None
        case "404":
            raise _RowRefused(404, "contact not found", "contact_id")
        case _:
            raise _RowRefused(400, "contact_id is not known", "contact_id")


def _phones(world: World, org: Organization) -> dict[str, str]:
    """The numbers in use, each with its contact_id."""
    rule = world.settings.telecmi.duplicate_rule
    taken: dict[str, str] = {}
    for contact in org.contacts.values():
        key = phone_key(contact.fields.get("phone_no", ""), rule)
        if key is not None:
            taken.setdefault(key, contact.contact_id)
    return taken


def _check_fields(world: World, row: Any, *, allowed: tuple[str, ...]) -> None:
    if not isinstance(row, dict):
        raise _RowRefused(400, "must be an object")
    settings = world.settings.telecmi
    strange = sorted(set(row) - set(allowed))
    if strange and settings.refuse_unknown:
        raise _RowRefused(400, f"{strange[0]} is not a field", strange[0])
    for name in allowed:
        value = row.get(name)
        if value is not None and not isinstance(value, str):
            raise _RowRefused(400, f"{name} must be a text", name)
    phone = row.get("phone_no")
    if settings.reject_last_name and phone and not 10 <= len(_digits(phone)) <= 15:
        raise _RowRefused(400, "phone_no must have 10 to 15 digits", "phone_no")


def _digits(phone: str) -> str:
    """The digits of a number; "" if it has other characters than digits, blanks, `+`, `-` and brackets."""
    return re.sub(r"\D", "", phone) if re.fullmatch(r"[+\d\s()-]*", phone) else ""


def _clears(world: World, name: str, value: object) -> bool:
    match world.settings.telecmi.clear_mode:
        case "ignores":
            return False
        case "empty_only":
            return value is not None
        case "null_only":
            return value is None
        case "refuses":
            raise _RowRefused(400, f"{name} must not be empty", name)
        case _:
            return True


def _stored(world: World, name: str, value: Any) -> Any:
    """A value as it is stored."""
    respell = world.settings.telecmi.respell
    if not isinstance(value, str) or not respell:
        return value
    if "trim" in respell:
        value = value.strip()
    if "blanks" in respell:
        value = " ".join(value.split())
    if name == "phone_no":
        return "+" + re.sub(r"\D", "", value) if "phone" in respell else value
    if "unicode" in respell:
        value = unicodedata.normalize("NFKC", value)
    if "accents" in respell:
        value = "".join(c for c in unicodedata.normalize("NFD", value) if unicodedata.category(c) != "Mn")
    if "punctuation" in respell:
        value = "".join(c for c in value if unicodedata.category(c)[0] != "P")
    if "case" in respell:
        value = value.lower() if name == "email_id" else value.title()
    return value.upper() if "upper" in respell else value
