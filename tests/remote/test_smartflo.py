"""Smartflo: requests as documented, tokens that expire in many ways, lockouts, and lenient rows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings

from syncer.errors import (
    AuthError,
    BadAnswerError,
    PermissionDeniedError,
    RejectedError,
    RemoteError,
    TransientError,
)
from syncer.remote.smartflo import Smartflo
from syncer.remote.tokens import TokenStore
from tests.remote.fakes import NOW, Clock, Vendor, answer, api, page_of
from tests.remote.test_wire import ANY_JSON

pytestmark = pytest.mark.anyio

LOGIN = answer({
    "success": True, "access_token": "fresh", "token_type": "bearer", "expires_in": 3600,
    "number_of_days_left": "12",
})  # fmt: skip
REFUSED = answer({"success": False, "message": "Invalid login", "login_failed_count": 1})
CONTACT = {
    "id": 41, "contact_group_id": "7", "contact_group_name": "Customers", "phone_number": "+919200000001",
    "name": "Asha Rao", "email_id": None, "address": None, "company_name": "Acme",
    "custom_fields": [{"name": "City", "value": None}], "created_at": "2024-05-08T12:45:03+0000",
    "updated_at": "2024-05-08T18:15:03+0530", "deleted_at": None,
}  # fmt: skip


def listing(*rows: object) -> httpx.Response:
    return answer({"page": 1, "size": len(rows), "limit": 100, "results": list(rows)})


def smartflo(
    vendor: Any, clock: Clock | None = None, tokens: TokenStore | None = None, **changes: Any
) -> Smartflo:
    settings: dict[str, Any] = {
        "email": "ops@vendor.example",
        "password": "pa55word",
        "token": None,
        "region": "IN",
        "tokens": tokens or TokenStore(None),
    } | changes
    return Smartflo(api(vendor, clock, source="smartflo.main"), **settings)


# -- requests and rows ---------------------------------------------------------------------------------


async def test_a_page_of_contacts() -> None:
    vendor = Vendor([listing(CONTACT)])
    client = smartflo(vendor, token=" bearer  given ")
    page = await client.fetch_contacts_page(2, "2024-05-08 12:45:03")
    (request,) = vendor.requests
    assert (request.method, request.url.path) == ("GET", "/v1/contacts")
    assert dict(request.url.params) == {"page": "2", "limit": "100", "updated_after": "2024-05-08 12:45:03"}
    assert request.headers["Authorization"] == "Bearer given"
    (row,) = page.rows
    assert row.key == "41" and row.stamp == "2024-05-08T12:45:03.000Z" and row.deleted_at is None
    assert row.values == {
        "smartflo_id": "41", "contact_group_id": "7", "contact_group_name": "Customers",
        "phone_number": "+919200000001", "phone_e164": "+919200000001", "name": "Asha Rao", "email_id": None,
        "address": None, "company_name": "Acme", "custom_fields": '[{"name":"City","value":null}]',
        "created_at": "2024-05-08T12:45:03+0000", "updated_at": "2024-05-08T18:15:03+0530",
    }  # fmt: skip
    assert page.total is None and page.cursor is None
    await client.fetch_contacts_page(1, None, limit=5)
    assert dict(vendor.requests[1].url.params) == {"page": "1", "limit": "5"}


async def test_a_page_of_groups() -> None:
    group = {"id": "7", "name": "Customers", "list_id": 3, "updated_at": "2024-05-08T18:15:03+0530"}
    vendor = Vendor([listing(group)])
    page = await smartflo(vendor, token="given").fetch_groups_page(1)
    assert vendor.requests[0].url.path == "/v1/contact/groups"
    assert page.rows[0].values == {"group_id": "7", "name": "Customers", "description": None}
    assert page.rows[0].stamp == "2024-05-08T12:45:03.000Z"


async def test_lenient_rows() -> None:
    rows = [
        {"id": "a"},
        {
            "id": 1,
            "deleted_at": "2024-05-08T18:15:03+0530",
            "phone_number": 919200000001,
            "custom_fields": [],
        },
        {"id": 2, "deleted_at": "0000-00-00 00:00:00", "updated_at": 1715172303, "name": {"x": 1}},
        {"id": None},
        "x",
    ]
    page = await smartflo(Vendor([listing(*rows)]), token="given").fetch_contacts_page(1, None)
    assert [row.key for row in page.rows] == ["a", "1", "2"] and len(page.set_aside) == 2
    assert page.rows[1].deleted_at == "2024-05-08T12:45:03.000Z"
    assert page.rows[1].values["phone_e164"] == "+919200000001"
    assert (page.rows[0].values["custom_fields"], page.rows[1].values["custom_fields"]) == (None, "[]")
    assert page.rows[2].deleted_at is None and page.rows[2].stamp == "2024-05-08T12:45:03.000Z"


async def test_one_contact_by_its_id() -> None:
    vendor = Vendor([listing(CONTACT)])
    found = await smartflo(vendor, token="given").fetch_contact("41")
    assert found is not None and found.key == "41"
    assert dict(vendor.requests[0].url.params) == {"contact_id": "41"}
    assert await smartflo(Vendor([listing()]), token="given").fetch_contact("41") is None
    with pytest.raises(BadAnswerError):
        await smartflo(Vendor([listing({"id": 42})]), token="given").fetch_contact("41")


@pytest.mark.parametrize(
    "never",
    [
        None, "", 0, "0", False, "null", "0000-00-00 00:00:00", "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00+0000", "1970-01-01T05:30:00+0530", "1900-01-01",
    ],
)  # fmt: skip
async def test_no_date_and_the_zero_of_a_clock_are_no_deletion(never: object) -> None:
    client = smartflo(Vendor([listing(CONTACT | {"deleted_at": never})]), token="given")
    assert [(row.deleted_at, row.doubt) for row in (await client.fetch_contacts_page(1, None)).rows] == [
        (None, "")
    ]


@pytest.mark.parametrize(
    "odd",
    ["yes", True, 1, "08/05/2024", "8 May 2024", "2024-05-08 25:99", ["2024-05-08"], {"at": 1}, "deleted"],
)
async def test_a_deletion_in_an_unknown_form_deletes_nothing_and_is_noticed(odd: object) -> None:
    client = smartflo(Vendor([listing(CONTACT | {"deleted_at": odd})]), token="given")
    (row,) = (await client.fetch_contacts_page(1, None)).rows
    assert row.deleted_at is None and "unknown form" in row.doubt


async def test_one_group_by_its_id() -> None:
    vendor = Vendor([listing({"id": 7, "name": "Customers"})])
    found = await smartflo(vendor, token="given").fetch_group("7")
    assert found is not None and found.key == "7"
    assert dict(vendor.requests[0].url.params) == {"contact_group_id": "7"}
    assert await smartflo(Vendor([listing()]), token="given").fetch_group("7") is None
    with pytest.raises(BadAnswerError):
        await smartflo(Vendor([listing({"id": 8, "name": "Others"})]), token="given").fetch_group("7")


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize(
    ("body", "empty_on"),
    [
        ({"size": 0, "results": None}, {1, 2}),
        ({"size": "0"}, {1, 2}),
        ({"size": 0, "results": {}}, {1, 2}),
        ({"size": 3, "results": None}, {2}),
        ({"results": None}, {2}),
        ({"size": 3}, {2}),
        ({"success": True}, set()),
        ({}, set()),
        ({"size": 0, "results": "none"}, set()),
        ({"size": 0, "results": {"a": 1}}, set()),
        ({"size": 0, "results": 0}, set()),
    ],
)
async def test_results_that_are_not_a_list(body: dict[str, object], empty_on: set[int], page: int) -> None:
    client = smartflo(Vendor([answer(body)]), token="given")
    for call in (client.fetch_contacts_page(page, None), client.fetch_groups_page(page)):
        if page in empty_on:
            assert (await call).size == 0
        else:
            with pytest.raises(BadAnswerError):
                await call


# -- the envelope --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (answer({"success": "false", "message": "Too many requests."}, 429), TransientError),
        (answer({"success": "false", "message": "Too many requests."}), TransientError),
        (answer({}, 500), TransientError),
        (answer({"success": False, "message": "Token has expired"}, 500), TransientError),
        (answer({"success": False, "message": "Internal server error"}), TransientError),
        (answer({"success": False, "code": 503}), TransientError),
        (page_of('{"results":['), TransientError),
        (page_of("<html>"), BadAnswerError),
        (page_of("<html>", 404), BadAnswerError),
        (answer([]), BadAnswerError),
        (answer({"success": False, "message": "Something odd", "results": []}), BadAnswerError),
        (answer({"success": "false", "results": []}), BadAnswerError),
        (answer({}, 302), BadAnswerError),
        (answer({"message": "limit is invalid"}, 400), RejectedError),
        (answer({"success": False, "message": "limit is invalid"}, 422), RejectedError),
    ],
)
async def test_what_is_no_success(response: httpx.Response, error: type[RemoteError]) -> None:
    with pytest.raises(RemoteError) as caught:
        await smartflo(Vendor([response]), token="given").fetch_contacts_page(1, None)
    assert type(caught.value) is error
    assert (caught.value.source, caught.value.call) == ("smartflo.main", "/v1/contacts")


async def test_success_that_is_said() -> None:
    for success in (True, "true", 1):
        response = answer({"success": success, "results": []})
        page = await smartflo(Vendor([response]), token="given").fetch_contacts_page(1, None)
        assert page.size == 0


@settings(max_examples=60)
@given(body=ANY_JSON)
async def test_no_answer_raises_anything_but_ours(body: object) -> None:
    for shape in (
        body,
        {"results": body, "success": body, "message": body},
        {"results": [body, {"id": body, "updated_at": body, "deleted_at": body, "custom_fields": body}]},
        {"success": True, "access_token": body, "expires_in": body, "number_of_days_left": body},
        {"success": False, "access_token": "x", "retry_after": body, "login_failed_count": body},
    ):
        client = smartflo(Vendor([answer(shape)]))
        for call in (
            client.fetch_contacts_page(1, None),
            client.fetch_groups_page(1),
            client.fetch_contact("41"),
        ):
            try:
                await call
            except RemoteError:
                continue


# -- the token -----------------------------------------------------------------------------------------

EXPIRED = [
    answer({"message": "x"}, 401),
    answer({}, 403),
    page_of("Forbidden", 403),
    answer({"success": False, "message": "Token has expired"}),
    answer({"success": "false", "message": "Unauthenticated."}),
    answer({"success": False, "message": "Token is invalid"}, 400),
]


@pytest.mark.parametrize("expired", EXPIRED)
async def test_an_expired_token_is_renewed_once(expired: httpx.Response) -> None:
    vendor = Vendor([expired, expired, LOGIN, listing(CONTACT)])
    client = smartflo(vendor, token="given")
    assert (await client.fetch_contacts_page(1, None)).size == 1
    assert vendor.paths == ["/v1/contacts", "/v1/contact/groups", "/v1/auth/login", "/v1/contacts"]
    assert vendor.sent(2) == {"email": "ops@vendor.example", "password": "pa55word"}
    assert vendor.requests[3].headers["Authorization"] == "Bearer fresh"
    assert client.days_left == 12
    await client.fetch_contacts_page(2, None)
    assert vendor.requests[4].headers["Authorization"] == "Bearer fresh"  # the given one is not asked again


@pytest.mark.parametrize("expired", EXPIRED)
async def test_a_token_refused_right_after_a_login_ends_it(expired: httpx.Response) -> None:
    for token in ("given", None):
        vendor = Vendor([lambda request: LOGIN if request.url.path.endswith("login") else expired])
        with pytest.raises(AuthError, match="after a fresh login"):
            await smartflo(vendor, token=token).fetch_contacts_page(1, None)
        assert vendor.paths.count("/v1/auth/login") == 1


def scoped(vendor_says: httpx.Response, *denied: str, token: str = "") -> Any:
    """A vendor that accepts every token (or this one), but not for these calls."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/auth/login":
            return LOGIN
        if token and request.headers["Authorization"] != f"Bearer {token}":
            return EXPIRED[0]
        return vendor_says if request.url.path in denied else listing(CONTACT)

    return handle


