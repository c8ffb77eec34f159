"""The listener: what its pages answer, to whom, and that no client takes what the jobs and honest clients need."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import httpx
import pytest

from syncer.config import Http
from syncer.daemon import listener, web
from syncer.daemon.listener import Server
from syncer.daemon.pages import ListenError, listen
from syncer.errors import StoreError
from syncer.logs import Edges
from tests.daemon.conftest import Daemon, Sandbox, free_port, until

#: A client's patience in seconds: the daemon answers at once, but on a busy machine.
SOON = 10.0


async def well() -> tuple[bool, dict[str, Any]]:
    return True, {"status": "ok"}


async def figures() -> bytes:
    return b"syncer_up 1\n"


class Logged(list[str]):
    """A log that keeps its events."""

    def warning(self, event: str, **_: object) -> None:
        self.append(event)

    info = warning


@asynccontextmanager
async def serving(
    *, patience: float = listener.PATIENCE, hosts: frozenset[str] = Http(("127.0.0.1", 0)).allowed_hosts
) -> AsyncIterator[tuple[int, Server, Logged]]:
    port, log = free_port(), Logged()
    server = Server(web.create_app(well, figures, hosts), Edges(), log, patience=patience)
    task = asyncio.create_task(server.serve(sockets=[listen(Http(("127.0.0.1", port)))]))
    try:
        yield port, server, log
    finally:
        server.finish()
        async with asyncio.timeout(SOON):
            await task


async def raw(port: int, sent: bytes) -> bytes:
    """Send this, and read until the other side closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        async with asyncio.timeout(SOON):
            return await reader.read()
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


def request(path: str = "/healthz", host: str = "localhost", *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *more, "", ""]).encode()


async def ask(app: Any, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return await client.get(path)


@pytest.mark.anyio
async def test_a_database_in_trouble_is_a_503_that_says_why() -> None:
    async def trouble() -> Any:
        raise StoreError("the disk that holds the database is full")

    app = web.create_app(trouble, trouble, {"localhost"})
    health = await ask(app, "/healthz")
    assert health.status_code == 503
    assert health.json()["reasons"] == ["the disk that holds the database is full"]
    page = await ask(app, "/metrics")
    assert page.status_code == 503
    assert "disk" in page.text


@pytest.mark.anyio
async def test_pages_are_served_without_delay_and_stop_on_request() -> None:
    async with serving() as (port, _, _), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "server" not in answer.headers
        assert (await client.post("/metrics")).status_code == 405
        with pytest.raises(ListenError, match=str(port)):
            listen(Http(("127.0.0.1", port)))


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_reported(host: str) -> None:
    with pytest.raises(ListenError, match=r"http\.listen"):
        listen(Http((host, free_port())))


# -- whom it answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LocalHost:9464", 200),
        ("127.0.0.1:80", 200),
        ("[::1]", 200),
        ("[::1]:9464", 200),
        ("rebound.example.com", 400),
        ("rebound.example.com:9464", 400),
        ("localhost.example.com", 400),
        ("localhost@example.com", 400),
        ("localhost:9464:9464", 400),
        ("localhost:port", 400),
        ("::1", 400),
        ("127.0.0.2", 400),
        ("", 400),
    ],
)
@pytest.mark.anyio
async def test_only_known_hosts_are_answered(host: str, status: int) -> None:
    async with serving() as (port, _, _):
        for path in ("/healthz", "/metrics", "/nothing"):
            answer = await raw(port, request(path, host, "Connection: close"))
            assert answer.startswith(
                b"HTTP/1.1 %d " % (404 if path == "/nothing" and status == 200 else status)
            )


