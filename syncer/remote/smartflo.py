"""Smartflo: its calls, its envelope and its rows (docs.smartflo.tatatelebusiness.com/reference/).

`sync` and `core.cursor` decide which pages to fetch. Repeated logins lock an account out, so this module logs in
as rarely as possible.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from syncer.core.due import time_left
from syncer.core.model import Page, Row, Value
from syncer.core.normalise import canonical_id, to_e164, utc_text
from syncer.core.retry import IST, parse_ist
from syncer.errors import AuthError, BadAnswerError
from syncer.remote import rows as read
from syncer.remote.client import ApiClient
from syncer.remote.response_errors import broken, misshapen, overloaded, raise_for_status
from syncer.remote.rows import UnreadableRowError
from syncer.remote.session import Session
from syncer.remote.tokens import LONGEST_LIFE, Lockout, Token, TokenStore
from syncer.remote.wire import Answer, Call, Json, NotJson

LOGIN = "/v1/auth/login"
CONTACTS = "/v1/contacts"
GROUPS = "/v1/contact/groups"
CALLS = "/v1/call/records"

#: A token is not used for its last seconds.
_MARGIN = 120.0
#: The pause after a refused login; doubles with each refusal in a row.
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=5), timedelta(minutes=60)
#: The longest `retry_after` of the vendor that is followed.
_LONGEST_LOCKOUT = timedelta(days=1)

#: Words in a message about the token, not the request [seen: "Token has expired"].
_ABOUT_THE_TOKEN = re.compile(
    r"token|expire|unauth|authenti|authori[sz]|log ?in|credential|session|jwt|access denied|forbidden"
)
#: Words in a message about a temporary failure of the server.
_ABOUT_THE_SERVER = re.compile(
    r"server error|unavailable|maintenance|try again|time[d ]?-?out|went wrong|gateway|overload|busy"
)
_ABOUT_THE_LOGIN = re.compile(r"credential|password|e-?mail|user|locked|attempt|unauth|authenti")

#: Text columns of a contact.
_TEXTS = (
    "contact_group_id", "contact_group_name", "phone_number", "name", "email_id", "address", "company_name",
    "created_at", "updated_at",
)  # fmt: skip
#: Text columns of a call.
_CALL_TEXTS = ("call_id", "direction", "status", "client_number", "did_number", "agent_number", "agent_name")

_QUERY = re.compile(r"(https?://[^\s?#\"']*)[?#][^\s\"']*")


class Smartflo:
    """One Smartflo account, read only. Methods raise RemoteError only.

    A permanent `token` is used first, if there is one, and a login (`email`, `password`) if it is refused.
    """

    def __init__(
        self,
        api: ApiClient,
        *,
        email: str | None,
        password: str | None,
        token: str | None,
        region: str,
        tokens: TokenStore,
    ) -> None:
        self.source = api.source
        self._api = api
        self._region = region
        self._tokens = tokens
        self._session = Session(
            api,
            tokens,
            given=_bare(token) if token else None,
            credentials=(api.base_url, email or "", password or ""),
            keys="email and password",
            margin=_MARGIN,
            log_in=self._log_in,
        )

    def __repr__(self) -> str:
        return f"Smartflo({self.source})"

    @property
    def days_left(self) -> int | None:
        """Days until the password expires, from the last login; None: unknown."""
        return self._session.days_left

    # -- lists -------------------------------------------------------------------------------------

    async def fetch_contacts_page(
        self, page: int, updated_after: str | None, limit: int | None = 100
    ) -> Page:
        """A page (from 1) of contacts: all, or those updated after a timestamp, which is sent unchanged.

        With a `limit` of None, pages have the vendor's default size.
        """
        params = _paged(page, limit)
        if updated_after:
            params["updated_after"] = updated_after
        return await self._list(CONTACTS, params, self._contact_row)

    async def fetch_groups_page(self, page: int, limit: int | None = 100) -> Page:
        """A page (from 1) of the contact groups."""
        return await self._list(GROUPS, _paged(page, limit), self._group_row)

    async def fetch_calls_page(self, start_ms: int, end_ms: int, page: int, limit: int = 100) -> Page:
        """A page (from 1) of the calls that started from `start_ms` to `end_ms`, with their total.

        The request has Indian wall time in whole seconds, so the span is extended to them.
        """
        dates = {"from_date": _ist(start_ms // 1000), "to_date": _ist(-(-end_ms // 1000))}
        answer = await self._get(CALLS, _paged(page, limit) | dates)
        body, rows = read.listed(answer, "results", "count", page, source=self.source, call=CALLS)
        # Links to recordings contain a token: a secret, which may not be stored.
        safe = [_without_queries(row) for row in rows]
        total = read.count(body.get("count"))
        return read.read_page(safe, self._call_row, total=total, server_date=answer.server_date)

    async def fetch_contact(self, smartflo_id: str) -> Row | None:
        """One contact by its id, or None if a good answer does not have it.

        An answer with only other contacts proves nothing: BadAnswerError.
        """
        return await self._one(CONTACTS, "contact_id", smartflo_id, self._contact_row)

    async def fetch_group(self, group_id: str) -> Row | None:
        """One contact group by its id; see `fetch_contact`."""
        return await self._one(GROUPS, "contact_group_id", group_id, self._group_row)

    async def _one(self, name: str, param: str, key: str, read_row: read.ReadRow) -> Row | None:
        page = await self._list(name, {param: key}, read_row)
        return read.row_of(page, key, source=self.source, call=name)

    async def _list(self, name: str, params: Mapping[str, str], row: read.ReadRow) -> Page:
        answer = await self._get(name, params)
        page = int(params.get("page", 1))
        _, rows = read.listed(answer, "results", "size", page, source=self.source, call=name)
        return read.read_page(rows, row, server_date=answer.server_date)

    async def _get(self, name: str, params: Mapping[str, str]) -> Answer:
        """Make a call with the account's token."""
        other = GROUPS if name == CONTACTS else CONTACTS
        return await self._session.call(
            name,
            lambda token: self._with_token(name, token, params),
            prove=lambda token: self._with_token(other, token, _paged(1, 1)),
        )

    async def _with_token(self, name: str, token: str, params: Mapping[str, str]) -> Answer:
        if not (token.isascii() and token.isprintable()):
            text = "the token holds characters that cannot be sent; paste it again"
            raise AuthError(self.source, name, text)
        headers = {"Authorization": f"Bearer {token}"}
        return await self._api.call(
            Call(name, "GET", name, params=params, headers=headers), self._raise_for_error
        )

    # -- the token ---------------------------------------------------------------------------------

    async def login(self) -> None:
        """Log in, even if there is a good token, but not during a lockout."""
        await self._session.login(LOGIN)

    async def _log_in(self, name: str) -> Token:
        before = self._check_lockout(name)
        _, email, password = self._session.credentials
        payload = {"email": email, "password": password}
        call = Call(LOGIN, "POST", LOGIN, json=payload, unsure_once=True)
        try:
            answer = await self._api.call(call, self._raise_for_login)
        except AuthError as refusal:
            raise self._note_refusal(refusal, before) from None
        return self._read_login(answer)

    def _read_login(self, answer: Answer) -> Token:
        body = answer.body if isinstance(answer.body, dict) else {}
        text = body.get("access_token")
        if not isinstance(text, str) or not _bare(text):
            raise BadAnswerError(
                self.source, LOGIN, "the login was accepted, but its answer has no access_token"
            )
        lives = read.integer(body.get("expires_in"))
        seconds = 3600 if lives is None or not 0 < lives < 10**9 else lives
        expires_at = self._api.now() + min(timedelta(seconds=seconds), LONGEST_LIFE)
        return Token(_bare(text), expires_at, read.integer(body.get("number_of_days_left")))

    def _check_lockout(self, name: str) -> int:
        """How many logins in a row were refused. AuthError while none may be tried."""
        credentials = self._session.credentials
        for binding, longest in ((credentials[:2], _LONGEST_LOCKOUT), (credentials, _LONGEST_PAUSE)):
            lockout = self._tokens.lockout(self.source, binding)
            if lockout is None:
                continue
            if time_left(lockout.until, self._api.now(), longest):
                text = f"no login before {lockout.until:%Y-%m-%d %H:%M:%S} UTC, as the last one was refused"
                raise AuthError(self.source, name, text, locked_until=lockout.until)
            return lockout.refusals
        return 0

    def _note_refusal(self, refusal: AuthError, before: int) -> AuthError:
        """Store until when no login may be tried, also for other processes."""
        now = self._api.now()
        until = refusal.locked_until
        binding: tuple[str, ...] = self._session.credentials[:2]
        if until is None or until <= now:
            # This pause is our own: a corrected password may be tried at once.
            until, binding = now + _pause(before), self._session.credentials
        until = min(until, now + _LONGEST_LOCKOUT)
        self._tokens.lock(self.source, Lockout(until, before + 1), binding)
        text = f"{refusal.text}; no login is tried before {until:%Y-%m-%d %H:%M:%S} UTC"
        return AuthError(self.source, LOGIN, text, locked_until=until)

    # -- the envelope ------------------------------------------------------------------------------

    def _raise_for_error(self, call: Call, answer: Answer) -> None:
        """Raise unless the answer is a success: 2xx, an object, and `success` not false."""
        body = answer.body
        said_no = isinstance(body, dict) and _failed(body)
        if said_no and answer.status < 500:
            if _overloaded(answer):
                raise overloaded(self.source, call, answer)
            if _ABOUT_THE_TOKEN.search(_message(body)):
                raise AuthError(
                    self.source, call.name, "the token was refused or has expired", code=answer.status
                )
        raise_for_status(self.source, call, answer)
        if not isinstance(body, dict):
            raise misshapen(self.source, call, "an answer that is not a JSON object")
        if said_no:
            if _ABOUT_THE_SERVER.search(_message(body)) or (read.integer(body.get("code")) or 0) >= 500:
                raise broken(self.source, call, "the vendor says that it failed", answer.retry_after)
            raise misshapen(self.source, call, f"success is false, with HTTP status {answer.status}")

    def _raise_for_login(self, call: Call, answer: Answer) -> None:
        """Like `_raise_for_error`, for a login: a refusal may have any HTTP status [not documented]."""
        body = answer.body
        if isinstance(body, dict):
            said_no = _failed(body) or body.get("login_failed_count") is not None
            locked_until = _locked_until(body)
            if locked_until is not None and (said_no or not answer.ok):
                text = "the vendor locked this login out"
                raise AuthError(self.source, call.name, text, locked_until=locked_until)
            if _overloaded(answer):
                raise overloaded(self.source, call, answer)
            down = answer.status >= 500 or answer.status in (408, 425)
            if down:  # a refusal may be worded like a failure of the server
                said_no = said_no and bool(_ABOUT_THE_LOGIN.search(_message(body)))
            if said_no or (400 <= answer.status < 500 and not down):
                raise AuthError(self.source, call.name, "the login was refused")
        raise_for_status(self.source, call, answer)
        if not isinstance(body, dict):
            raise misshapen(self.source, call, "an answer that is not a JSON object")

    # -- rows --------------------------------------------------------------------------------------

    def _contact_row(self, row: Mapping[str, Json], raw: str) -> Row:
        key = read.identity(row, "id")
        values = read.texts(row, _TEXTS)
        custom, group = row.get("custom_fields"), values["contact_group_id"]
        values |= {
            "smartflo_id": key,
            "contact_group_id": canonical_id(group) if isinstance(group, str) else group,
            "phone_e164": to_e164(read.text(row.get("phone_number")), self._region),
            "custom_fields": None if custom in (None, "", {}) else read.raw_json(custom),
        }
        return self._stamped(row, Row(key, values, raw))

    def _call_row(self, row: Mapping[str, Json], raw: str) -> Row:
        key = read.identity(row, "id")
        started = parse_ist(f"{read.text(row.get('date'))} {read.text(row.get('time'))}")
        if started is None:
            raise UnreadableRowError("date and time cannot be read")
        values = read.texts(row, _CALL_TEXTS)
        values |= {
            "phone_e164": to_e164(values["client_number"], self._region),
            "call_duration": read.integer(row.get("call_duration")),
            "answered_seconds": read.integer(row.get("answered_seconds")),
            "voicemail": int(read.truthy(row.get("voicemail_recording"))),
            "started_at": utc_text(started),
        }
        return Row(key, values, raw)

    def _group_row(self, row: Mapping[str, Json], raw: str) -> Row:
        key = read.identity(row, "id")
        values: dict[str, Value] = {
            "group_id": key,
            "name": read.text(row.get("name")),
            "description": read.text(row.get("description")),
        }
        return self._stamped(row, Row(key, values, raw))

    def _stamped(self, row: Mapping[str, Json], read_so_far: Row) -> Row:
        deleted_at, doubt = _deletion(row.get("deleted_at"))
        stamp = read.stamp(row.get("updated_at"))
        return read_so_far._replace(deleted_at=deleted_at, stamp=stamp, doubt=doubt)