@pytest.mark.parametrize("expired", [*EXPIRED, answer({"message": "This action is unauthorized."}, 403)])
@pytest.mark.parametrize("credentials", ["token", "login", "both", "ended token and login"])
async def test_a_call_that_a_good_token_may_not_make_costs_no_further_login(
    expired: httpx.Response, credentials: str
) -> None:
    known = {
        "token": {"token": "given", "password": None},
        "login": {"token": None},
        "both": {"token": "given"},
        "ended token and login": {"token": "given"},
    }[credentials]
    only = "fresh" if credentials.startswith("ended") else ""
    vendor = Vendor([scoped(expired, "/v1/contact/groups", token=only)])
    client = smartflo(vendor, **known)
    for _ in range(3):
        with pytest.raises(PermissionDeniedError, match="lacks the permission for this call") as caught:
            await client.fetch_groups_page(1)
        assert caught.value.call == "/v1/contact/groups"
        assert (await client.fetch_contacts_page(1, None)).size == 1
    assert vendor.paths.count("/v1/auth/login") == (credentials in ("login", "ended token and login"))


async def test_a_token_that_is_refused_once_is_tried_again() -> None:
    vendor = Vendor([EXPIRED[1], listing(), listing(CONTACT)])
    assert (await smartflo(vendor, token="given").fetch_contacts_page(1, None)).size == 1
    assert vendor.paths == ["/v1/contacts", "/v1/contact/groups", "/v1/contacts"]


