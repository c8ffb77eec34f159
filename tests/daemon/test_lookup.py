"""Lookups and phonebooks: who may ask, what is answered, and that no question delays the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sqlite3
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from syncer.config import Http, Settings
from syncer.config.load import settings_from
from syncer.core.access import MOST
from syncer.core.phonebook import FORMATS
from syncer.daemon import web
from syncer.daemon.listener import Server
from syncer.daemon.lookup import AT_ONCE, Lookups
from syncer.daemon.pages import listen
from syncer.daemon.reader import ThreadedReader
from syncer.errors import StoreBusyError, StoreError
from syncer.logs import Edges
from syncer.store.db.connection import Database
from syncer.store.db.read_only import Reader, first
from tests.daemon.conftest import TELECMI, Daemon, free_port, until
from tests.daemon.test_listener import SOON, Logged, figures, well

KEY, OTHER = "pbx-key-0123456789", "phones-key-0123456789"
NUMBER = "+919200000001"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class Pbx:
    """The pages on a real socket, over a real database, and a client of them."""

    def __init__(self, folder: Path, database: Path, at_once: int) -> None:
        shutil.copy(database, folder / "syncer.db")
        self.raw: dict[str, Any] = {
            "telecmi": {"main": TELECMI},
            "http": {"listen": "127.0.0.1:9464"},
            "lookup": {"pbx": {"key": KEY}, "phones": {"key": OTHER}},
        }
        self.folder = folder
        self.settings: Settings = settings_from(self.raw, folder, {})
        self.clock = 1000.0
        self.log = Logged()
        self.lookups = Lookups(
            lambda: self.settings,
            {"telecmi_contacts": "telecmi-contacts"},
            lambda: NOW,
            self.log,
            mono=lambda: self.clock,
            at_once=at_once,
        )
        self.client = httpx.AsyncClient()
        self.server: Server

    def write(self, *statements: str) -> None:
        with Database(self.settings.database.path) as db, db.write() as conn:
            for statement in statements:
                conn.exec_driver_sql(statement)

    def contact(self, n: int = 1, name: str = "Asha", last: str = "Example", company: str = "Acme") -> None:
        self.write(
            "INSERT INTO telecmi_contacts (account, contact_id, phone_e164, first_name, last_name, company) "
            f"VALUES ('main', 'c-{n}', '+9192000{n:05d}', '{name}', '{last}', '{company}')"
        )

    async def get(self, path: str, key: str | None = KEY, **headers: str) -> httpx.Response:
        self.clock += 1.0
        shown = {} if key is None else {"X-Api-Key": key}
        return await self.client.get(path, headers=shown | headers)


def many_contacts() -> Iterator[str]:
    """More than the sockets between a client and the server hold."""
    rows = ", ".join(f"('main', 'c-{n}', '+9192000{n:05d}', 'A', '{'x' * 400}')" for n in range(20_000))
    yield f"INSERT INTO telecmi_contacts (account, contact_id, phone_e164, first_name, last_name) VALUES {rows}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    shutil.copy(empty_database, tmp_path / "empty.db")
    return tmp_path


@asynccontextmanager
async def serving(folder: Path, at_once: int = AT_ONCE) -> AsyncIterator[Pbx]:
    made = Pbx(folder, folder / "empty.db", at_once)
    port = free_port()
    hosts = Http(("127.0.0.1", port)).allowed_hosts
    app = web.create_app(well, figures, hosts, made.lookups.routes())
    server = made.server = Server(app, Edges(), Logged())
    task = asyncio.create_task(server.serve(sockets=[listen(Http(("127.0.0.1", port)))]))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as made.client:
            yield made
    finally:
        made.lookups.close()
        server.finish()
        async with asyncio.timeout(SOON):
            await task


@pytest.mark.anyio
async def test_a_number_in_any_spelling_gives_the_name_and_its_age(folder: Path) -> None:
    async with serving(folder) as pbx:
        pbx.contact(company="Acme & Sons")
        assert (await pbx.get(f"/lookup?number={NUMBER}")).json()["age_s"] is None  # never pulled
        pbx.write(
            "INSERT OR REPLACE INTO sync_jobs (job, account, provider, every_s, last_ok_at) "
            "VALUES ('telecmi-contacts', 'main', 'telecmi', 900, '2026-11-21T11:58:00.000Z')"
        )
        for written in (NUMBER, "%2B919200000001", "9200000001", "0091 92000 00001"):
            answer = await pbx.get(f"/lookup?number={written}")
            assert answer.status_code == 200
            assert answer.json() == {
                "phone_e164": NUMBER,
                "name": "Asha Example",
                "company": "Acme & Sons",
                "provider": "telecmi",
                "age_s": 120,
            }
        for asked in (
            await pbx.get(f"/lookup?number={NUMBER}&format=text"),
            await pbx.get(f"/lookup?number={NUMBER}", Accept="text/plain"),
        ):
            assert (asked.text, asked.headers["content-type"]) == (
                "Asha Example",
                "text/plain; charset=utf-8",
            )
        pbx.write("UPDATE telecmi_contacts SET first_name = NULL, last_name = ''")
        assert (await pbx.get(f"/lookup?number={NUMBER}&format=text")).text == "Acme & Sons"


@pytest.mark.anyio
@pytest.mark.parametrize("number", ["+919299999999", "anonymous", "", "%2B91xxxxxx2999", "%ff", "1" * 400])
async def test_an_unknown_number_is_an_empty_404(folder: Path, number: str) -> None:
    async with serving(folder) as pbx:
        answer = await pbx.get(f"/lookup?number={number}")
        assert (answer.status_code, answer.content) == (404, b"")
        assert (await pbx.get("/lookup")).status_code == 404


@pytest.mark.anyio
async def test_only_who_shows_a_key_is_answered(folder: Path) -> None:
    async with serving(folder) as pbx:
        pbx.contact()
        path = f"/lookup?number={NUMBER}"
        for key, headers, query, status in [
            (KEY, {}, "", 200),
            (None, {"Authorization": f"Bearer {OTHER}"}, "", 200),
            (None, {"Authorization": f"Basic {b64encode(f'phone:{KEY}'.encode()).decode()}"}, "", 200),
            (None, {}, f"&key={KEY}", 200),
            (None, {}, "", 401),
            (None, {}, "&key=", 401),
            (KEY[:-1], {}, f"&key={KEY}", 401),
            (None, {}, "&key=schl%C3%BCssel", 401),
        ]:
            answer = await pbx.get(path + query, key, **headers)
            assert answer.status_code == status, (key, headers, query)
            assert KEY not in answer.text
        assert (await pbx.get("/phonebook/yealink.xml", "wrong")).status_code == 401
        assert (await pbx.get("/healthz", None)).status_code == 200
        pbx.settings = settings_from({"telecmi": {"main": TELECMI}}, folder, {})
        assert (await pbx.get(path)).status_code == 404  # no key in the config: nothing is there


@pytest.mark.anyio
async def test_a_key_has_twenty_requests_a_second(folder: Path) -> None:
    async with serving(folder) as pbx:
        pbx.contact()

        async def ask(key: str) -> int:
            pbx.clock -= 1.0
            return (await pbx.get(f"/lookup?number={NUMBER}", key)).status_code

        assert [await ask(KEY) for _ in range(MOST + 2)] == [200] * MOST + [429, 429]
        assert await ask(OTHER) == 200
        pbx.clock += 1.0
        assert await ask(KEY) == 200


@pytest.mark.anyio
@pytest.mark.parametrize("name", FORMATS)
async def test_a_phonebook_has_every_contact(folder: Path, name: str) -> None:
    async with serving(folder) as pbx:
        rows = ", ".join(
            f"('main', 'c-{n}', '+9192000{n:05d}', 'Asha', '<{n:03d}> & Co')" for n in range(120)
        )
        pbx.write(
            f"INSERT INTO telecmi_contacts (account, contact_id, phone_e164, first_name, last_name) VALUES {rows}"
        )
        answer = await pbx.get(f"/phonebook/{name}", OTHER)
        assert (answer.status_code, answer.headers["content-type"]) == (200, FORMATS[name].media_type)
        if name.endswith(".xml"):
            book = ElementTree.fromstring(answer.text)
            numbers = [one.text for one in book.iter() if one.tag in ("Telephone", "phonenumber")]
        else:
            numbers = [line.rpartition(":")[2] for line in answer.text.splitlines() if line.startswith("TEL")]
        assert numbers == [f"+9192000{n:05d}" for n in range(120)]


@pytest.mark.anyio
async def test_a_phone_that_takes_few_entries_goes_on_to_the_next_page(folder: Path) -> None:
    async with serving(folder) as pbx:
        for n in range(5):
            pbx.contact(n, last=f"{n}")
        seen, path = [], f"/phonebook/cisco.xml?limit=2&key={KEY}"
        while path:
            answer = await pbx.get(path, None)
            seen.append([one.text for one in ElementTree.fromstring(answer.text).iter("Name")])
            path = answer.headers.get("refresh", "").removeprefix("0; url=")
        assert seen == [["Asha 0", "Asha 1"], ["Asha 2", "Asha 3"], ["Asha 4"]]
        assert "refresh" not in (await pbx.get("/phonebook/yealink.xml?limit=2")).headers
        for wrong in ("limit=0", "limit=x", "start=-1", "start=1e9"):
            assert (await pbx.get(f"/phonebook/cisco.xml?{wrong}")).status_code == 400
        grandstream, phonebook = (
            await pbx.get("/phonebook/grandstream.xml"),
            await pbx.get("/phonebook/phonebook.xml"),
        )
        assert grandstream.text == phonebook.text
        assert "yealink.xml, grandstream.xml" in (await pbx.get("/phonebook/other.xml")).text


@pytest.mark.anyio
async def test_phonebooks_that_nobody_reads_are_few_and_hold_no_snapshot(folder: Path) -> None:
    async with serving(folder, at_once=2) as pbx:
        pbx.write(*many_contacts())
        path = f"/phonebook/yealink.xml?key={KEY}"
        async with pbx.client.stream("GET", path) as one, pbx.client.stream("GET", path) as two:
            assert (one.status_code, two.status_code) == (200, 200)
            assert (await pbx.get(path)).status_code == 503
            assert (await pbx.get("/lookup?number=+919200000007")).status_code == 200
            with contextlib.closing(sqlite3.connect(pbx.settings.database.path)) as conn:
                assert conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0  # nobody holds it
        async with asyncio.timeout(SOON):
            while (await pbx.get("/phonebook/yealink.xml?limit=1")).status_code != 200:
                await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_an_end_cuts_a_phonebook_that_is_being_read(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(folder) as pbx:
        pbx.write(*many_contacts())
        async with pbx.client.stream("GET", f"/phonebook/yealink.xml?key={KEY}") as book:
            parts = book.aiter_raw()
            assert (await anext(parts)).startswith(b"<?xml")
            pbx.server.finish()
            with pytest.raises(httpx.TransportError):
                async for _ in parts:
                    pass
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.anyio
async def test_a_phonebook_that_breaks_off_does_not_look_whole(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(folder) as pbx:
        pbx.write(*many_contacts())
        async with pbx.client.stream("GET", f"/phonebook/contacts.vcf?key={KEY}") as book:
            parts = book.aiter_raw()
            await anext(parts)
            with sqlite3.connect(pbx.settings.database.path) as conn:  # a person drops a view
                conn.execute("DROP VIEW contacts")
            with pytest.raises(httpx.TransportError):
                async for _ in parts:
                    pass
        assert pbx.log == ["a phonebook could not be finished"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.mark.anyio
async def test_a_slow_query_is_given_up_and_the_loop_goes_on(folder: Path) -> None:
    reader, path = ThreadedReader("test"), folder / "empty.db"

    def query(sql: str) -> Callable[[Reader], Any]:
        return lambda conn: first(conn, sql)

    slow = asyncio.create_task(reader.ask(path, query(ENDLESS), 0.2))
    waiting = asyncio.create_task(reader.ask(path, query("SELECT 1"), 0.1))
    turns = 0
    while not slow.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 20
    with pytest.raises(StoreBusyError, match="took too long"):
        await slow
    with pytest.raises(StoreBusyError, match="in time"):
        await waiting
    assert await reader.ask(path, query("SELECT 2"), SOON) == 2
    with pytest.raises(StoreError):
        await reader.ask(path, query("SELECT * FROM no_such_table"), SOON)
    assert await reader.ask(path, query("SELECT 3"), SOON) == 3
    reader.close()


@pytest.mark.anyio
async def test_a_database_in_trouble_is_a_503(folder: Path) -> None:
    async with serving(folder) as pbx:
        pbx.settings.database.path.unlink()
        assert (await pbx.get(f"/lookup?number={NUMBER}")).status_code == 503
        assert (await pbx.get("/phonebook/contacts.vcf")).status_code == 503
        assert (await pbx.get("/phonebook/contacts.vcf")).status_code == 503


def test_the_daemon_takes_new_keys_and_logs_none(daemon: Daemon) -> None:
    port = free_port()
    http = f'[http]\nlisten = "127.0.0.1:{port}"\n'
    daemon.configure(extra=f'{http}[lookup.pbx]\nkey = "{KEY}"\n')
    daemon.edit(
        "INSERT INTO telecmi_contacts (account, phone_no, first_name, last_name) "
        "VALUES ('main', '9200000001', 'Asha', 'Example')"
    )
    process = daemon.start()
    url = f"http://127.0.0.1:{port}/lookup?number={NUMBER}"

    def status(key: str) -> int:
        try:
            return httpx.get(url, headers={"X-Api-Key": key}).status_code
        except httpx.ConnectError:
            return 0

    until(lambda: status(KEY) == 200, "the name, once the daemon has read the number")
    found = json.loads(httpx.get(f"{url}&key={KEY}").text)
    assert (found["name"], found["provider"]) == ("Asha Example", "telecmi")
    daemon.wait_for_first_round()
    daemon.configure(extra=f'{http}[lookup.pbx]\nkey = "{OTHER}"\n')
    process.send_signal(signal.SIGHUP)
    until(lambda: status(OTHER) == 200, "the new key")
    assert status(KEY) == 401
    assert daemon.end(process)[0] == 0
    assert KEY not in daemon.text() and OTHER not in daemon.text()