def _ist(seconds: int) -> str:
    """Indian wall time of epoch seconds."""
    return datetime.fromtimestamp(seconds, IST).strftime("%Y-%m-%d %H:%M:%S")


def _without_queries(value: Json) -> Json:
    """The same value with the query of each web address removed."""
    match value:
        case str():
            return _QUERY.sub(r"\1", value)
        case list():
            return [_without_queries(one) for one in value]
        case dict():
            return {name: _without_queries(one) for name, one in value.items()}
        case _:
            return value


def _paged(page: int, limit: int | None) -> dict[str, str]:
    return {"page": str(page)} | ({} if limit is None else {"limit": str(limit)})


def _deletion(value: Json) -> tuple[str | None, str]:
    """When the row was deleted, and what is doubtful about it.

    The zero of a clock (year 1, 1900, 1970) means never. An unreadable value deletes nothing.
    """
    at = read.stamp(value)
    if at is not None:
        return at if at >= "2000" else None, ""
    if not read.truthy(value) or (isinstance(value, str) and not value.strip(" 0-:.TZ")):
        return None, ""
    return None, "deleted_at is in an unknown form, so the rows count as not deleted"


def _bare(token: str) -> str:
    """A pasted token without the word `Bearer`."""
    return re.sub(r"^\s*bearer\s+", "", token, flags=re.IGNORECASE).strip()


def _failed(body: Mapping[str, Json]) -> bool:
    """Whether `success` is false; the vendor also writes the text "false"."""
    return "success" in body and not read.truthy(body["success"])


def _message(body: Json | NotJson) -> str:
    if not isinstance(body, dict):
        return ""
    return (read.text(body.get("message") or body.get("msg") or body.get("error")) or "").lower()


def _overloaded(answer: Answer) -> bool:
    return answer.status == 429 or "too many request" in _message(answer.body)


def _locked_until(body: Mapping[str, Json]) -> datetime | None:
    value = body.get("retry_after")
    return parse_ist(value) if isinstance(value, str) else None


def _pause(before: int) -> timedelta:
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << min(before, 10)))
