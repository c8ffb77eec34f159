"""TeleCMI's documented calls over the world's state: logins and both contact lists.

By the vendor's documentation (`doc.telecmi.com/chub/docs/`), and by `settings.TelecmiSettings` where that does not
say. `app` does HTTP and faults, `directory` applies writes, `voicemail` has voicemails, `calls` call records.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from syncer.sandbox import calls, directory
from syncer.sandbox.answer import Answer, Cursor, Refused
from syncer.sandbox.params import (
    NO_USER,
    PAGE,
    Params,
    authenticated,
    batch,
    find_user,
    need,
    numbered_page,
    ordered,
    whole,
    with_count,
)
from syncer.sandbox.state import FIELDS, Contact, Organization, Token, User, phone_key
from syncer.sandbox.voicemail import play, voicemail

if TYPE_CHECKING:
    from syncer.sandbox.world import World


def login(world: World, body: Params) -> Params:
    """`POST /v2/user/login` (page `login-token`)."""
    need(world, body, ("id", "password"), ())
    user = find_user(world, body["id"])
    if user is None or body["password"] != user.password:
        raise Refused(404, "user id or password is wrong")
    settings = world.settings.telecmi
    if settings.login_ends_old_tokens:
        for token in world.telecmi_tokens.values():
            if token.owner == user.user_id and token.kind == "login":
                token.expires_at = min(token.expires_at, world.now())
    value = world.new_token("tcm")
    world.telecmi_tokens[value] = Token(value, user.user_id, world.now() + settings.token_ttl_s)
    agent = {"category": "agent", "id": user.user_id, "inet_no": user.app_id, "name": user.name}
    return {"code": 200, settings.message_key: "Login success", "token": value, "agent": agent}


def user_contacts(world: World, body: Params) -> Params:
    """`POST /v2/user/contact/get` (page `agent-get-contact`, v2)."""
    user = authenticated(world, body, ("page", "limit", "name"))
    page = whole(body, "page", 1)
    size = whole(body, "limit", PAGE, most=PAGE)
    rows = _user_rows(world, user)
    if name := body.get("name"):
        rows = [row for row in rows if str(name).lower() in str(row["name"]).lower()]
    part = numbered_page(world, ordered(world, rows), page, size)
    return with_count(
        {"contacts": [_decorated(world, row) for row in part], "code": 200},
        world.settings.telecmi.count_mode,
        len(rows),
        len(part),
    )


def contacts(world: World, body: Params) -> Params:
    """`POST /v3/contact/get` (page `agent-get-contact`, v3): cursor pages of the directory."""
    user = authenticated(world, body, ("contact_id", "limit", "page_state"))
    settings = world.settings.telecmi
    size = whole(body, "limit", 10, most=100)
    org = world.org(user.app_id)
    wanted = body.get("contact_id")
    if wanted is not None and settings.by_id != "ignored":
        return _by_id(world, org, wanted)

    sent = body.get("page_state") or None
    if sent is None:
        org.begin_listing()
        cursor = Cursor(int(world.now() * 1000), 1, 0)
    else:
        cursor = Cursor.read(sent)
        if (
            settings.cursor_ttl_s is not None
            and world.now() * 1000 - cursor.began > settings.cursor_ttl_s * 1000
        ):
            raise Refused(400, "page_state has expired")
    rows = ordered(world, org.visible(world.now(), listing=True))
    start = len(rows) if cursor.tail else _start(world, rows, cursor)
    take = int(min(size, settings.page_cap or size))
    if cursor.page == settings.short_page and take > 1:
        take -= 1
    part = rows[start : start + take]
    answer: Params = {"code": 200, "contacts": [_contact_row(world, c) for c in part]}
    with_count(answer, settings.count_mode, len(rows), len(part))
    _with_cursor(world, answer, cursor, sent, rows, start, len(part), take)
    return answer


def _start(world: World, rows: Sequence[Contact], cursor: Cursor) -> int:
    """Where a cursor continues in the current rows."""
    order = world.settings.telecmi.order
    if cursor.after is None or order == "shuffled":
        return cursor.offset
    if order == "reverse":
        return bisect_right(rows, -cursor.after, key=lambda c: -c.seq)
    return bisect_right(rows, cursor.after, key=lambda c: c.seq)


def _with_cursor(
    world: World,
    answer: Params,
    cursor: Cursor,
    sent: object,
    rows: Sequence[Contact],
    start: int,
    given: int,
    take: int,
) -> None:
    """Add the next cursor, or the end of the listing, as the settings say."""
    settings = world.settings.telecmi
    keyset = settings.cursor_kind == "keyset" and settings.order != "shuffled"

    def at(end: int, page: int, *, again: bool = False, tail: bool = False) -> str:
        after = rows[end - 1].seq if keyset and 0 < end <= len(rows) else None
        return Cursor(cursor.began, page, end, after, again, tail).text()

    end = start + given
    if cursor.page == settings.repeat_page and not cursor.again and given:
        answer["page_state"] = at(start, cursor.page, again=True)
    elif end < len(rows) and not cursor.tail:
        answer["page_state"] = at(end, cursor.page + 1)
    elif settings.cursor_loop:
        answer["page_state"] = at(min(take, len(rows)), 2)
    elif settings.cursor_then_empty and not cursor.tail:
        answer["page_state"] = at(len(rows), cursor.page + 1, tail=True)
    else:
        match settings.cursor_end:
            case "null":
                answer["page_state"] = None
            case "empty":
                answer["page_state"] = ""
            case "same":
                answer["page_state"] = sent or at(len(rows), 1, tail=True)
            case _:
                answer.pop("page_state", None)


def _by_id(world: World, org: Organization, wanted: object) -> Params:
    settings = world.settings.telecmi
    if settings.by_id == "500":
        raise Refused(500, "Internal server error")
    found = [c for c in org.visible(world.now(), listing=False) if c.contact_id == wanted]
    if not found and settings.by_id == "404":
        raise Refused(404, "contact not found")
    answer: Params = {"code": 200, "contacts": [_contact_row(world, c) for c in found]}
    return with_count(answer, settings.count_mode, len(found), len(found))


def add(world: World, body: Params) -> Params:
    """`POST /v3/contact/add` (page `agent-add-contact`): no ids come back."""
    org = world.org(authenticated(world, body, ("contacts",)).app_id)
    directory.add(world, org, batch(body, "contacts"))
    return {"code": 200, world.settings.telecmi.message_key: "Contact added successfully"}


def update(world: World, body: Params) -> Params:
    """`POST /v3/contact/update` (page `agent-update-contact`): only the named fields change."""
    org = world.org(authenticated(world, body, ("contacts",)).app_id)
    directory.update(world, org, batch(body, "contacts"))
    return {"code": 200, world.settings.telecmi.message_key: "Contact updated successfully"}


def delete(world: World, body: Params) -> Params:
    """`POST /v3/contact/delete` (page `agent-delete-contact`)."""
    org = world.org(authenticated(world, body, ("contact_ids",)).app_id)
    directory.delete(world, org, batch(body, "contact_ids"))
    return {"code": 200, world.settings.telecmi.message_key: "Contact deleted successfully"}


#: (method, path) of every call, with its function.
CALLS: dict[tuple[str, str], Callable[[World, Params], Answer | Params]] = {
    ("POST", "/v2/user/login"): login,
    ("POST", "/v2/user/contact/get"): user_contacts,
    ("POST", "/v3/contact/get"): contacts,
    ("POST", "/v3/contact/add"): add,
    ("POST", "/v3/contact/update"): update,
    ("POST", "/v3/contact/delete"): delete,
    ("POST", "/v2/voicemail"): voicemail,
    ("GET", "/v2/play"): play,
    **{("POST", path): answers for path, answers in calls.LISTS.items()},
}
#: The calls that change the directory.
WRITES = frozenset({"/v3/contact/add", "/v3/contact/update", "/v3/contact/delete"})
#: The key of the rows of each list call.
ROWS = {
    "/v2/user/contact/get": "contacts",
    "/v3/contact/get": "contacts",
    "/v2/voicemail": "voicemail",
    **dict.fromkeys(calls.LISTS, "cdr"),
}


def bad_credential(path: str) -> Refused:
    """How a call refuses its credential: the same number means different things per call."""
    match path:
        case "/v2/voicemail" | "/v2/answered" | "/v2/missed" | "/v2/out_answered" | "/v2/out_missed":
            return Refused(401, "authentication failed")
        case "/v2/play":
            return Refused(407, "authentication failed")
        case "/v2/user/login":
            return Refused(404, "user id or password is wrong")
        case _:
            return Refused(404, NO_USER)


def refusal(world: World, refused: Refused) -> Answer:
    """An error, in the envelope that the settings say."""
    settings = world.settings.telecmi
    body: Params = {"code": refused.code}
    match settings.message_shape:
        case "text":
            body[settings.message_key] = refused.text
        case "list":
            body[settings.message_key] = [refused.text]
        case "object":
            body[settings.message_key] = {"error": refused.text}
    return Answer(body, refused.code if settings.http_status_real else 200)


def account(world: World, params: Params) -> str:
    """The account whose calls a request counts as."""
    token = world.telecmi_tokens.get(str(params.get("token")))
    owner = token.owner if token else str(params.get("id", params.get("appid", "")))
    return owner.rpartition("_")[2]


def page_of(params: Params) -> int:
    """The number of the requested page, also by cursor."""
    if state := params.get("page_state"):
        try:
            return Cursor.read(state).page
        except Refused:
            return 0
    page = params.get("page", 1)
    return page if isinstance(page, int) else 0


def _user_rows(world: World, user: User) -> list[Params]:
    """A user's list. If both lists are one store, it also has the whole directory."""
    rows = list(user.contacts)
    if world.settings.telecmi.shared_store:
        there = {phone_key(row["mobile"]) for row in rows}
        for contact in world.org(user.app_id).visible(world.now(), listing=True):
            fields = contact.shown(world.now())
            key = phone_key(fields.get("phone_no"))
            if key and key not in there:
                name = f"{fields.get('first_name') or ''} {fields.get('last_name') or ''}".strip()
                row = {"agent": user.user_id, "inet_no": user.app_id, "name": name, "mobile": int(key[2:])}
                rows.append({**row, "email": fields.get("email_id") or "", "time": int(world.now() * 1000)})
    return rows


def _contact_row(world: World, contact: Contact) -> Params:
    fields = contact.shown(world.now())
    row: Params = {"contact_id": contact.contact_id}
    for name in FIELDS:
        value = fields.get(name)
        if value in (None, ""):
            match world.settings.telecmi.empty_shown:
                case "absent":
                    continue
                case "null":
                    value = None
                case "empty":
                    value = ""
                case _:
                    if name not in fields:
                        continue
        row[name] = value
    return _decorated(world, row)


def _decorated(world: World, row: Params) -> Params:
    settings = world.settings.telecmi
    row = {**row, **settings.extra_fields}
    if settings.volatile_field:
        row[settings.volatile_field] = f"{int(world.now() * 1000)}-{world.tick()}"
    return row