async def test_a_vendor_that_fails_when_the_token_is_proven_proves_nothing() -> None:
    for failure in (answer({}, 500), page_of("<html>", 404)):
        vendor = Vendor([lambda r, f=failure: EXPIRED[1] if r.url.path.endswith("groups") else f])
        with pytest.raises((TransientError, BadAnswerError)):
            await smartflo(vendor, token="given").fetch_groups_page(1)
        assert "/v1/auth/login" not in vendor.paths


async def test_a_refused_token_without_a_login() -> None:
    with pytest.raises(AuthError, match="set a valid token"):
        await smartflo(Vendor([EXPIRED[0]]), token="given", email=None).fetch_contacts_page(1, None)


async def test_a_token_without_a_login_is_asked_with_again() -> None:
    """A vendor that was wrong once must not silence the account until the next restart."""
    vendor = Vendor([EXPIRED[0], EXPIRED[0], listing(CONTACT)])
    client = smartflo(vendor, token="given", email=None)
    with pytest.raises(AuthError):
        await client.fetch_contacts_page(1, None)
    assert (await client.fetch_contacts_page(1, None)).size == 1


async def test_a_token_that_cannot_be_a_header_does_not_leak() -> None:
    vendor = Vendor([listing()])
    with pytest.raises(AuthError) as caught:
        await smartflo(vendor, token="tökén", password=None).fetch_contacts_page(1, None)
    assert "tökén" not in str(caught.value) and vendor.requests == []


