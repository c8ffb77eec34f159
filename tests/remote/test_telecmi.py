"""TeleCMI: requests as documented, the whole envelope, tokens, and lenient rows."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings

from syncer.core.model import Fields, Note
from syncer.core.received import StampSource
from syncer.errors import (
    AuthError,
    BadAnswerError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RejectedError,
    RemoteError,
    TransientError,
)
from syncer.remote.telecmi import Telecmi
from syncer.remote.tokens import TokenStore
from tests.remote.fakes import Clock, Vendor, answer, api, page_of
from tests.remote.test_wire import ANY_JSON

pytestmark = pytest.mark.anyio

LOGIN = answer({"code": 200, "msg": "ok", "token": "fresh", "agent": {}})
NO_TOKEN = answer({"code": 404, "msg": "authenticated user record not found"})
DONE = answer({"code": 200, "msg": "done"})
CONTACT = {
    "contact_id": "c-1", "phone_no": "919200000001", "first_name": "Asha", "last_name": "Rao",
    "email_id": None, "company": "Acme",
}  # fmt: skip


def listing(*contacts: object, **more: object) -> httpx.Response:
    return answer({"code": 200, "contacts": list(contacts), "count": len(contacts), **more})


def telecmi(
    vendor: Any, clock: Clock | None = None, tokens: TokenStore | None = None, **changes: Any
) -> Telecmi:
    settings: dict[str, Any] = {
        "app_id": 1111113,
        "secret": "app-secret",
        "user_id": "101_1111113",
        "password": "pa55word",
        "token": "given",
        "region": "IN",
        "tokens": tokens or TokenStore(None),
    } | changes
    return Telecmi(api(vendor, clock), **settings)


# -- requests and rows ---------------------------------------------------------------------------------


async def test_a_page_of_the_directory() -> None:
    vendor = Vendor([answer(
        {"code": 200, "contacts": [CONTACT], "count": "7", "page_state": "next"},
        Date="Sat, 21 Nov 2026 09:30:00 GMT",
    )])  # fmt: skip
    client = telecmi(vendor)
    page = await client.fetch_directory_page(None)
    assert vendor.paths == ["/v3/contact/get"] and vendor.requests[0].method == "POST"
    assert vendor.sent(0) == {"token": "given", "limit": 100}
    assert (page.total, page.cursor) == (7, "next") and page.server_date is not None
    (row,) = page.rows
    assert row.key == "c-1"
    assert row.values == {
        "contact_id": "c-1", "phone_no": "919200000001", "phone_e164": "+919200000001", "first_name": "Asha",
        "last_name": "Rao", "email_id": None, "company": "Acme", "job_title": None,
    }  # fmt: skip
    assert row.raw.startswith('{"contact_id":"c-1","phone_no":"919200000001"')
    await client.fetch_directory_page("next", limit=5)
    assert vendor.sent(1) == {"token": "given", "limit": 5, "page_state": "next"}


@pytest.mark.parametrize(
    ("state", "cursor"), [(None, None), ("", None), (False, None), ("abc", "abc"), (7, "7")]
)
async def test_where_the_directory_goes_on(state: object, cursor: str | None) -> None:
    page = await telecmi(Vendor([listing(page_state=state)])).fetch_directory_page(None)
    assert page.cursor == cursor


async def test_a_cursor_that_is_an_object_is_no_end() -> None:
    with pytest.raises(BadAnswerError):
        await telecmi(Vendor([listing(page_state={"a": 1})])).fetch_directory_page(None)


async def test_a_page_of_the_users_list() -> None:
    row = {
        "agent": "101_1111113", "inet_no": 1111113, "name": "Asha Rao", "mobile": 9200000001, "time": "1570157223000",
        "notes": [{"msg": "called", "date": 1570157223000, "agent": "101"}, {"msg": None}, "x", {"msg": 5}],
        "surprise": [1],
    }  # fmt: skip
    vendor = Vendor([answer({"code": "200", "count": 1, "contacts": [row, {"mobile": "+91xxxxxx2999"}, {}]})])
    page = await telecmi(vendor).fetch_user_contacts_page(3)
    assert vendor.paths == ["/v2/user/contact/get"]
    assert vendor.sent(0) == {"token": "given", "page": 3, "limit": 10}
    first, masked = page.rows
    assert first.key == "9200000001" and page.total == 1 and len(page.set_aside) == 1
    assert first.values == {
        "agent": "101_1111113", "inet_no": "1111113", "name": "Asha Rao", "mobile": "9200000001",
        "phone_e164": "+919200000001", "tag": None, "status": None, "info": None, "email": None,
        "time": 1570157223000, "remindme": None,
    }  # fmt: skip
    assert first.notes == (Note("called", 1570157223000, "101"), Note("5", None, ""))
    assert '"surprise":[1]' in first.raw
    assert masked.key == "+91xxxxxx2999" and masked.values["phone_e164"] is None


async def test_a_page_of_voicemails() -> None:
    name = "157013743669294846865923_919100000000.mp3"
    rows = [
        {"time": 1570157223000, "from": 9100000000, "voicename": name},
        {"time": "1570157223000", "from": "9100000000", "voicename": "b.mp3"},
        {"time": "soon", "voicename": "c.mp3"},
        {"time": 10**25, "from": None, "voicename": "1570137436_x.mp3"},
        {"time": 1570157223000, "voicename": 7},
    ]
    vendor = Vendor([answer({"code": 200, "count": 5, "voicemail": rows})])
    page = await telecmi(vendor).fetch_voicemails_page(1, 2, 3)
    assert vendor.paths == ["/v2/voicemail"]
    assert vendor.sent(0) == {
        "appid": 1111113,
        "secret": "app-secret",
        "start_date": 1,
        "end_date": 2,
        "page": 3,
    }
    assert [row.key for row in page.rows] == [name, "b.mp3", "c.mp3", "1570137436_x.mp3"]
    assert len(page.set_aside) == 1
    assert page.rows[0].values == {
        "voicename": name, "time": 1570157223000, "from_number": "9100000000", "phone_e164": "+919100000000",
        "received_at": "2019-10-04T02:47:03.000Z",
    }  # fmt: skip
    assert [row.values["received_at"] for row in page.rows[1:]] == [
        "2019-10-04T02:47:03.000Z", None, "2019-10-03T21:17:16.000Z",
    ]  # fmt: skip
    assert [row.values["time"] for row in page.rows] == [1570157223000, 1570157223000, None, None]
    page = await telecmi(vendor).fetch_voicemails_page(1, 2, 3, StampSource.VOICENAME)
    assert page.rows[0].values["received_at"] == "2019-10-03T21:17:16.692Z"  # `time` is 5 h 30 min later


async def test_an_app_id_written_as_text_is_sent_as_a_number() -> None:
    vendor = Vendor([answer({"code": 200, "count": 0, "voicemail": []})])
    await telecmi(vendor, app_id="1111113").fetch_voicemails_page(1, 2, 1)
    assert vendor.sent(0)["appid"] == 1111113


async def test_writes() -> None:
    vendor = Vendor([DONE])
    client = telecmi(vendor)
    await client.add([{"phone_no": "919200000001", "first_name": "Asha", "last_name": "Rao"}])
    await client.update([{"contact_id": "c-1", "company": "Acme"}])
    await client.delete(["c-1", "c-2"])
    assert vendor.paths == ["/v3/contact/add", "/v3/contact/update", "/v3/contact/delete"]
    assert vendor.sent(0) == {
        "token": "given", "contacts": [{"phone_no": "919200000001", "first_name": "Asha", "last_name": "Rao"}],
    }  # fmt: skip
    assert vendor.sent(1) == {"token": "given", "contacts": [{"contact_id": "c-1", "company": "Acme"}]}
    assert vendor.sent(2) == {"token": "given", "contact_ids": ["c-1", "c-2"]}


async def test_one_contact_by_its_id() -> None:
    vendor = Vendor([listing(CONTACT)])
    found = await telecmi(vendor).fetch_contact("c-1")
    assert vendor.sent(0) == {"token": "given", "contact_id": "c-1"}
    assert found is not None
    assert Fields.of(found.values) == Fields("919200000001", "Asha", "Rao", "", "Acme", "")
    assert found.values["phone_e164"] == "+919200000001"
    assert await telecmi(Vendor([listing()])).fetch_contact("c-1") is None
    assert await telecmi(Vendor([listing({"contact_id": "c-2"}, CONTACT)])).fetch_contact("c-1") is not None
    for other in ({"contact_id": "c-2"}, {}, 7):
        with pytest.raises(BadAnswerError):
            await telecmi(Vendor([listing(other)])).fetch_contact("c-1")


# -- the envelope --------------------------------------------------------------------------------------

ENVELOPES = [
    # answer, on a read, on a write, code
    (answer({"code": 400, "msg": "last_name is required"}), RejectedError, RejectedError, 400),
    (answer({"code": "409", "message": "phone_no already exists"}), RejectedError, RejectedError, 409),
    (answer({"code": 400, "msg": {"phone_no": ["bad 9200000001"]}}, 400), RejectedError, RejectedError, 400),
    (answer({"msg": "no"}, 409), RejectedError, RejectedError, 409),
    (answer({"code": 200}, 400), RejectedError, RejectedError, 400),
    (answer({"code": 500, "msg": "x"}), TransientError, OutcomeUnknownError, None),
    (answer({"code": "502"}), TransientError, OutcomeUnknownError, None),
    (answer({"code": 409}, 500), TransientError, OutcomeUnknownError, None),
    (answer({"code": 429}), TransientError, TransientError, None),
    (answer({"code": 200}, 429), TransientError, TransientError, None),
    (answer({}), BadAnswerError, OutcomeUnknownError, None),
    (answer({"code": None}), BadAnswerError, OutcomeUnknownError, None),
    (answer({"code": True}), BadAnswerError, OutcomeUnknownError, None),
    (answer({"code": "OK"}), BadAnswerError, OutcomeUnknownError, None),
    (answer({"code": 201}), BadAnswerError, OutcomeUnknownError, None),
    (answer({"code": 0}), BadAnswerError, OutcomeUnknownError, None),
    (answer({"code": 200, "error": "no"}), BadAnswerError, OutcomeUnknownError, None),
    (answer([]), BadAnswerError, OutcomeUnknownError, None),
    (answer("maintenance"), BadAnswerError, OutcomeUnknownError, None),
    (answer(None), BadAnswerError, OutcomeUnknownError, None),
    (answer({"code": 200}, 302), BadAnswerError, OutcomeUnknownError, None),
    (page_of("<html>"), BadAnswerError, OutcomeUnknownError, None),
    (page_of(""), BadAnswerError, OutcomeUnknownError, None),
    (page_of('{"code":200,"con'), TransientError, OutcomeUnknownError, None),
    (page_of("<html>", 502), TransientError, OutcomeUnknownError, None),
]


@pytest.mark.parametrize(("response", "on_read", "on_write", "code"), ENVELOPES)
async def test_what_is_no_success(
    response: httpx.Response, on_read: type[RemoteError], on_write: type[RemoteError], code: int | None
) -> None:
    for call, expected in (
        (lambda client: client.fetch_directory_page(None), on_read),
        (lambda client: client.fetch_user_contacts_page(1), on_read),
        (lambda client: client.fetch_voicemails_page(1, 2, 1), on_read),
        (lambda client: client.add([{"phone_no": "919200000001"}]), on_write),
        (lambda client: client.update([{"contact_id": "c-1"}]), on_write),
        (lambda client: client.delete(["c-1"]), on_write),
    ):
        vendor = Vendor([response])
        with pytest.raises(RemoteError) as caught:
            await call(telecmi(vendor))
        assert type(caught.value) is expected
        assert caught.value.source == "telecmi.main" and caught.value.call == vendor.paths[0]
        if isinstance(caught.value, RejectedError):
            assert caught.value.code == code
        if isinstance(caught.value, OutcomeUnknownError):
            assert len(vendor.requests) == 1
        assert "92000" not in str(caught.value)


@pytest.mark.parametrize("error", [None, False, "", "false", 0, [], {}])
async def test_an_error_that_is_none_is_success(error: object) -> None:
    await telecmi(Vendor([answer({"code": "200", "error": error})])).delete(["c-1"])


async def test_a_refusal_names_the_field_and_says_only_what_is_harmless() -> None:
    vendor = Vendor([answer({"code": 409, "msg": "phone_no 919200000001 of Asha already exists"})])
    with pytest.raises(RejectedError) as caught:
        await telecmi(vendor).add([{}])
    assert caught.value.field == "phone_no" and caught.value.code == 409
    assert "Asha" not in str(caught.value) and "9200" not in str(caught.value)


#: Said in place of a list of rows.
BLANKS: list[dict[str, object]] = [
    {},
    {"contacts": None},
    {"contacts": {}},
    {"contacts": ""},
    {"contacts": False},
]


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("count", [{}, {"count": 1}, {"count": None}, {"count": "many"}, {"count": False}])
async def test_a_list_that_is_not_there_is_not_empty(
    blank: dict[str, object], count: dict[str, object]
) -> None:
    client = telecmi(Vendor([answer({"code": 200, **count, **blank, "voicemail": blank.get("contacts")})]))
    for call in (
        client.fetch_directory_page(None),
        client.fetch_directory_page("cursor"),
        client.fetch_user_contacts_page(1),
        client.fetch_voicemails_page(1, 2, 1),
        client.fetch_contact("c-1"),
    ):
        with pytest.raises(BadAnswerError):
            await call


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("count", [0, "0", 0.0])
async def test_a_list_that_is_not_there_is_empty_where_the_count_is_0(
    blank: dict[str, object], count: object
) -> None:
    client = telecmi(
        Vendor([answer({"code": 200, "count": count, **blank, "voicemail": blank.get("contacts")})])
    )
    assert (await client.fetch_directory_page(None)).size == 0
    assert (await client.fetch_user_contacts_page(1)).size == 0
    assert (await client.fetch_voicemails_page(1, 2, 1)).size == 0
    assert await client.fetch_contact("c-1") is None


async def test_a_list_that_is_not_there_ends_a_numbered_listing() -> None:
    for body in ({"contacts": None}, {"contacts": {}, "count": 12}, {"count": 12}):
        assert (await telecmi(Vendor([answer({"code": 200, **body})])).fetch_user_contacts_page(2)).size == 0
    for odd in ({}, {"contacts": "none"}, {"contacts": {"a": 1}}, {"contacts": 0}, {"contacts": True}):
        with pytest.raises(BadAnswerError):
            await telecmi(Vendor([answer({"code": 200, **odd})])).fetch_user_contacts_page(2)


@pytest.mark.parametrize("count", [None, "many", -1, True, [], {}])
async def test_a_total_that_cannot_be_read_is_none(count: object) -> None:
    assert (await telecmi(Vendor([listing(CONTACT, count=count)])).fetch_directory_page(None)).total is None


async def test_a_code_that_fails_once_inside_200_is_read_again() -> None:
    vendor = Vendor([answer({"code": 500}), answer({"code": 429}), page_of("<html>"), listing(CONTACT)])
    page = await telecmi(vendor).fetch_directory_page(None)
    assert page.size == 1 and len(vendor.requests) == 4


async def test_a_name_in_a_declared_charset_is_read_and_one_in_another_refused() -> None:
    body = json.dumps(
        {"code": 200, "count": 1, "contacts": [CONTACT | {"first_name": "Zoë"}]}, ensure_ascii=False
    )
    declared = page_of(body.encode("latin-1"), Content_Type="application/json; charset=ISO-8859-1")
    (row,) = (await telecmi(Vendor([declared])).fetch_directory_page(None)).rows
    assert row.values["first_name"] == "Zoë" and "Zoë" in row.raw
    other = page_of(body.replace("Zoë", "王").encode("gbk"), Content_Type="application/json; charset=GBK")
    with pytest.raises(BadAnswerError, match=r"read as JSON \(text in the charset gbk, HTTP 200\)"):
        await telecmi(Vendor([other])).fetch_directory_page(None)


@settings(max_examples=60)
@given(body=ANY_JSON)
async def test_no_answer_raises_anything_but_ours(body: object) -> None:
    for shape in (
        body,
        {"code": 200, "contacts": body, "voicemail": body, "page_state": body},
        {
            "code": 200,
            "contacts": [body, {"contact_id": body, "mobile": body, "notes": [body]}],
            "count": body,
        },
        {"code": 200, "voicemail": [{"voicename": body, "time": body, "from": body}]},
        {"code": body, "msg": body, "error": body},
        {"code": 200, "token": body},
    ):
        client = telecmi(Vendor([answer(shape)]), token=None)
        for call in (
            client.fetch_directory_page(None),
            client.fetch_contact("c-1"),
            client.fetch_user_contacts_page(1),
            client.fetch_voicemails_page(1, 2, 1),
            client.delete(["c-1"]),
        ):
            try:
                await call
            except RemoteError:
                continue


# -- credentials ---------------------------------------------------------------------------------------


async def test_without_a_token_it_logs_in_once_and_keeps_the_token_across_runs(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    vendor = Vendor([LOGIN, listing()])
    client = telecmi(vendor, token=None, tokens=TokenStore(path))
    await asyncio.gather(*(client.fetch_directory_page(None) for _ in range(5)))
    assert vendor.paths.count("/v2/user/login") == 1
    assert vendor.sent(0) == {"id": "101_1111113", "password": "pa55word"}
    assert vendor.sent(1)["token"] == "fresh"
    again = Vendor([listing()])
    await telecmi(again, token=None, tokens=TokenStore(path)).fetch_directory_page(None)
    assert again.paths == ["/v3/contact/get"] and again.sent(0)["token"] == "fresh"


async def test_a_token_is_not_used_past_its_thirty_days() -> None:
    clock, tokens = Clock(), TokenStore(None)
    vendor = Vendor([LOGIN, listing()])
    await telecmi(vendor, clock, tokens, token=None).fetch_directory_page(None)
    clock.now += timedelta(days=30, hours=-2)
    await telecmi(vendor, clock, tokens, token=None).fetch_directory_page(None)
    assert vendor.paths.count("/v2/user/login") == 1
    clock.now += timedelta(hours=2)
    vendor.script = [LOGIN, listing()]
    await telecmi(vendor, clock, tokens, token=None).fetch_directory_page(None)
    assert vendor.paths.count("/v2/user/login") == 2


async def test_a_token_without_a_login_is_asked_with_again() -> None:
    """A vendor that was wrong once must not silence the account until the next restart."""
    vendor = Vendor([NO_TOKEN, NO_TOKEN, answer({"code": 200, "contacts": [], "count": 0})])
    client = telecmi(vendor, token="given", password=None)
    with pytest.raises(AuthError):
        await client.fetch_directory_page(None)
    assert (await client.fetch_directory_page(None)).size == 0


async def test_a_given_token_that_is_refused_gives_way_to_a_login_for_good() -> None:
    vendor = Vendor([NO_TOKEN, NO_TOKEN, LOGIN, listing()])
    client = telecmi(vendor)
    await client.fetch_directory_page(None)
    await client.fetch_user_contacts_page(1)
    v3, v2 = "/v3/contact/get", "/v2/user/contact/get"
    assert vendor.paths == [v3, v2, "/v2/user/login", v3, v2]
    assert [vendor.sent(i).get("token") for i in range(5)] == ["given", "given", None, "fresh", "fresh"]


@pytest.mark.parametrize(
    "refusal",
    [NO_TOKEN, answer({"code": "404"}, 404), answer({}, 401), answer({"code": 403}), page_of("", 401)],
)
async def test_a_write_is_sent_again_after_a_fresh_login_once(refusal: httpx.Response) -> None:
    vendor = Vendor([refusal, refusal, LOGIN, DONE])
    await telecmi(vendor).add([{"phone_no": "919200000001"}])
    assert vendor.paths == ["/v3/contact/add", "/v3/contact/get", "/v2/user/login", "/v3/contact/add"]
    vendor = Vendor([lambda request: LOGIN if request.url.path.endswith("login") else refusal])
    with pytest.raises(AuthError, match="after a fresh login"):
        await telecmi(vendor).add([{"phone_no": "919200000001"}])
    assert vendor.paths.count("/v2/user/login") == 1


#: Call -> how the client makes it.
CALLS: dict[str, Any] = {
    "/v3/contact/get": lambda client: client.fetch_directory_page(None),
    "/v2/user/contact/get": lambda client: client.fetch_user_contacts_page(1),
    "/v3/contact/add": lambda client: client.add([{"phone_no": "919200000001"}]),
    "/v3/contact/update": lambda client: client.update([{"contact_id": "c-1"}]),
    "/v3/contact/delete": lambda client: client.delete(["c-1"]),
}


@pytest.mark.parametrize(
    "refusal", [NO_TOKEN, answer({"code": "404"}, 404), answer({}, 401), answer({"code": 403})]
)
@pytest.mark.parametrize("denied", CALLS)
@pytest.mark.parametrize("token", ["given", None])
async def test_a_call_that_a_good_token_may_not_make_costs_no_further_login(
    refusal: httpx.Response, denied: str, token: str | None
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/user/login":
            return LOGIN
        return refusal if request.url.path == denied else listing(CONTACT)

    vendor = Vendor([handle])
    client = telecmi(vendor, token=token)
    for _ in range(3):
        with pytest.raises(PermissionDeniedError, match="lacks the permission for this call") as caught:
            await CALLS[denied](client)
        assert caught.value.call == denied
    for other in CALLS.keys() - {denied}:
        await CALLS[other](client)
    assert vendor.paths.count("/v2/user/login") == (token is None)


async def test_a_kept_token_that_ended_early_gives_way_to_a_login_too() -> None:
    """A token of the config, then one of an earlier process: both are refused, and only then is the login."""
    tokens = TokenStore(None)
    await telecmi(Vendor([LOGIN]), tokens=tokens, token=None).login()
    newer = answer({"code": 200, "msg": "ok", "token": "newer"})
    vendor = Vendor([*[NO_TOKEN] * 4, newer, listing()])
    await telecmi(vendor, tokens=tokens).fetch_directory_page(None)
    asked = ["/v3/contact/get", "/v2/user/contact/get"]
    assert vendor.paths == [*asked, *asked, "/v2/user/login", "/v3/contact/get"]
    assert [vendor.sent(n)["token"] for n in (0, 2, 5)] == ["given", "fresh", "newer"]


async def test_a_refused_login_is_an_auth_error_and_tried_once() -> None:
    vendor = Vendor([answer({"code": 404, "msg": "no such user"})])
    with pytest.raises(AuthError) as caught:
        await telecmi(vendor, token=None).fetch_directory_page(None)
    assert vendor.paths == ["/v2/user/login"] and caught.value.call == "/v2/user/login"


@pytest.mark.parametrize("token", [None, "given"])
async def test_a_login_that_was_refused_counts_for_every_call_that_was_under_way(token: str | None) -> None:
    logins: list[str] = []

    async def refusing(request: httpx.Request) -> httpx.Response:
        late = json.loads(request.content).get("page_state") == "late"
        await asyncio.sleep(0.1 if late else 0.01)  # late: the login has been refused by then
        if request.url.path == "/v2/user/login":
            logins.append(request.url.path)
        return NO_TOKEN

    client = telecmi(refusing, token=token)
    for times in (1, 2):  # later calls log in again: the password may have been repaired
        calls = [client.fetch_directory_page(cursor) for cursor in ("a", "b", "late", "c")]
        refusals = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in refusals] == [AuthError] * 4
        assert all("the login was refused (404)" in str(one) for one in refusals)
        assert len(logins) == times


async def test_a_refused_token_without_a_login() -> None:
    vendor = Vendor([NO_TOKEN])
    with pytest.raises(AuthError, match="set a valid token"):
        await telecmi(vendor, user_id=None, password=None).fetch_directory_page(None)
    with pytest.raises(AuthError, match="there is no token"):
        await telecmi(vendor, token=None, password=None).fetch_directory_page(None)


async def test_a_login_without_a_token_in_its_answer() -> None:
    for token in (None, "", 7, {}):
        with pytest.raises(BadAnswerError):
            await telecmi(Vendor([answer({"code": 200, "token": token})]), token=None).login()


async def test_a_bad_voicemail_secret_is_an_auth_error_without_any_login() -> None:
    vendor = Vendor([answer({"code": 401, "msg": "unauthorized"})])
    with pytest.raises(AuthError):
        await telecmi(vendor).fetch_voicemails_page(1, 2, 1)
    assert vendor.paths == ["/v2/voicemail"]
    with pytest.raises(AuthError, match="app_id and secret"):
        await telecmi(vendor, secret=None).fetch_voicemails_page(1, 2, 1)


async def test_404_of_voicemail_is_no_matter_of_credentials() -> None:
    with pytest.raises(RejectedError):
        await telecmi(Vendor([answer({"code": 404})])).fetch_voicemails_page(1, 2, 1)


async def test_404_for_one_contact_while_the_token_is_good_is_about_the_contact() -> None:
    vendor = Vendor([NO_TOKEN, listing(CONTACT)])
    with pytest.raises(RejectedError) as caught:
        await telecmi(vendor).fetch_contact("c-9")
    assert caught.value.code == 404
    assert vendor.sent(1) == {"token": "given", "limit": 1}


async def test_404_for_one_contact_with_a_bad_token_is_a_matter_of_credentials() -> None:
    vendor = Vendor([NO_TOKEN, NO_TOKEN, LOGIN, listing(CONTACT)])
    assert await telecmi(vendor).fetch_contact("c-1") is not None
    vendor = Vendor([NO_TOKEN, NO_TOKEN, LOGIN, NO_TOKEN])
    with pytest.raises(AuthError):
        await telecmi(vendor).fetch_contact("c-1")


async def test_login_on_request() -> None:
    vendor = Vendor([LOGIN])
    client = telecmi(vendor, token=None)
    await client.login()
    await client.login()
    assert vendor.paths == ["/v2/user/login"] * 2


async def test_nothing_shows_its_secrets() -> None:
    client = telecmi(Vendor([LOGIN]))
    assert "pa55word" not in repr(client) and "given" not in repr(client)
