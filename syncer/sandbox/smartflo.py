"""Smartflo's documented calls over the world's state: login, contacts, contact groups, call records.

By the vendor's documentation (`docs.smartflo.tatatelebusiness.com/reference/`), and by `settings.SmartfloSettings`
where that does not say. `app` does HTTP and faults.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from syncer.sandbox.answer import Answer, numbered
from syncer.sandbox.base import IST
from syncer.sandbox.params import with_count
from syncer.sandbox.state import SmartfloContact, SmartfloGroup, Token

if TYPE_CHECKING:
    from syncer.sandbox.world import World

_STATUS = {"http400": 400, "http401": 401, "http403": 403, "http422": 422, "ok_false": 200}

Params = dict[str, Any]
Row = TypeVar("Row", SmartfloContact, SmartfloGroup)


class _Refused(Exception):
    def __init__(self, how: str, text: str, extra: Mapping[str, Any] | None = None) -> None:
        self.answer = Answer({"success": False, "message": text, **(extra or {})}, _STATUS[how])
        super().__init__(text)


def login(world: World, params: Params, _authorization: str | None) -> Params:
    """`POST /v1/auth/login` (page `generate-a-token`)."""
    settings, account = world.settings.smartflo, world.smartflo
    for name in ("email", "password"):
        if not isinstance(params.get(name), str) or not params[name]:
            raise _Refused(settings.bad_request_as, f"The {name} field is required.")
    if world.now() < account.locked_until:
        raise _Refused(settings.login_refused_as, "Account locked: too many failed logins.", _locked(world))
    if account.locked_until:
        account.locked_until, account.failed_logins = 0.0, 0
    if params["email"] != account.email or params["password"] != account.password:
        account.failed_logins += 1
        extra: Params = {}
        if settings.login_failed_count:
            extra["login_failed_count"] = account.failed_logins
        if settings.lockout_after is not None and account.failed_logins >= settings.lockout_after:
            account.locked_until = world.now() + settings.lockout_s
            extra |= _locked(world)
        raise _Refused(settings.login_refused_as, "Invalid login id or password.", extra)
    account.failed_logins = 0
    if settings.login_ends_old_tokens:
        for token in world.smartflo_tokens.values():
            if token.kind == "login":
                token.expires_at = min(token.expires_at, world.now())
    value = world.new_token("sf")
    world.smartflo_tokens[value] = Token(value, account.email, world.now() + settings.expires_in)
    answer: Params = {"success": True, "access_token": value, "token_type": "bearer"}
    answer["expires_in"] = int(settings.expires_in)
    if settings.days_left is not None:
        answer["number_of_days_left"] = int(settings.days_left)
    return answer


def _locked(world: World) -> Params:
    if not world.settings.smartflo.lockout_says_when:
        return {}
    until = datetime.fromtimestamp(world.smartflo.locked_until, IST)
    return {"retry_after": until.strftime("%Y-%m-%d %H:%M:%S")}


def contacts(world: World, params: Params, authorization: str | None) -> Params:
    """`GET /v1/contacts` (page `v1contacts`)."""
    _authenticate(world, authorization)
    settings = world.settings.smartflo
    _known(world, params, ("contact_id", "contact_group_id", "updated_after", "limit", "page"))
    size = _size(world, params)
    now = world.now()
    found = [
        c
        for c in world.smartflo.contacts.values()
        if c.visible_at <= now and (c.deleted_at is None or settings.list_deleted)
    ]
    if wanted := params.get("contact_id"):
        found = [c for c in found if str(c.id) == wanted]
    if wanted := params.get("contact_group_id"):
        found = [c for c in found if str(c.fields["contact_group_id"]) == wanted]
    found = _updated(world, found, params)
    part = _page(world, found, params, size)
    return _envelope(world, params, size, [row_of(c, settings.stamp_offset) for c in part])


def groups(world: World, params: Params, authorization: str | None) -> Params:
    """`GET /v1/contact/groups` (page `v1contactgroups`); `limit` is 1 to 100."""
    _authenticate(world, authorization)
    settings = world.settings.smartflo
    _known(world, params, ("contact_group_id", "updated_after", "limit", "page"))
    size = _whole(world, params, "limit", int(min(settings.default_limit, 100)))
    if size > 100:
        raise _Refused(settings.bad_request_as, "The limit must be between 1 and 100.")
    found = [g for g in world.smartflo.groups.values() if g.deleted_at is None or settings.list_deleted]
    if wanted := params.get("contact_group_id"):
        found = [g for g in found if str(g.id) == wanted]
    found = _updated(world, found, params)
    part = _page(world, found, params, size)
    return _envelope(world, params, size, [row_of(g, settings.group_stamp_offset) for g in part])


def call_records(world: World, params: Params, authorization: str | None) -> Params:
    """`GET /v1/call/records`: newest first. The dates are IST wall time; by default all calls are listed."""
    _authenticate(world, authorization)
    settings = world.settings.smartflo
    _known(world, params, ("from_date", "to_date", "page", "limit"))
    size = _size(world, params)
    start, end = (
        _wall_time(world, params, name, default) for name, default in (("from_date", 0), ("to_date", 10**11))
    )
    found = world.smartflo.calls.between(start * 1000, end * 1000 + 999, world.now(), settings.calls_late_s)
    part = _page(world, found[::-1], params, size)
    rows = [_typed(call.row, settings.calls_as) for call in part]
    answer = _envelope(world, params, size, rows)
    return with_count(answer, settings.calls_count_mode, len(found), len(part))


def _wall_time(world: World, params: Params, name: str, default: int) -> int:
    """Epoch seconds of a `YYYY-MM-DD HH:MM:SS` in IST."""
    if not params.get(name):
        return default
    try:
        return int(datetime.strptime(f"{params[name]} +0530", "%Y-%m-%d %H:%M:%S %z").timestamp())
    except ValueError:
        raise _Refused(world.settings.smartflo.bad_request_as, f"The {name} is not a time.") from None


def _typed(row: Params, how: str) -> Params:
    """A copy of the row, with durations as text if the settings say so."""
    if how == "strings":
        return row | {name: str(row[name]) for name in ("call_duration", "answered_seconds")}
    return dict(row)


#: (method, path) of every call, with its function.
CALLS: dict[tuple[str, str], Callable[[World, Params, str | None], Params]] = {
    ("POST", "/v1/auth/login"): login,
    ("GET", "/v1/contacts"): contacts,
    ("GET", "/v1/contact/groups"): groups,
    ("GET", "/v1/call/records"): call_records,
}


def call(world: World, method: str, path: str, params: Params, authorization: str | None) -> Answer:
    """The answer to a documented call."""
    try:
        return Answer(CALLS[method, path](world, params, authorization))
    except _Refused as refused:
        return refused.answer


def bad_credential(world: World, path: str) -> Answer:
    """How a call refuses its credential."""
    settings = world.settings.smartflo
    if path == "/v1/auth/login":
        return _Refused(settings.login_refused_as, "Invalid login id or password.").answer
    return _Refused(settings.expired_as, "Token is invalid").answer


def page_of(params: Mapping[str, Any]) -> int:
    """The number of the requested page."""
    page = str(params.get("page", "1"))
    return int(page) if page.isdecimal() else 0


def stamp(at: float | None, offset: str) -> str | None:
    """Epoch seconds as the vendor writes them: `2024-05-08T12:45:03+0000`."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, IST if offset == "+0530" else UTC).strftime("%Y-%m-%dT%H:%M:%S%z")


