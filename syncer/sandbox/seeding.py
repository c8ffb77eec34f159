"""Fills a world with invented people, their contacts, calls and lists.

`people` invents the people, and `world` stores the rows.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from syncer.sandbox.state import CALL_KINDS, phone_key

if TYPE_CHECKING:
    from syncer.sandbox.world import World

_DAY_S = 86_400
_TAGS = ("customer", "supplier", "lead", "")
_NOTES = ("Asked for a call back.", "Wants the price list.", "Prefers mornings.", "Invoice was sent.")


def fill(world: World, contacts: int, voicemails: int, smartflo: int, user_contacts: int, seed: int) -> None:
    """Add this many of each. The rows depend only on the world, its time and the seed."""
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
        world.voicemail_insert(int(at * 1000), caller, name, ring=False)


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


def fill_calls(world: World, telecmi: int, smartflo: int, days: float, seed: int) -> None:
    """Add this many calls of each vendor over the last days, with the people of the lists and some strangers.

    More than half of the missed calls are called back later, unless that would be after now.
    """
    if not telecmi and not smartflo:
        return
    callers = _callers(world) + [p.digits for p in world.invent(1 + (telecmi + smartflo) // 20, seed + 5)]
    for at, kind, digits, chance in _history(world.now(), telecmi, days, callers, seed + 6):
        world.call_insert(kind, f"91{digits}", at, duration=_duration(kind, chance), ring=False)
    for at, kind, digits, chance in _history(world.now(), smartflo, days, callers, seed + 7):
        world.smartflo_call_insert(
            f"+91{digits}",
            at,
            status="answered" if kind.endswith("answered") else "missed",
            direction=("outbound", "clicktocall")[at % 2] if kind.startswith("out") else "inbound",
            duration=_duration(kind, chance),
            voicemail=kind == "missed" and at % 8 == 0,
            ring=False,
        )


def _callers(world: World) -> list[str]:
    """The ten-digit numbers of everybody in a list of either vendor, each once."""
    org = world.org()
    phones = [c.fields.get("phone_no") for c in org.contacts.values()]
    phones += [row["mobile"] for user in org.users.values() for row in user.contacts]
    phones += [c.fields["phone_number"] for c in world.smartflo.contacts.values()]
    keys = [phone_key(phone) for phone in phones if phone]
    return list(dict.fromkeys(key[2:] for key in keys if key))


def _history(
    now: float, count: int, days: float, callers: list[str], seed: int
) -> list[tuple[int, str, str, random.Random]]:
    """`count` calls in order of time: when (ms), which kind, with whom."""
    chance = random.Random(seed)
    made: list[tuple[int, str, str]] = []
    while len(made) < count:
        at, who = now - chance.uniform(0.01, days) * _DAY_S, chance.choice(callers)
        (kind,) = chance.choices(CALL_KINDS, (50, 25, 20, 5))
        made.append((round(at * 1000), kind, who))
        back = at + chance.uniform(300, 18_000)
        if kind == "missed" and chance.random() < 0.6 and back < now and len(made) < count:
            made.append((round(back * 1000), "out_answered", who))
    return [(*call, chance) for call in sorted(made)]


def _duration(kind: str, chance: random.Random) -> int:
    return chance.randint(10, 600) if kind.endswith("answered") else chance.randint(5, 40)
