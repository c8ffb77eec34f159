"""What TeleCMI's calls have in common: parameters, credentials, pages, `count`.

The calls themselves are in `telecmi`, `voicemail` and `calls`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from syncer.sandbox.answer import Refused, numbered
from syncer.sandbox.state import Organization, User

if TYPE_CHECKING:
    from syncer.sandbox.world import World

PAGE = (
    10  #: rows a page of the v2 list (at most), of the voicemails (always) and of call records (by default)
)
_DAY_MS = 86_400_000
NO_USER = "authenticated user record not found"

Params = dict[str, Any]


def need(world: World, params: Params, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Refuse a request without a required parameter, or with one that is not documented."""
    missing = [name for name in required if params.get(name) in (None, "")]
    if missing:
        raise Refused(400, f"parameter missing: {', '.join(missing)}")
    strange = sorted(set(params) - set(required) - set(optional))
    if strange and world.settings.telecmi.refuse_unknown:
        raise Refused(400, f"parameter unknown: {', '.join(strange)}")


def find_user(world: World, user_id: object) -> User | None:
    """The user with this id, in any organization."""
    if not isinstance(user_id, str):
        return None
    return next((o.users[user_id] for o in world.organizations.values() if user_id in o.users), None)


def authenticated(world: World, body: Params, optional: tuple[str, ...]) -> User:
    """The user whose token was sent. The token is checked before the other parameters."""
    if body.get("token") in (None, ""):
        raise Refused(400, "parameter missing: token")
    token = world.telecmi_tokens.get(str(body["token"]))
    user = find_user(world, token.owner) if token and token.expires_at > world.now() else None
    if user is None:
        raise Refused(404, NO_USER)
    need(world, body, ("token",), optional)
    return user


def by_secret(world: World, params: Params, *, refused: int) -> Organization:
    """The organization of `appid` and `secret`. `refused` is the code for wrong ones."""
    appid = params["appid"]
    if isinstance(appid, bool) or not isinstance(appid, int):
        raise Refused(400, "appid must be a number")
    org = world.organizations.get(appid)
    if org is None or params["secret"] != org.secret:
        raise Refused(refused, "authentication failed")
    return org


def batch(body: Params, name: str) -> list[Any]:
    """A list of 1 to 100 rows."""
    rows = body.get(name)
    if not isinstance(rows, list) or not 1 <= len(rows) <= 100:
        raise Refused(400, f"{name} must be a list of 1 to 100")
    return rows


def whole(params: Params, name: str, default: int, *, least: int = 1, most: int | None = None) -> int:
    """A parameter that is a whole number."""
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise Refused(400, f"{name} must be a whole number from {least} on")
    if most is not None and value > most:
        raise Refused(400, f"{name} must be at most {most}")
    return value


def window(world: World, body: Params) -> tuple[int, int]:
    """`start_date` and `end_date` (epoch ms); the last 24 h unless they are sent."""
    now = int(world.now() * 1000)
    return whole(body, "start_date", now - _DAY_MS, least=0), whole(body, "end_date", now, least=0)


def numbered_page(world: World, rows: Sequence[Any], page: int, size: int) -> Sequence[Any]:
    """The rows of a numbered page, by the settings."""
    settings = world.settings.telecmi
    part = numbered(
        rows,
        page,
        int(min(size, settings.page_cap or size)),
        short_page=settings.short_page,
        repeat_page=settings.repeat_page,
        past_end=settings.past_end,
    )
    if part is None:
        raise Refused(400, "no such page")
    return part


def ordered(world: World, rows: list[Any]) -> list[Any]:
    """The rows in the order of the settings."""
    match world.settings.telecmi.order:
        case "reverse":
            return rows[::-1]
        case "shuffled":
            return shuffle(world, list(rows))
        case _:
            return rows


def shuffle(world: World, rows: list[Any]) -> list[Any]:
    """The rows shuffled, differently for each request."""
    random.Random(f"{world.settings.telecmi.shuffle_seed}:{world.tick()}").shuffle(rows)
    return rows


def with_count(answer: Params, mode: str, total: int, given: int) -> Params:
    """Put the total into an answer, right or wrong as `mode` says."""
    match mode:
        case "exact":
            answer["count"] = total
        case "off_by_one":
            answer["count"] = total + 1
        case "page":
            answer["count"] = given
        case "zero":
            answer["count"] = 0
        case "string":
            answer["count"] = str(total)
    return answer