async def test_one_login_for_many_calls_and_for_the_next_process(tmp_path: Path) -> None:
    path, clock = tmp_path / "tokens.json", Clock()
    vendor = Vendor([LOGIN, listing()])
    client = smartflo(vendor, clock, TokenStore(path))
    await asyncio.gather(*(client.fetch_contacts_page(n, None) for n in range(1, 6)))
    assert vendor.paths.count("/v1/auth/login") == 1
    next_process = smartflo(vendor, clock, TokenStore(path))
    await next_process.fetch_contacts_page(1, None)
    assert vendor.paths.count("/v1/auth/login") == 1 and next_process.days_left == 12
    clock.now += timedelta(minutes=57, seconds=59)
    await smartflo(vendor, clock, TokenStore(path)).fetch_contacts_page(1, None)
    assert vendor.paths.count("/v1/auth/login") == 1
    clock.now += timedelta(seconds=1)  # two minutes before it expires
    vendor.script = [LOGIN, listing()]
    await smartflo(vendor, clock, TokenStore(path)).fetch_contacts_page(1, None)
    assert vendor.paths.count("/v1/auth/login") == 2


async def test_many_calls_that_find_the_token_expired_share_one_login() -> None:
    def guarded(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/auth/login":
            return LOGIN
        return listing() if request.headers["Authorization"] == "Bearer fresh" else EXPIRED[3]

    vendor = Vendor([guarded])
    client = smartflo(vendor, token="given")
    await asyncio.gather(*(client.fetch_contacts_page(n, None) for n in range(1, 6)))
    assert vendor.paths.count("/v1/auth/login") == 1


@pytest.mark.parametrize(
    "refused",
    [
        REFUSED,
        answer({"success": "false", "message": "Wrong"}, 401),
        answer({"message": "Wrong"}, 422),
        answer({"success": False, "message": "Invalid credentials"}, 500),
        page_of("no", 401),
    ],
)
async def test_a_refused_login_is_not_tried_again_for_five_minutes_then_ten(
    refused: httpx.Response, tmp_path: Path
) -> None:
    path, clock = tmp_path / "tokens.json", Clock()
    vendor = Vendor([refused])
    with pytest.raises(AuthError) as caught:
        await smartflo(vendor, clock, TokenStore(path)).fetch_contacts_page(1, None)
    assert len(vendor.requests) == 1
    assert caught.value.locked_until == NOW + timedelta(minutes=5)
    for wait, expected in [(4, 1), (1, 2), (9, 2), (1, 3)]:
        clock.now += timedelta(minutes=wait)
        with pytest.raises(AuthError) as caught:
            await smartflo(vendor, clock, TokenStore(path)).login()
        assert len(vendor.requests) == expected
        assert caught.value.locked_until is not None and caught.value.locked_until > clock.now
    for _ in range(10):
        assert caught.value.locked_until <= clock.now + timedelta(minutes=60)
        clock.now = caught.value.locked_until
        with pytest.raises(AuthError) as caught:
            await smartflo(vendor, clock, TokenStore(path)).login()
        assert caught.value.locked_until is not None


async def test_a_corrected_password_may_be_tried_at_once() -> None:
    tokens = TokenStore(None)
    with pytest.raises(AuthError):
        await smartflo(Vendor([REFUSED]), tokens=tokens).login()
    vendor = Vendor([LOGIN])
    await smartflo(vendor, tokens=tokens, password="better").login()
    assert len(vendor.requests) == 1


async def test_a_lockout_by_the_vendor_holds_for_any_password(tmp_path: Path) -> None:
    path, clock = tmp_path / "tokens.json", Clock()
    locked = answer({"success": False, "message": "Locked", "retry_after": "2026-11-21 15:45:00"}, 429)
    vendor = Vendor([locked])
    with pytest.raises(AuthError) as caught:
        await smartflo(vendor, clock, TokenStore(path)).login()
    until = datetime(2026, 11, 21, 10, 15, tzinfo=UTC)  # said in Indian time
    assert caught.value.locked_until == until
    for _ in range(2):
        with pytest.raises(AuthError) as caught:
            await smartflo(vendor, clock, TokenStore(path), password="better").login()
        assert caught.value.locked_until == until
    assert len(vendor.requests) == 1
    clock.now = until
    vendor.script = [LOGIN]
    await smartflo(vendor, clock, TokenStore(path), password="better").login()
    assert len(vendor.requests) == 2


@pytest.mark.parametrize("ahead", [timedelta(hours=5, minutes=30), timedelta(days=60)])
async def test_our_own_caution_of_a_clock_that_was_ahead_locks_nobody_out(ahead: timedelta) -> None:
    clock, tokens = Clock(), TokenStore(None)
    vendor = Vendor([REFUSED, LOGIN])
    clock.now += ahead
    with pytest.raises(AuthError):
        await smartflo(vendor, clock, tokens).login()
    clock.now -= ahead
    await smartflo(vendor, clock, tokens).login()


async def test_a_lockout_by_the_vendor_holds_when_the_clock_was_set_meanwhile() -> None:
    clock, tokens = Clock(), TokenStore(None)
    locked = answer({"success": False, "message": "Locked", "retry_after": "2026-11-22 12:00:00"}, 429)
    vendor = Vendor([locked, LOGIN])
    clock.now += timedelta(hours=5, minutes=30)
    with pytest.raises(AuthError):
        await smartflo(vendor, clock, tokens).login()
    clock.now -= timedelta(hours=5, minutes=30)
    with pytest.raises(AuthError, match="no login before"):
        await smartflo(vendor, clock, tokens).login()
    assert len(vendor.requests) == 1


async def test_a_lockout_in_the_past_or_years_ahead_is_bounded() -> None:
    for said, longest in (
        ("2020-01-01 00:00:00", timedelta(minutes=5)),
        ("2099-01-01 00:00:00", timedelta(days=1)),
    ):
        with pytest.raises(AuthError) as caught:
            await smartflo(Vendor([answer({"success": False, "retry_after": said})])).login()
        assert caught.value.locked_until == NOW + longest


async def test_success_ends_the_growing() -> None:
    clock, tokens = Clock(), TokenStore(None)
    vendor = Vendor([REFUSED])
    for _ in range(3):
        with pytest.raises(AuthError) as caught:
            await smartflo(vendor, clock, tokens).login()
        assert caught.value.locked_until is not None
        clock.now = caught.value.locked_until
    vendor.script = [LOGIN]
    await smartflo(vendor, clock, tokens).login()
    vendor.script = [REFUSED]
    with pytest.raises(AuthError) as caught:
        await smartflo(vendor, clock, tokens).login()
    assert caught.value.locked_until == clock.now + timedelta(minutes=5)


async def test_a_login_that_met_trouble_on_the_way_is_no_refusal() -> None:
    for trouble, tries in [
        (answer({}, 503), 4),
        (answer({"success": False, "message": "Server error"}, 500), 4),
        (answer({"success": "false", "message": "Too many requests."}, 429), 4),
        (httpx.ReadTimeout("x"), 1),
    ]:
        tokens, vendor = TokenStore(None), Vendor([trouble])
        with pytest.raises(TransientError):
            await smartflo(vendor, tokens=tokens).login()
        assert len(vendor.requests) == tries
        vendor.script = [LOGIN]
        await smartflo(vendor, tokens=tokens).login()


@pytest.mark.parametrize(
    "body", [{"success": True}, {"success": True, "access_token": " "}, {"access_token": 5}]
)
async def test_a_login_without_a_token_in_its_answer(body: dict[str, object]) -> None:
    with pytest.raises(BadAnswerError):
        await smartflo(Vendor([answer(body)])).login()


@pytest.mark.parametrize("lives", [None, "3600", "soon", -5, 0, 10**15, True])
async def test_any_lifetime_is_survived(lives: object) -> None:
    vendor = Vendor([answer({"access_token": "Bearer fresh", "expires_in": lives}), listing()])
    await smartflo(vendor).fetch_contacts_page(1, None)
    assert vendor.requests[1].headers["Authorization"] == "Bearer fresh"


async def test_nothing_shows_its_secrets() -> None:
    client = smartflo(Vendor([LOGIN]), token="given-token")
    assert "pa55word" not in repr(client) and "given-token" not in repr(client)
