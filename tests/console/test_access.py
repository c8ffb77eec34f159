"""Who gets in, what a role may do, and what keeps everybody else out."""

from __future__ import annotations

import re
import stat
from datetime import timedelta

import httpx
import pytest

from syncer.console.sessions import LINK, Sessions
from syncer.core.console import ATTEMPTS, SPAN, Role
from syncer.errors import StoreError
from syncer.store.read import page_queries
from tests.console.conftest import ORIGIN, MakeDesk, text_of

pytestmark = pytest.mark.anyio

PAGES = [
    "/",
    "/callbacks",
    "/voicemails",
    "/calls",
    "/contacts",
    "/contacts/1",
    "/who/+919200000001",
    "/queue",
    "/held",
    "/health",
    "/no-such-page",
]
ACTIONS = ["/callbacks/done", "/callbacks/reopen"]


async def test_without_a_session_nothing_is_shown_and_nothing_done(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        for path in PAGES:
            answer = await desk.client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path
        for path in ACTIONS:
            assert (await desk.client.post(path, data={"phone": "+919200000001"})).status_code == 401
        how = await desk.client.get("/login")
        assert how.status_code == 200 and "syncer console invite" in how.text


async def test_a_link_logs_one_browser_in_once(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        token = desk.sessions.invite("Asha Example", Role.EDIT, timedelta(days=7))
        for _ in range(3):  # a preview of a chat program spends nothing
            shown = await desk.client.get(f"/login/{token}")
            assert shown.status_code == 200 and "Asha Example" in shown.text
        desk.client.cookies.set("syncer_session", "chosen-by-somebody-else")
        entered = await desk.client.post(f"/login/{token}")
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"]
        assert (
            re.search(r"HttpOnly; Max-Age=604800; Path=/; SameSite=Strict$", cookie)
            and "chosen" not in cookie
        )
        assert (await desk.browser().post(f"/login/{token}")).status_code == 404
        assert "used already" in (await desk.browser().get(f"/login/{token}")).text
        home = await desk.client.get("/", headers={"cookie": cookie.partition(";")[0]})
        assert home.status_code == 200 and "Asha Example" in home.text
        content = desk.sessions.path.read_text()
        assert token not in content and cookie.partition("=")[2].partition(";")[0] not in content
        assert stat.S_IMODE(desk.sessions.path.stat().st_mode) == 0o600


async def test_a_link_lives_an_hour_and_a_session_as_long_as_was_said(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        late = desk.sessions.invite("Asha Example", Role.LOOK, timedelta(hours=5))
        desk.clock.at += LINK
        assert (await desk.client.post(f"/login/{late}")).status_code == 404
        client = await desk.log_in()
        desk.clock.pass_(days=29)
        assert (await client.get("/")).status_code == 200
        desk.clock.pass_(days=1)
        assert (await client.get("/")).status_code == 303


async def test_revoking_ends_sessions_and_links_at_once(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        asha, other = await desk.log_in(), await desk.log_in(name="Devan Example")
        link = desk.sessions.invite("Asha Example", Role.LOOK, timedelta(days=1))
        elsewhere = Sessions(desk.path, desk.clock.now)
        assert elsewhere.revoke("Asha Example") == (1, 1)
        assert (await asha.get("/")).status_code == 303
        assert (await desk.browser().post(f"/login/{link}")).status_code == 404
        assert (await other.get("/")).status_code == 200
        assert (await other.post("/logout")).headers["location"] == "/login"
        assert (await other.get("/")).status_code == 303
        assert desk.sessions.usable() == ()


async def test_a_damaged_file_lets_nobody_in_and_says_so(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        client = await desk.log_in()
        desk.sessions.path.write_text("{}")
        answer = await client.get("/")
        assert answer.status_code == 503 and "damaged" in answer.text
        with pytest.raises(StoreError, match="damaged"):
            desk.sessions.invite("Asha Example", Role.LOOK, timedelta(days=1))


async def test_guessing_ends_after_a_few_tries(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        token = desk.sessions.invite("Asha Example", Role.LOOK, timedelta(days=1))
        guesses = [(await desk.client.post(f"/login/guess-{n}")).status_code for n in range(ATTEMPTS + 1)]
        assert guesses == [404] * ATTEMPTS + [429]
        barred = await desk.client.get(f"/login/{token}")
        assert barred.status_code == 429 and barred.headers["retry-after"] == "60"
        assert (await desk.browser("192.0.2.7").get(f"/login/{token}")).status_code == 200
        desk.mono += SPAN
        assert (await desk.client.post(f"/login/{token}")).status_code == 303


@pytest.mark.parametrize("role", Role)
async def test_a_role_that_does_not_suffice_is_403_and_changes_nothing(
    make_desk: MakeDesk, role: Role
) -> None:
    async with make_desk() as desk:
        desk.call()
        client = await desk.log_in(role)
        done = await client.post("/callbacks/done", data={"phone": "+919200000001"})
        assert done.status_code == (403 if role is Role.LOOK else 303)
        assert desk.sql("SELECT count(*) FROM callback_marks") == [(0 if role is Role.LOOK else 1,)]
        page = (await client.get("/callbacks")).text
        assert ("/callbacks/done" in page) is False
        if role is Role.LOOK:
            assert "role “edit”, and yours is “look”" in done.text


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({"Origin": "http://127.0.0.1:9464"}, 303),
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9464"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9465"}, 403),
    ],
)
async def test_only_the_page_itself_can_change_something(
    make_desk: MakeDesk, headers: dict[str, str], status: int
) -> None:
    async with make_desk() as desk:
        desk.call()
        client = await desk.log_in()
        del client.headers["Sec-Fetch-Site"]
        answer = await client.post("/callbacks/done", data={"phone": "+919200000001"}, headers=headers)
        assert answer.status_code == status
        assert desk.sql("SELECT count(*) FROM callback_marks") == [(int(status == 303),)]
        link = desk.sessions.invite("Devan Example", Role.LOOK, timedelta(days=1))
        stranger = desk.browser()
        del stranger.headers["Sec-Fetch-Site"]
        assert (await stranger.post(f"/login/{link}", headers=headers)).status_code == status
        assert (await client.post("/logout", headers=headers)).status_code == status


async def test_a_proxy_may_pass_on_another_host(make_desk: MakeDesk) -> None:
    async with make_desk(url="https://sync.example.com") as desk:
        desk.call()
        client = await desk.log_in()
        del client.headers["Sec-Fetch-Site"]
        for origin, status in {"https://evil.example": 403, "https://sync.example.com": 303}.items():
            headers = {"Origin": origin, "Cookie": f"syncer_session={client.cookies['syncer_session']}"}
            for path in ("/callbacks/done", "/logout"):
                answer = await client.post(path, data={"phone": "+919200000001"}, headers=headers)
                assert answer.status_code == status, path


async def test_a_mistake_of_the_program_bears_the_headers_too(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_desk() as desk:
        client = await desk.log_in()
        monkeypatch.setattr(page_queries, "list_calls", lambda *_, **__: 1 / 0)
        transport = httpx.ASGITransport(app=desk.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=client.cookies) as browser:
            answer = await browser.get("/calls")
        assert answer.status_code == 500 and "a bug in syncer" in text_of(answer)
        _safe(answer)
        with pytest.raises(ZeroDivisionError):
            await client.get("/calls")


async def test_a_name_that_points_here_is_turned_away(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        client = await desk.log_in()
        for host in ("evil.example", "127.0.0.1.evil.example:9464", ""):
            answer = await client.get("/", headers={"Host": host})
            assert answer.status_code == 400 and "Asha" not in answer.text
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def _safe(answer: httpx.Response) -> None:
    headers = answer.headers
    assert headers["content-security-policy"].startswith("default-src 'none';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store" or "/static/" in str(answer.url)
    assert not re.search(r"<style|<script(?! src=)|\sstyle=|\son[a-z]+=|javascript:", answer.text)


async def test_every_answer_bears_the_headers_and_nothing_inline(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        desk.contact()
        desk.call()
        client = await desk.log_in()
        for path in (*PAGES, "/login", "/login/wrong", "/contacts/x", "/contacts/99", "/static/0/none"):
            for browser in (client, desk.client):
                _safe(await browser.get(path))
        for answer in (
            await client.put("/callbacks"),
            await client.post("/callbacks/done", data={"phone": "x"}),
            await desk.client.post("/callbacks/done"),
            await client.post("/callbacks/done", content=b"x" * 300_000),
            await client.post("/no-such-page"),
        ):
            assert answer.status_code >= 400
            _safe(answer)
        found = re.findall(r'(?:href|src)="(/static/[^"]+)"', (await client.get("/")).text)
        assert len(set(found)) == 3
        for path in set(found):
            kept = await desk.client.get(path)
            assert kept.status_code == 200 and "immutable" in kept.headers["cache-control"]
            _safe(kept)


@pytest.mark.parametrize(
    "url, scheme, secure",
    [(None, "http", False), (None, "https", True), ("https://sync.example.com", "http", True)],
)
async def test_a_cookie_that_came_by_https_goes_by_https_only(
    make_desk: MakeDesk, url: str | None, scheme: str, secure: bool
) -> None:
    async with make_desk(**({"url": url} if url else {})) as desk:
        token = desk.sessions.invite("Asha Example", Role.LOOK, timedelta(days=1))
        host = "sync.example.com" if url else "127.0.0.1"
        answer = await desk.client.post(f"{scheme}://{host}/login/{token}")
        assert answer.status_code == 303
        assert ("Secure" in answer.headers["set-cookie"]) is secure


@pytest.mark.parametrize(
    "content, kind, status",
    [
        (b"phone=%2B919200000001", "application/x-www-form-urlencoded; charset=utf-8", 303),
        (b"phone=" + b"1" * 300_000, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"a%d=1" % n for n in range(100)), "application/x-www-form-urlencoded", 400),
        (b"phone=\xff", "application/x-www-form-urlencoded", 400),
        (b"phone=%ff", "application/x-www-form-urlencoded", 400),
        (b'{"phone": "+919200000001"}', "application/json", 415),
        (b"", "application/x-www-form-urlencoded", 422),
        (b"phone=%2B919200000001&note=a%0Ab", "application/x-www-form-urlencoded", 422),
        (b"phone=%2B919200000001&note=" + b"n" * 1001, "application/x-www-form-urlencoded", 422),
    ],
)
async def test_odd_forms_are_refused(make_desk: MakeDesk, content: bytes, kind: str, status: int) -> None:
    async with make_desk() as desk:
        desk.call()
        client = await desk.log_in()
        answer = await client.post("/callbacks/done", content=content, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert desk.sql("SELECT count(*) FROM callback_marks") == [(int(status == 303),)]


async def test_a_name_cannot_add_a_header_or_a_script(make_desk: MakeDesk) -> None:
    evil = "<script>alert(1)</script>\"'&"
    async with make_desk() as desk:
        client = await desk.log_in(name=evil)
        home = await client.get("/")
        assert "<script>alert" not in home.text and "alert(1)" in text_of(home)
