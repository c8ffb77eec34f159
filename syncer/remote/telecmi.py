"""TeleCMI: its calls, its envelope and its rows (facts and sources: doc.telecmi.com/chub/docs/).

`sync` and `core.listing` decide which pages to fetch and what they prove.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from syncer.core.model import FIELDS, Note, Page, Row, Value
from syncer.core.normalise import to_e164, utc_text, written_like
from syncer.core.received import StampSource, read_stamps, read_time, received_ms
from syncer.errors import AuthError, BadAnswerError, PermissionDeniedError, RejectedError
from syncer.remote import rows as read
from syncer.remote.client import ApiClient
from syncer.remote.error_text import named_field, with_vendor_text
from syncer.remote.response_errors import broken, misshapen, overloaded, raise_for_status
from syncer.remote.rows import Announce, UnreadableRowError
from syncer.remote.session import Session
from syncer.remote.telecmi_play import PLAY, check_recording, recording_call
from syncer.remote.tokens import LONGEST_LIFE, Token, TokenStore
from syncer.remote.wire import Answer, Call, Json, Sink

LOGIN = "/v2/user/login"
DIRECTORY = "/v3/contact/get"
USER_CONTACTS = "/v2/user/contact/get"
VOICEMAIL = "/v2/voicemail"
#: The lists of call records, by the `kind` of their rows.
CALLS: Mapping[str, str] = {
    kind: f"/v2/{kind}" for kind in ("answered", "missed", "out_answered", "out_missed")
}

#: A token lives 30 days (`LONGEST_LIFE`) [doc login-token]; it is renewed an hour early.
_MARGIN = 3600.0

#: Codes that mean "bad credentials", by call: elsewhere the same number means something else.
_AUTH_CODES: Mapping[str, frozenset[int]] = {
    LOGIN: frozenset({400, 404}),
    USER_CONTACTS: frozenset({404}),
    DIRECTORY: frozenset({404}),
    "/v3/contact/add": frozenset({404}),
    "/v3/contact/update": frozenset({404}),
    "/v3/contact/delete": frozenset({404}),
    VOICEMAIL: frozenset({401}),
    **dict.fromkeys(CALLS.values(), frozenset({401})),
    PLAY: frozenset({407}),
}
#: Keys that may have details of a refusal; not documented.
_DETAILS = ("error", "errors", "details", "field")
#: Text columns of a user's contact.
_USER_TEXTS = ("agent", "inet_no", "name", "tag", "status", "info", "email")
_AUTH_ANYWHERE = frozenset({401, 403})

_OURS = {
    400: "the vendor found the request or a value in it invalid (400)",
    404: "the vendor knows no such record (404)",
    409: "the vendor has this already, a duplicate within the organization (409)",
}


class Telecmi:
    """One TeleCMI account. Methods raise RemoteError only; see `errors` for how to handle it.

    Contact calls use `token` first, if there is one, and a login (`user_id`, `password`) if it is refused.
    Voicemail uses `app_id` and `secret`.
    """

    def __init__(
        self,
        api: ApiClient,
        *,
        app_id: int | str | None,
        secret: str | None,
        user_id: str | None,
        password: str | None,
        token: str | None,
        region: str,
        tokens: TokenStore,
    ) -> None:
        self.source = api.source
        self._api = api
        self._app_id = read.integer_or_text(app_id)
        self._secret = secret
        self._region = region
        self._id_sample = ""  #: the last contact_id in the directory's spelling
        self._session = Session(
            api,
            tokens,
            given=token or None,
            credentials=(api.base_url, user_id or "", password or ""),
            keys="user_id and password",
            margin=_MARGIN,
            log_in=self._log_in,
        )

    def __repr__(self) -> str:
        return f"Telecmi({self.source})"

    # -- lists -------------------------------------------------------------------------------------

    async def fetch_directory_page(
        self, cursor: str | None, limit: int = 100, announce: Announce | None = None
    ) -> Page:
        """A page of the organization's directory (v3, at most 100 rows). `cursor` None starts.

        `announce` is awaited with the next cursor, if there are rows, before they are parsed.
        """
        payload: dict[str, object] = {"limit": limit}
        if cursor:
            payload["page_state"] = cursor
        answer = await self._contact_call(DIRECTORY, payload)
        body, rows = self._list(answer, DIRECTORY, "contacts")
        following = self._cursor(body.get("page_state"))
        if announce and following and rows:
            await announce(following)
        total = read.count(body.get("count"))
        return read.read_page(
            rows, self._directory_row, total=total, cursor=following, server_date=answer.server_date
        )

    async def fetch_contact(self, contact_id: str) -> Row | None:
        """One contact of the directory by its id, or None if a good answer does not have it.

        An answer with only other contacts proves nothing (BadAnswerError). If a listing accepts the token, a 404 is
        about the contact: RejectedError with code 404.
        """
        asked = {"contact_id": written_like(contact_id, self._id_sample)}
        answer = await self._contact_call(DIRECTORY, asked, of_record=True)
        _, rows = self._list(answer, DIRECTORY, "contacts")
        page = read.read_page(rows, self._directory_row)
        return read.row_of(page, contact_id, source=self.source, call=DIRECTORY)

    async def fetch_user_contacts_page(self, page: int) -> Page:
        """A page (from 1) of the user's own list (v2, ten rows)."""
        answer = await self._contact_call(USER_CONTACTS, {"page": page, "limit": 10})
        body, rows = self._list(answer, USER_CONTACTS, "contacts", page)
        total = read.count(body.get("count"))
        return read.read_page(rows, self._user_row, total=total, server_date=answer.server_date)

    async def fetch_voicemails_page(
        self, start_ms: int, end_ms: int, page: int, clock: StampSource = StampSource.UNKNOWN
    ) -> Page:
        """A page (from 1, ten rows) of the voicemails that the vendor dates from `start_ms` to `end_ms`.

        `clock` is the timestamp that `received_at` is taken from.
        """
        answer = await self._with_secret(VOICEMAIL, start_ms, end_ms, page)
        body, rows = self._list(answer, VOICEMAIL, "voicemail", page)
        total = read.count(body.get("count"))
        seen = round((answer.server_date or self._api.now()).timestamp() * 1000)
        row = partial(self._voicemail_row, clock, seen)
        return read.read_page(rows, row, total=total, server_date=answer.server_date)

    async def fetch_calls_page(self, kind: str, start_ms: int, end_ms: int, page: int) -> Page:
        """A page (from 1, ten rows or up to twenty) of one of `CALLS`, started from `start_ms` to `end_ms`."""
        answer = await self._with_secret(CALLS[kind], start_ms, end_ms, page, limit=20)
        body, rows = self._list(answer, CALLS[kind], "cdr", page)
        total = read.count(body.get("count"))
        row = partial(self._call_row, kind.startswith("out_"))
        return read.read_page(rows, row, total=total, server_date=answer.server_date)

    async def fetch_recording(self, voicename: str, sink: Sink) -> None:
        """Let `sink` take a voicemail's recording. RejectedError with code 502 if it is not published."""
        app_id, secret = self._app(PLAY)
        call = recording_call(app_id, secret, voicename, sink)
        await self._api.call(call, check_recording(self.source, self._raise_for_error, sink))

    async def _with_secret(self, name: str, start_ms: int, end_ms: int, page: int, **more: object) -> Answer:
        app_id, secret = self._app(name)
        payload = {
            "appid": app_id,
            "secret": secret,
            "start_date": start_ms,
            "end_date": end_ms,
            "page": page,
            **more,
        }
        return await self._api.call(Call(name, "POST", name, json=payload), self._raise_for_error)

    def _app(self, name: str) -> tuple[int | str, str]:
        """The app's id and secret. AuthError if they are not set."""
        if self._app_id is None or not self._secret:
            raise AuthError(self.source, name, "app_id and secret are needed for this call; set both")
        return self._app_id, self._secret

    # -- writes ------------------------------------------------------------------------------------

    async def add(self, contacts: Sequence[Mapping[str, str]]) -> None:
        """Add 1..100 contacts (`phone_no`, `first_name`, `last_name` required). No ids come back."""
        await self._contact_call("/v3/contact/add", {"contacts": [dict(one) for one in contacts]}, write=True)

    async def update(self, contacts: Sequence[Mapping[str, str]]) -> None:
        """Update 1..100 contacts: each its `contact_id` and the fields that change."""
        rows = [{**one, "contact_id": written_like(one["contact_id"], self._id_sample)} for one in contacts]
        await self._contact_call("/v3/contact/update", {"contacts": rows}, write=True)

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete 1..100 contacts by `contact_id`."""
        written = [written_like(one, self._id_sample) for one in ids]
        await self._contact_call("/v3/contact/delete", {"contact_ids": written}, write=True)

    # -- the token ---------------------------------------------------------------------------------

    async def login(self) -> None:
        """Log in, even if there is a good token. AuthError if refused."""
        await self._session.login(LOGIN)

    async def _contact_call(
        self, name: str, payload: Mapping[str, object], *, write: bool = False, of_record: bool = False
    ) -> Answer:
        """Make a call with the user's token. With `of_record`, a 404 for a good token is about the contact."""

        async def send(token: str) -> Answer:
            return await self._with_token(name, token, payload, write)

        async def prove(token: str) -> Answer:
            """The cheapest other call that shows whether the token is accepted."""
            if name != DIRECTORY or of_record:
                return await self._with_token(DIRECTORY, token, {"limit": 1}, False)
            return await self._with_token(USER_CONTACTS, token, {"page": 1, "limit": 1}, False)

        try:
            return await self._session.call(name, send, prove, of_record=404 if of_record else None)
        except PermissionDeniedError as refusal:
            if of_record and refusal.code == 404:
                raise RejectedError(self.source, name, _OURS[404], code=404) from None
            raise

    async def _with_token(self, name: str, token: str, payload: Mapping[str, object], write: bool) -> Answer:
        call = Call(name, "POST", name, json={"token": token, **payload}, write=write)
        return await self._api.call(call, self._raise_for_error)

    async def _log_in(self, name: str) -> Token:
        del name
        _, user_id, password = self._session.credentials
        payload = {"id": user_id, "password": password}
        answer = await self._api.call(Call(LOGIN, "POST", LOGIN, json=payload), self._raise_for_error)
        token = answer.body.get("token") if isinstance(answer.body, dict) else None
        if not isinstance(token, str) or not token:
            raise BadAnswerError(self.source, LOGIN, "the login was accepted, but its answer has no token")
        return Token(read.text(token) or "", self._api.now() + LONGEST_LIFE)

    # -- the envelope ------------------------------------------------------------------------------

    def _raise_for_error(self, call: Call, answer: Answer) -> None:
        """Raise unless the answer is a success: 2xx, an object, `code` 200, and no `error`."""
        body = answer.body
        if answer.status == 429 or answer.status >= 500 or not isinstance(body, dict):
            raise_for_status(self.source, call, answer)
            raise misshapen(self.source, call, "an answer that is not a JSON object")
        code = read.integer(body.get("code"))
        if answer.ok and code == 200 and not read.truthy(body.get("error")):
            return
        if not answer.ok and (code is None or code < 300):
            code = answer.status
        message = body.get("msg") or body.get("message") or body.get("error")
        if code == 429:
            raise overloaded(self.source, call, answer)
        if code is not None and (code >= 500 or code in (408, 425)):
            text = with_vendor_text(f"the vendor failed ({code})", message)
            raise broken(self.source, call, text, answer.retry_after, code)
        if code is not None and code in _AUTH_ANYWHERE | _AUTH_CODES.get(call.name, frozenset()):
            what = "the login was refused" if call.name == LOGIN else "the credentials were refused"
            raise AuthError(self.source, call.name, f"{what} ({code})", code=code)
        if code is not None and 400 <= code < 500:
            text = with_vendor_text(_OURS.get(code, f"the vendor refused the request ({code})"), message)
            field = named_field(message) or named_field([body.get(key) for key in _DETAILS])
            raise RejectedError(self.source, call.name, text, code=code, field=field)
        what = "no code" if code is None else f"code {code}" + (" with an error" if code == 200 else "")
        raise misshapen(self.source, call, f"an answer of an unknown shape (HTTP {answer.status}, {what})")

    def _list(
        self, answer: Answer, name: str, key: str, page: int = 1
    ) -> tuple[Mapping[str, Json], list[Json]]:
        return read.listed(answer, key, "count", page, source=self.source, call=name)

    def _cursor(self, state: Json) -> str | None:
        """The next cursor. The listing ends if it is absent, null, false or ""."""
        if state is None or state is False or state == "":
            return None
        if isinstance(state, (dict, list, bool)):
            raise BadAnswerError(self.source, DIRECTORY, "page_state is neither text nor a number")
        return read.text(state)

    # -- rows --------------------------------------------------------------------------------------

    def _phone(self, value: Json) -> str | None:
        written = read.text(value) if isinstance(value, (str, int, float)) else None
        return to_e164(written, self._region)

    def _directory_row(self, row: Mapping[str, Json], raw: str) -> Row:
        key = read.identity(row, "contact_id")
        self._id_sample = read.text(row["contact_id"]) or ""
        values = read.texts(row, FIELDS)
        values |= {"contact_id": key, "phone_e164": self._phone(row.get("phone_no"))}
        return Row(key, values, raw)

    def _user_row(self, row: Mapping[str, Json], raw: str) -> Row:
        key = read.identity(row, "mobile")
        values = read.texts(row, _USER_TEXTS)
        values |= {
            "mobile": key,
            "phone_e164": self._phone(row.get("mobile")),
            "time": read.integer(row.get("time")),
            "remindme": read.integer(row.get("remindme")),
        }
        return Row(key, values, raw, notes=_notes(row.get("notes")))

    def _voicemail_row(self, clock: StampSource, seen: int, row: Mapping[str, Json], raw: str) -> Row:
        key = read.identity(row, "voicename")
        if not isinstance(row.get("voicename"), str):
            raise UnreadableRowError("voicename is not text")
        time = read_time(row.get("time"))
        received = received_ms(read_stamps(time, key), clock, seen)
        values: dict[str, Value] = {
            "voicename": key,
            "time": read.integer(row.get("time")) if time is None else time,
            "from_number": read.text(row.get("from")),
            "phone_e164": self._phone(row.get("from")),
            "received_at": None if received is None else utc_text(received),
        }
        return Row(key, values, raw)

    def _call_row(self, outgoing: bool, row: Mapping[str, Json], raw: str) -> Row:
        key = read.identity(row, "cmiuid")
        time = read_time(row.get("time"))
        if time is None:
            raise UnreadableRowError("time cannot be read")
        values: dict[str, Value] = {
            "from_number": read.text(row.get("from")),
            "to_number": read.text(row.get("to")),
            "phone_e164": self._phone(row.get("to" if outgoing else "from")),
            "agent": read.text(row.get("agent")),
            "duration": read.integer(row.get("duration")),
            "billedsec": read.integer(row.get("billedsec")),
            "filename": read.text(row.get("filename")),
            "time": time,
            "started_at": utc_text(time),
        }
        return Row(key, values, raw)


def _notes(value: Json) -> tuple[Note, ...]:
    """The notes with a text. Others are only in `raw`."""
    found = []
    for note in value if isinstance(value, list) else []:
        if isinstance(note, dict) and note.get("msg") is not None:
            msg, agent = read.text(note["msg"]), read.text(note.get("agent"))
            found.append(Note(msg or "", read.integer(note.get("date")), agent or ""))
    return tuple(found)
