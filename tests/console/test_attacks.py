"""Clients that mean harm, or that a busy database keeps waiting: nobody else notices them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from syncer.config import Http
from syncer.console import work
from syncer.core.console import Role
from syncer.daemon.listener import Server
from syncer.daemon.pages import listen
from syncer.logs import Edges
from tests.console.conftest import CONFIG, Desk, MakeDesk
from tests.daemon.conftest import free_port
from tests.daemon.test_listener import SOON, Logged

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def on_a_socket(folder: Path, prepared: Path, patience: float = 5.0) -> AsyncIterator[tuple[Desk, int]]:
    shutil.copy(prepared, folder / "syncer.db")
    port = free_port()
    desk = Desk(folder, CONFIG | {"http": CONFIG["http"] | {"listen": f"127.0.0.1:{port}"}})
    server = Server(desk.app, Edges(), Logged(), patience=patience)
    task = asyncio.create_task(server.serve(sockets=[listen(Http(("127.0.0.1", port)))]))
    try:
        yield desk, port
    finally:
        server.finish()
        async with asyncio.timeout(SOON):
            await task
        await desk.aclose()


async def test_idle_and_slow_clients_take_nobodys_place(tmp_path: Path, prepared: Path) -> None:
    async with on_a_socket(tmp_path, prepared, patience=1.0) as (desk, port):
        token = (await desk.log_in(Role.EDIT)).cookies["syncer_session"]
        desk.call()
        made = []
        for n in range(200):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if n % 5 == 0:  # a form that never ends
                writer.write(
                    b"POST /callbacks/done HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n"
                    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n"
                    b"Cookie: syncer_session=" + token.encode() + b"\r\n\r\nphone="
                )
            made.append((reader, writer))
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", cookies={"syncer_session": token}
        ) as client:
            began = time.monotonic()
            assert (await client.get("/callbacks")).status_code == 200
            done = {"phone": "+919200000001"}
            answer = await client.post(
                "/callbacks/done", data=done, headers={"Sec-Fetch-Site": "same-origin"}
            )
            assert answer.status_code == 303 and time.monotonic() - began < SOON
        for _, writer in made:
            writer.close()
        assert desk.sql("SELECT count(*) FROM callback_marks") == [(1,)]


async def test_an_action_that_waits_for_another_program_delays_no_page(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_LOCKS", 0.5)
    async with make_desk() as desk:
        desk.call()
        client = await desk.log_in()
        with contextlib.closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(client.post("/callbacks/done", data={"phone": "+919200000001"}))
            pages = 0
            while not waiting.done():
                assert (await client.get("/callbacks")).status_code == 200
                pages += 1
            answer = await waiting
            other.execute("ROLLBACK")
        assert pages > 5 and answer.status_code == 503
        assert (await client.post("/callbacks/done", data={"phone": "+919200000001"})).status_code == 303


@pytest.mark.parametrize(
    "path",
    [
        "/static/x/../page.py", "/static/0/..%2f..%2fapp.py", "/static/0/%2e%2e/app.py", "/contacts/1%00", "/who/%00", "/login/%0d%0aX:y",
        "/login/" + "x" * 4000, "/contacts?q=" + "%25" * 500, "/calls?q=%00", "/contacts?page=1e9", "/queue/-1", "//evil.example/",
    ],
)  # fmt: skip
async def test_odd_addresses_are_pages_that_say_so(make_desk: MakeDesk, path: str) -> None:
    async with make_desk() as desk:
        answer = await (await desk.log_in()).get(path)
        assert answer.status_code in (200, 404)
        assert "x" not in {name.lower() for name in answer.headers} and "Console" not in answer.text
