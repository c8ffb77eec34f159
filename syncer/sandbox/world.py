"""All data of both vendors, and operations that change it as somebody upstream would.

Without HTTP: `telecmi` and `smartflo` have the calls of the APIs, and `callbook` phone calls.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from syncer.sandbox import people
from syncer.sandbox.base import EMAIL, EditError, known_fields
from syncer.sandbox.callbook import CallBook
from syncer.sandbox.seeding import fill, fill_calls
from syncer.sandbox.smartflo import row_of
from syncer.sandbox.state import (
    FIELDS,
    GROUP_FIELDS,
    SMARTFLO_FIELDS,
    USER_FIELDS,
    Contact,
    Organization,
    SmartfloContact,
    SmartfloGroup,
    Voicemail,
    phone_key,
)
from syncer.sandbox.webhooks import EVENTS


class World(CallBook):
    """The whole sandbox: the state of `base`, and operations on it.

    Every method may be called from any thread.
    """

    # The directory (v3), as somebody upstream

    def contact_insert(self, fields: Mapping[str, Any], *, app_id: int | None = None) -> str:
        """Add a contact to the directory, unchecked. Returns its contact_id."""
        with self.lock:
            return self.new_contact(self.org(app_id), known_fields(fields, FIELDS)).contact_id

    def new_contact(self, org: Organization, fields: Mapping[str, Any]) -> Contact:
        """A new contact at the end of the directory."""
        contact = Contact(self._uuid(), next(self._seq), dict(fields))
        org.contacts[contact.contact_id] = contact
        return contact

    def contact_update(
        self, contact_id: str, fields: Mapping[str, Any], *, app_id: int | None = None
    ) -> None:
        """Change fields of a contact, unchecked and at once."""
        with self.lock:
            self._contact(contact_id, app_id).fields.update(known_fields(fields, FIELDS))

    def contact_delete(self, contact_id: str, *, app_id: int | None = None) -> None:
        """Delete a contact of the directory."""
        with self.lock:
            self._contact(contact_id, app_id)
            del self.org(app_id).contacts[contact_id]

    def contact_delete_share(self, share: float, *, seed: int = 1, app_id: int | None = None) -> list[str]:
        """Delete this share (0 to 1) of the directory, at random. Returns the ids."""
        with self.lock:
            org = self.org(app_id)
            doomed = random.Random(seed).sample(sorted(org.contacts), round(len(org.contacts) * share))
            for contact_id in doomed:
                del org.contacts[contact_id]
            return doomed

    def contacts_blank(
        self, field: str, *, share: float = 1.0, seed: int = 1, app_id: int | None = None
    ) -> int:
        """Blank one field in this share of the directory. Returns the number of contacts."""
        with self.lock:
            known_fields({field: ""}, FIELDS)
            org = self.org(app_id)
            ids = random.Random(seed).sample(sorted(org.contacts), round(len(org.contacts) * share))
            for contact_id in ids:
                org.contacts[contact_id].fields[field] = ""
            return len(ids)

    def _contact(self, contact_id: str, app_id: int | None) -> Contact:
        found = self.org(app_id).contacts.get(contact_id)
        if found is None:
            raise EditError("no contact of this contact_id")
        return found

    # A user's list (v2), as somebody upstream

    def user_contact_upsert(
        self,
        mobile: int | str,
        fields: Mapping[str, Any] | None = None,
        *,
        notes: list[dict[str, Any]] | None = None,
        user_id: str | None = None,
        twice: bool = False,
    ) -> None:
        """Save a contact in a user's list. `mobile` is ten digits; `notes` are added to the existing ones.

        `twice` adds a second row of the same number. `time` is now by default.
        """
        with self.lock:
            user = self.user(user_id)
            number = int(mobile)
            row = next((r for r in user.contacts if r["mobile"] == number and not twice), None)
            if row is None:
                row = {"agent": user.user_id, "inet_no": user.app_id, "name": "", "mobile": number}
                user.contacts.append(row)
            row.update({"time": round(self.now() * 1000), **known_fields(fields or {}, USER_FIELDS)})
            if notes:
                made = [{"date": row["time"], "agent": user.user_id, **note} for note in notes]
                row["notes"] = [*row.get("notes", []), *made]
            org = self.org(user.app_id)
            if self.settings.telecmi.shared_store and not any(
                phone_key(c.fields.get("phone_no")) == phone_key(number) for c in org.contacts.values()
            ):
                first, _, last = str(row["name"]).rpartition(" ")
                shared = {"phone_no": f"91{number}", "first_name": first, "last_name": last}
                self.new_contact(org, shared)

    def user_contact_delete(self, mobile: int | str, *, user_id: str | None = None) -> None:
        """Delete a number of a user's list."""
        with self.lock:
            user = self.user(user_id)
            left = [row for row in user.contacts if row["mobile"] != int(mobile)]
            if len(left) == len(user.contacts):
                raise EditError("no contact of this mobile in the user's list")
            user.contacts[:] = left

    # Voicemail, as a caller

    def voicemail_insert(
        self,
        time: int | None,
        caller: int | str,
        voicename: str | None = None,
        *,
        visible_at: float = 0.0,
        shift_ms: int | None = None,
        sent: int | float | str | None = None,
        app_id: int | None = None,
        ring: bool = True,
    ) -> str:
        """Leave a voicemail at `time` (ms, the real time; None: now). Returns its name.

        It is listed from `visible_at` (epoch seconds); `sent` is listed instead of the
        time. `ring` calls the webhooks.
        """
        with self.lock:
            org = self.org(app_id)
            at = self._at(time)
            name = voicename or f"{at // 1000}_{org.app_id}_{self._uuid()[:8]}.mp3"
            org.voicemails.append(Voicemail(at, caller, name, visible_at, shift_ms, sent))
        if ring:
            record = {"type": "cdr", "appid": org.app_id, "direction": "inbound", "status": "missed"}
            record |= {"time": at, "from": caller, "voicemail": True, "voicename": name}
            self.webhooks.ring("telecmi", {"voicemail"}, record)
        return name

    def voicemail_delete(self, voicename: str, *, app_id: int | None = None) -> None:
        """Delete a voicemail."""
        with self.lock:
            org = self.org(app_id)
            left = [v for v in org.voicemails if v.voicename != voicename]
            if len(left) == len(org.voicemails):
                raise EditError("no voicemail of this name")
            org.voicemails[:] = left

    # Smartflo, as somebody upstream

    def group_upsert(self, group_id: int | None = None, fields: Mapping[str, Any] | None = None) -> int:
        """Add or change a contact group. Returns its id."""
        with self.lock:
            known = known_fields(fields or {}, GROUP_FIELDS)
            if group_id is None or group_id not in self.smartflo.groups:
                group_id = next(self._smartflo_ids) if group_id is None else group_id
                base: dict[str, Any] = {"name": f"Group {group_id}", "list_id": group_id, "description": None}
                base |= {"field_map": [], "added_by": EMAIL, "created_by": EMAIL}
                base |= {"clone_from_contact": None, "visible_to": "all"}
                self.smartflo.groups[group_id] = SmartfloGroup(group_id, base, self.now(), self.now())
            group = self.smartflo.groups[group_id]
            group.fields.update(known)
            group.updated_at = self.now()
            return group_id

    def smartflo_upsert(
        self,
        contact_id: int | None = None,
        fields: Mapping[str, Any] | None = None,
        *,
        updated_at: float | None = None,
        created_at: float | None = None,
        visible_at: float = 0.0,
    ) -> int:
        """Add or change a Smartflo contact. Returns its id.

        Stamps (epoch seconds) are now by default. It is listed from `visible_at`, which may be later than its stamp. A
        deleted contact is restored.
        """
        with self.lock:
            known = known_fields(fields or {}, SMARTFLO_FIELDS)
            if "contact_group_id" in known and "contact_group_name" not in known:
                group = self.smartflo.groups.get(known["contact_group_id"])
                known["contact_group_name"] = group.fields["name"] if group else ""
            if contact_id is None:
                contact_id = next(self._smartflo_ids)
            if contact_id not in self.smartflo.contacts:
                base: dict[str, Any] = dict.fromkeys(SMARTFLO_FIELDS) | {"custom_fields": [], "name": ""}
                new = SmartfloContact(contact_id, base, created_at or self.now(), 0.0)
                self.smartflo.contacts[contact_id] = new
            contact = self.smartflo.contacts[contact_id]
            contact.fields.update(known)
            contact.updated_at = self.now() if updated_at is None else updated_at
            contact.created_at = contact.created_at if created_at is None else created_at
            contact.deleted_at = None
            contact.visible_at = visible_at
            return contact_id

    def smartflo_delete(self, contact_id: int, *, hard: bool = False) -> None:
        """Delete a Smartflo contact: stamped `deleted_at`, or (hard) without a trace."""
        with self.lock:
            contact = self.smartflo.contacts.get(contact_id)
            if contact is None:
                raise EditError("no Smartflo contact of this id")
            if hard:
                del self.smartflo.contacts[contact_id]
            else:
                contact.deleted_at = contact.updated_at = self.now()

    # All of it

    def snapshot(self) -> dict[str, Any]:
        """All data of both vendors, including hidden rows, as plain data for JSON."""
        with self.lock:
            telecmi = {
                str(org.app_id): {
                    "contacts": [{"contact_id": c.contact_id, **c.fields} for c in org.contacts.values()],
                    "users": {user.user_id: user.contacts for user in org.users.values()},
                    "voicemails": [
                        {
                            "time": v.received_ms,
                            "from": v.caller,
                            "voicename": v.voicename,
                            "visible_at": v.visible_at,
                        }
                        for v in org.voicemails
                    ],
                    "calls": [
                        {**c.row, "kind": kind, "visible_at": c.visible_at}
                        for kind, calls in org.calls.items()
                        for c in calls.calls
                    ],
                }
                for org in self.organizations.values()
            }
            smartflo = {
                "contacts": [row_of(c, "+0000") for c in self.smartflo.contacts.values()],
                "groups": [row_of(g, "+0530") for g in self.smartflo.groups.values()],
                "calls": [{**c.row, "visible_at": c.visible_at} for c in self.smartflo.calls.calls],
            }
            whole: dict[str, Any] = json.loads(json.dumps({"telecmi": telecmi, "smartflo": smartflo}))
            return whole

    def seed(
        self,
        contacts: int = 250,
        voicemails: int = 60,
        smartflo: int = 60,
        user_contacts: int = 40,
        seed: int = 7,
        calls: int = 0,
        smartflo_calls: int = 0,
    ) -> None:
        """Add invented people."""
        with self.lock:
            fill(self, contacts, voicemails, smartflo, user_contacts, seed)
            fill_calls(self, calls, smartflo_calls, 20.0, seed)

    def calls_seed(self, telecmi: int = 0, smartflo: int = 0, *, days: float = 20.0, seed: int = 7) -> None:
        """Add this many calls of the existing people over the last days, without calling webhooks."""
        with self.lock:
            fill_calls(self, telecmi, smartflo, days, seed)

    def ring(self, vendor: str = "telecmi", event: str = "missed", *, times: int = 1) -> None:
        """Call the webhooks although nothing happened."""
        if event not in EVENTS or vendor not in ("telecmi", "smartflo"):
            raise EditError(f"vendor must be telecmi or smartflo, and event one of {', '.join(EVENTS)}")
        for _ in range(times):
            self.webhooks.ring(vendor, {event}, {"type": "cdr", "status": event})

    def invent(self, count: int, seed: int) -> list[people.Person]:
        """New people, whose numbers are not in use."""
        with self.lock:
            start, self._people = self._people, self._people + count
            return people.people(seed, start, count)
