"""Fills a world with invented people, their contacts, calls and lists.

The people are left to `people`, the keeping to `world`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncer.sandbox.world import World

_DAY_S = 86_400
_TAGS = ("customer", "supplier", "lead", "")
_NOTES = ("Asked for a call back.", "Wants the price list.", "Prefers mornings.", "Invoice was sent.")


def fill(world: World, contacts: int, voicemails: int, smartflo: int, user_contacts: int, seed: int) -> None:
    """Add so many of each; the same world at the same time gets the same rows for the same seed."""
    chance = random.Random(seed)
    now = world.now()
    directory = world.invent(contacts, seed)
    for n, person in enumerate(directory):
        fields: dict[str, Any] = {
            "phone_no": f"91{person.digits}",
            "first_name": person.first_name,
            "last_name": person.last_name,
        }
        # A third of the optional fields is missing or empty, as in any directory that people keep.
        for name, value in (
            ("email_id", person.email),
            ("company", person.company),
            ("job_title", person.job_title),
        ):
            match (n + len(name)) % 6:
                case 0:
                    continue
                case 1:
                    fields[name] = ""
                case _:
                    fields[name] = value
        world.contact_insert(fields)

    shared = chance.sample(directory, min(len(directory), user_contacts // 2))
    own = world.invent(user_contacts - len(shared), seed + 1)
    for n, person in enumerate([*shared, *own]):
        row: dict[str, Any] = {
            "name": person.name,
            "time": round((now - chance.uniform(1, 90) * _DAY_S) * 1000),
        }
        if n % 3:
            row |= {"email": person.email, "tag": chance.choice(_TAGS), "status": "open", "info": ""}
        if n % 7 == 0:
            row["remindme"] = round((now + chance.uniform(1, 9) * _DAY_S) * 1000)
        notes = [
            {"msg": chance.choice(_NOTES), "date": row["time"] + 60_000 * (k + 1)}
            for k in range(max(0, n % 5 - 2))
        ]
        world.user_contact_upsert(int(person.digits), row, notes=notes)

    _fill_smartflo(world, smartflo, seed, directory[: smartflo // 3], now)

    known = [person.digits for person in [*directory, *own]]
    strangers = [person.digits for person in world.invent(max(1, voicemails // 3), seed + 2)]
    for n in range(voicemails):
        at = now - chance.uniform(0.01, 20) * _DAY_S
        caller: int | str = int("91" + chance.choice(known if known and n % 3 else strangers))
        if n == 4:
            caller = "+91xxxxxx2999"
        elif n == 9:
            caller = "anonymous"
        ending = "wav" if n % 8 == 7 else "mp3"
        name = f"{int(at)}_{world.org().app_id}_{chance.getrandbits(40):010x}.{ending}"
        # `time` has whole seconds of the name and the milliseconds that the name leaves out.
        world.voicemail_insert(int(at * 1000), caller, name)


def _fill_smartflo(world: World, count: int, seed: int, shared: list[Any], now: float) -> None:
    if not count:
        return
    chance = random.Random(seed + 3)
    groups = [
        world.group_upsert(None, {"name": name, "description": text})
        for name, text in (("Customers", "Those who buy"), ("Suppliers", None), ("Night desk", ""))
    ]
    for group in groups:
        record = world.smartflo.groups[group]
        record.created_at = record.updated_at = float(int(now - 100 * _DAY_S))
    for n, person in enumerate([*shared, *world.invent(count - len(shared), seed + 4)]):
        created = float(int(now - chance.uniform(30, 90) * _DAY_S))
        updated = float(int(created + chance.uniform(0, 29) * _DAY_S))
        world.smartflo_upsert(
            None,
            {
                "contact_group_id": groups[n % len(groups)],
                "phone_number": f"+91{person.digits}",
                "name": person.name,
                "email_id": None if n % 4 == 0 else person.email,
                "address": None if n % 3 == 0 else person.address,
                "company_name": None if n % 5 == 0 else person.company,
                "custom_fields": [] if n % 2 else [{"name": "city", "value": None if n % 4 else "Sampleton"}],
            },
            created_at=created,
            updated_at=updated,
        )
