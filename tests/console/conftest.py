"""The page over a real database, asked through ASGI, with time in the test's hand."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from syncer.config import Settings
from syncer.config.load import settings_from
from syncer.console.app import Console
from syncer.console.sessions import Sessions
from syncer.core.console import Role
from syncer.core.normalise import utc_text
from syncer.daemon import web
from syncer.store.db.connection import Database
from syncer.sync.env import Env, Store
from syncer.sync.open_database import open_database
from tests.daemon.test_listener import figures, well
from tests.office import VirtualClock
from tests.rows import insert

ORIGIN = "http://127.0.0.1:9464"
CONFIG: dict[str, Any] = {
    "telecmi": {
        "main": {
            "base_url": "http://127.0.0.1:9",
            "app_id": 1111113,
            "secret": "invented-secret",
            "user_id": "101_1111113",
            "password": "invented-password",
            "calls": {"enabled": True},
            "audio": {"enabled": True},
        }
    },
    "smartflo": {"main": {"base_url": "http://127.0.0.1:9", "token": "invented-token"}},
    "http": {"listen": "127.0.0.1:9464", "console": True},
}


class Desk:
    """The page, and somebody who uses it."""

    def __init__(self, folder: Path, raw: dict[str, Any]) -> None:
        self.settings: Settings = settings_from(raw, folder, {})
        self.clock = VirtualClock()
        self.mono = 1000.0
        self.path = self.settings.database.path
        db = Database(self.path)
        self.env = Env(self.settings, Store(db), self.clock, {})
        self.console = Console(lambda: self.env, lambda: self.mono)
        self.sessions = Sessions(self.path, self.clock.now)
        assert self.settings.http is not None
        self.app: Starlette = web.create_app(
            well, figures, self.settings.http.allowed_hosts, self.console.routes()
        )
        self.client = self.browser()
        self._db = db

    def browser(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A browser without a session."""
        transport = httpx.ASGITransport(app=self.app, client=(address, 5000))
        return httpx.AsyncClient(
            transport=transport, base_url=ORIGIN, headers={"Sec-Fetch-Site": "same-origin"}
        )

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=5)) as conn, conn:
            return conn.execute(statement, values).fetchall()

    def program(self, *statements: str) -> None:
        """As the program itself writes."""
        with Database(self.path) as db, db.write() as conn:
            for statement in statements:
                conn.exec_driver_sql(statement)

    async def log_in(self, role: Role = Role.APPROVE, name: str = "Asha Example") -> httpx.AsyncClient:
        """A browser with a session of its own."""
        client = self.browser()
        token = self.sessions.invite(name, role, timedelta(days=30))
        answer = await client.post(f"/login/{token}")
        assert answer.status_code == 303, answer.text
        return client

    async def aclose(self) -> None:
        await self.client.aclose()
        self.console.close()
        self.close()

    def close(self) -> None:
        self._db.close()

    # -- what is in the mirror

    def at(self, **ago: float) -> str:
        moment: datetime = self.clock.at - timedelta(**ago)
        return utc_text(moment)

    def contact(self, n: int = 1, first: str = "Asha", last: str = "Example", company: str = "Acme") -> int:
        """A contact that both sides agree on."""
        number = f"9192000{n:05d}"
        then = self.at(days=30)
        agreed = {
            "account": "main", "contact_id": f"c-{n}", "phone_no": number, "phone_e164": f"+{number}",
            "first_name": first, "last_name": last, "company": company,
        }  # fmt: skip
        with Database(self.path) as db, db.write() as conn:
            row = insert(
                conn, "telecmi_contacts", **agreed, first_seen_at=then, last_changed_at=then, raw="{}"
            )
            insert(conn, "contact_base", row_id=row, source="directory", **agreed)
        return row

    def call(self, n: int = 1, kind: str = "missed", **ago: float) -> None:
        """A call of TeleCMI with somebody."""
        at = self.at(**(ago or {"hours": 1}))
        self.program(
            "INSERT INTO telecmi_calls (account, kind, cmiuid, from_number, phone_e164, agent, duration, started_at, "
            f"first_seen_at) VALUES ('main', '{kind}', 'u-{kind}-{n}-{at}', '9192000{n:05d}', '+9192000{n:05d}', '101', 12, "
            f"'{at}', '{at}')"
        )

    def voicemail(self, n: int = 1, audio: bytes | None = None, **ago: float) -> int:
        at = self.at(**(ago or {"hours": 1}))
        with Database(self.path) as db, db.write() as conn:
            row = conn.exec_driver_sql(
                "INSERT INTO telecmi_voicemails (account, voicename, time, from_number, phone_e164, received_at, first_seen_at) "
                f"VALUES ('main', 'v-{n}-{at}.wav', 0, '9192000{n:05d}', '+9192000{n:05d}', '{at}', '{at}')"
            ).lastrowid
            if audio is not None:
                path = f"main/2026-11/v-{row}.wav"
                place = self.settings.audio.path / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(audio)
                conn.exec_driver_sql(
                    "INSERT INTO voicemail_audio (voicemail, state, path, bytes, sha256, media_type) VALUES "
                    f"({row}, 'kept', '{path}', {len(audio)}, 'x', 'audio/wav')"
                )
        return int(row)


def text_of(answer: httpx.Response) -> str:
    """What a reader sees, on one line."""
    body = answer.text.partition("<body")[2].partition(">")[2]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of this config: migrating takes a second each time."""
    folder = tmp_path_factory.mktemp("console")
    open_database(settings_from(CONFIG, folder, {})).close()
    return folder / "syncer.db"


MakeDesk = Callable[..., Any]


@pytest.fixture
def make_desk(tmp_path: Path, prepared: Path) -> MakeDesk:
    @asynccontextmanager
    async def make(**http: Any) -> AsyncIterator[Desk]:
        shutil.copy(prepared, tmp_path / "syncer.db")
        made = Desk(tmp_path, CONFIG | {"http": CONFIG["http"] | http})
        try:
            yield made
        finally:
            await made.aclose()

    return make