def row_of(item: SmartfloContact | SmartfloGroup, offset: str) -> Params:
    """A contact or a group as a row of the answer, before the settings for rows are applied."""
    stamps = {name: stamp(getattr(item, name), offset) for name in ("created_at", "updated_at", "deleted_at")}
    return {"id": item.id, **item.fields, **stamps}


def _authenticate(world: World, authorization: str | None) -> None:
    scheme, _, value = (authorization or "").partition(" ")
    token = world.smartflo_tokens.get(value) if scheme.lower() == "bearer" else None
    if token is None:
        raise _Refused(world.settings.smartflo.expired_as, "Token is invalid")
    if token.expires_at <= world.now():
        raise _Refused(world.settings.smartflo.expired_as, "Token has expired")


def _known(world: World, params: Params, names: tuple[str, ...]) -> None:
    strange = sorted(set(params) - set(names))
    if strange and world.settings.smartflo.refuse_unknown:
        raise _Refused(world.settings.smartflo.bad_request_as, f"The {strange[0]} field is not known.")


def _whole(world: World, params: Params, name: str, default: int) -> int:
    value = str(params.get(name, default))
    if not value.isdecimal() or int(value) < 1:
        raise _Refused(world.settings.smartflo.bad_request_as, f"The {name} must be a number from 1 on.")
    return int(value)


def _size(world: World, params: Params) -> int:
    """The `limit` of contacts and call records."""
    settings = world.settings.smartflo
    size = _whole(world, params, "limit", int(settings.default_limit))
    if size > settings.max_limit:
        if settings.over_limit == "refused":
            raise _Refused(settings.bad_request_as, "The limit may not be greater than the greatest one.")
        size = int(settings.max_limit)
    return size


def _updated(world: World, rows: list[Row], params: Params) -> list[Row]:
    """The rows that match `updated_after`. A setting says in which zone it is read."""
    settings = world.settings.smartflo
    text = params.get("updated_after")
    if not text or not settings.updated_after_honoured:
        return rows
    try:
        at = datetime.fromisoformat(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text))
    except ValueError:
        if settings.bad_updated_after == "ignored":
            return rows
        raise _Refused(settings.bad_request_as, "The updated_after is not a time.") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=IST if settings.updated_after_zone == "ist" else UTC)
    after = at.timestamp()
    # In whole seconds, as the stamps are written.
    if settings.updated_after_op == "gt":
        return [row for row in rows if int(row.updated_at) > after]
    return [row for row in rows if int(row.updated_at) >= after]


def _page(world: World, rows: list[Any], params: Params, size: int) -> list[Any]:
    settings = world.settings.smartflo
    match settings.order:
        case "reverse":
            rows = rows[::-1]
        case "updated":
            rows = sorted(rows, key=lambda row: (row.updated_at, row.id))
        case "shuffled":
            random.Random(f"{settings.shuffle_seed}:{world.tick()}").shuffle(rows)
    part = numbered(
        rows,
        _whole(world, params, "page", 1),
        int(min(size, settings.page_cap or size)),
        short_page=settings.short_page,
        repeat_page=settings.repeat_page,
        past_end=settings.past_end,
    )
    if part is None:
        raise _Refused(settings.bad_request_as, "No such page.")
    return list(part)


def _envelope(world: World, params: Params, size: int, rows: list[Params]) -> Params:
    settings = world.settings.smartflo
    for row in rows:
        if settings.ids_as_strings:
            for name in ("id", "contact_group_id"):
                if row.get(name) is not None:
                    row[name] = str(row[name])
        row.update(settings.extra_fields)
        if settings.volatile_field:
            row[settings.volatile_field] = f"{int(world.now() * 1000)}-{world.tick()}"
    return {"page": page_of(params), "size": len(rows), "limit": size, "results": rows}
