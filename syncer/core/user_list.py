"""What a row of a user's own list (TeleCMI v2) means for the contact that was created from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from syncer.core.contacts import Local
from syncer.core.merge import dirty_fields, is_dirty
from syncer.core.model import FIELDS, Fields
from syncer.core.normalise import split_name


class ListRow(NamedTuple):
    """The columns of a row that a contact is created from."""

    fields: Fields
    phone_e164: str | None
    raw: str | None


@dataclass(frozen=True, slots=True)
class ListDecision:
    """What happens to the contact."""

    action: Literal["keep", "update", "delete", "forget base"]
    taken: Mapping[str, tuple[str, str]] = field(default_factory=dict)  #: field -> (old, new)


def derived(name: str | None, mobile: str, email: str | None) -> Fields:
    """The fields of a contact that a row of the user's list provides."""
    first, last = split_name(name)
    return Fields(phone_no=mobile, first_name=first, last_name=last, email_id=email or "")


def follow_list(local: Local, base: Fields, row: ListRow | None, region: str) -> ListDecision:
    """Take over what changed in the list, except for fields that were edited locally.

    `base` is what the list showed before. `row` is None if the list no longer has the contact, or the directory has
    it: then the contact is removed, unless it was edited.
    """
    if row is None:
        if local.deleted:
            return ListDecision("forget base")
        return ListDecision("keep" if dirty_fields(base, local.fields, region) else "delete")
    if row.fields == base and row.raw == local.raw:
        return ListDecision("keep")
    taken = {
        name: (mine, new)
        for name, old, mine, new in zip(FIELDS, base, local.fields, row.fields, strict=True)
        if new != old and not is_dirty(name, old, mine, region)
    }
    return ListDecision("update", taken)