@pytest.mark.anyio
async def test_a_request_without_a_host_is_refused() -> None:
    async with serving() as (port, _, _):
        assert (await raw(port, b"GET /healthz HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert (await raw(port, b"GET /healthz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.anyio
async def test_the_config_names_the_hosts() -> None:
    async with serving(hosts=frozenset({"sync.example.com"})) as (port, _, _):
        for host, status in (("sync.example.com:443", b"200"), ("localhost", b"400")):
            assert (await raw(port, request("/healthz", host, "Connection: close"))).split()[1] == status


# -- clients that send no whole request ----------------------------------------------------------------

HEAD = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("opening", "drip"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"G", b""),
        (b"GET /healthz HTTP/1.1\r\n", b"X-Drip: 1\r\n"),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (request(), b""),
        (request(), b"GET /"),
        (request() + b"GET /healthz HTTP/1.1\r\n", b"X-Drip: 1\r\n"),
    ],
    ids=[
        "silent",
        "blank lines",
        "a letter",
        "half a head",
        "a body",
        "chunks",
        "kept",
        "kept, then half",
        "pipelined",
    ],
)
@pytest.mark.anyio
async def test_a_request_has_to_arrive_in_time(opening: bytes, drip: bytes) -> None:
    """However it is dripped: neither a byte now and then nor an answered request before it gives more time."""
    async with serving(patience=0.6) as (port, server, _):
        began = time.monotonic()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(opening)
        await asyncio.sleep(0.1)
        assert len(server.server_state.connections) == 1
        while server.server_state.connections:
            assert time.monotonic() < began + SOON
            with contextlib.suppress(ConnectionError):
                writer.write(drip)
            await asyncio.sleep(0.1)
        writer.close()
        assert time.monotonic() - began < 4.0


@pytest.mark.anyio
async def test_a_slow_answer_is_not_cut_short() -> None:
    """The patience is for requests; the page itself may take longer."""

    async def slow() -> tuple[bool, dict[str, Any]]:
        await asyncio.sleep(0.8)
        return True, {"status": "slow"}

    port = free_port()
    server = Server(web.create_app(slow, figures, {"127.0.0.1"}), Edges(), Logged(), patience=0.3)
    task = asyncio.create_task(server.serve(sockets=[listen(Http(("127.0.0.1", port)))]))
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/healthz")).json() == {"status": "slow"}
    server.finish()
    await task


# -- too many clients ----------------------------------------------------------------------------------


@contextlib.contextmanager
def crowd(port: int, number: int, sent: bytes) -> Any:
    """So many clients that send this and then nothing more, as fast as they can be made."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            one = stack.enter_context(closing(socket.socket()))
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            with contextlib.suppress(OSError):
                one.send(sent)
        yield


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\n"], ids=["silent", "half a head"])
@pytest.mark.anyio
async def test_a_crowd_keeps_nobody_out_and_is_logged_once(sent: bytes) -> None:
    async with serving() as (port, server, log):
        for _ in range(2):
            with crowd(port, 300, sent):
                for _ in range(3):
                    assert b'"ok"' in await raw(port, request("/healthz", "localhost", "Connection: close"))
                assert len(server.server_state.connections) <= server.limit
        assert log == ["the pages have no room for connections; those that send no request are closed"]


@pytest.mark.parametrize(
    ("descriptors", "limit"),
    [(resource.RLIM_INFINITY, 64), (1024, 64), (100, 52), (64, 16), (16, 4)],
)
def test_descriptors_are_left_for_the_jobs(descriptors: int, limit: int) -> None:
    assert listener.room(descriptors) == limit


def test_a_crowd_stops_no_job(daemon: Daemon, sandbox: Sandbox) -> None:
    """With few descriptors, which clients could use up."""
    port = daemon.serve()
    process = daemon.start(64)
    daemon.wait_for_first_round()
    until(lambda: daemon.said("serving"), "the pages")
    contact = daemon.query("SELECT contact_id FROM telecmi_contacts WHERE id = 3")[0][0]
    with crowd(port, 100, b"GET /healthz HTTP/1.1\r\n"):
        daemon.edit("UPDATE telecmi_contacts SET company = 'Crowd Example' WHERE id = 3")
        until(lambda: sandbox.company(contact) == "Crowd Example", "the push")
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=SOON)
        assert answer.status_code == 200
        assert daemon.end(process)[0] == 0
    assert len(daemon.said("the pages have no room")) == 1
    assert daemon.log.stat().st_size < 20_000
    assert [one for one in daemon.events() if one["level"] == "error"] == []


@pytest.mark.anyio
async def test_rubbish_is_answered_and_not_logged(capfd: pytest.CaptureFixture[str]) -> None:
    async with serving() as (port, _, log):
        for rubbish in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"A" * 100_000):
            answer = await raw(port, rubbish)
            assert answer == b"reset" or answer.startswith(b"HTTP/1.1 400 ")
    assert log == []
    assert capfd.readouterr().err == ""
