"""The page on a real socket, over a mirror with something of everything in it, for a browser to visit."""

from __future__ import annotations

import asyncio
import io
import json
import math
import queue
import struct
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from syncer.config import Http
from syncer.core.console import Role
from syncer.daemon.listener import Server
from syncer.daemon.pages import listen
from syncer.logs import Edges
from tests.console.conftest import CONFIG, Desk
from tests.daemon.conftest import free_port
from tests.daemon.test_listener import Logged

PEOPLE = [
    ("Asha", "Example", "Acme Example"),
    ("Devan", "Sample", "Sample Traders"),
    ("Meera", "Specimen", "Invented Mills"),
    ("Kiran", "Placeholder", "Nowhere Foods"),
    ("Nila", "Instance", ""),
    ("Omar", "Demo", "Example Labs"),
]


class Site:
    """A running page, and what a test does behind its back."""

    def __init__(self, desk: Desk, port: int) -> None:
        self.desk = desk
        self.url = f"http://127.0.0.1:{port}"

    def link(self, name: str = "Asha Example", role: Role = Role.APPROVE) -> str:
        return f"{self.url}/login/{self.desk.sessions.invite(name, role, timedelta(days=1))}"


def tone(seconds: float = 0.4) -> bytes:
    """A recording that a browser can play."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        count = int(8000 * seconds)
        file.writeframes(
            b"".join(
                struct.pack("<h", int(6000 * math.sin(2 * math.pi * 440 * n / 8000))) for n in range(count)
            )
        )
    return out.getvalue()


def fill(desk: Desk) -> None:
    """People who called, some of them unknown; conflicts, refusals, holds, and jobs that ran."""
    rows = [desk.contact(n, *person) for n, person in enumerate(PEOPLE, start=1)]
    for n in range(1, 9):
        desk.call(n, hours=3 * n)
        desk.call(n, "answered", days=n)
    desk.call(4, hours=1)
    desk.voicemail(2, tone(), hours=2)
    desk.voicemail(7, tone(), hours=5)
    desk.voicemail(8, hours=20)
    desk.sql("UPDATE telecmi_contacts SET company = 'Acme Mills' WHERE id = ?", rows[0])
    clashes = {"company": {"base": "Acme Example", "local": "Acme Mills", "remote": "Acme Foods"}}
    desk.program(
        f"UPDATE change_queue SET state = 'conflict', clashes = '{json.dumps(clashes)}', "
        """fields = '{"company": "Acme Mills"}'"""
    )
    desk.sql("UPDATE telecmi_contacts SET job_title = 'Head of Samples' WHERE id = ?", rows[1])
    desk.program(
        "UPDATE change_queue SET state = 'rejected', last_error = 'job_title is too long', sent_at = created_at WHERE id = 2"
    )
    desk.sql("DELETE FROM telecmi_contacts WHERE id = ?", rows[5])
    desk.program(
        "INSERT INTO held (job, account, reason, rows, created_at) VALUES ('telecmi-contacts', 'main', "
        f"'2 of 6 rows would go, more than max_deletions = 10%', 2, '{desk.at(hours=2)}')",
        f"INSERT INTO held_rows (held_id, table_name, row_id, field) VALUES (1, 'telecmi_contacts', {rows[2]}, ''), "
        f"(1, 'telecmi_contacts', {rows[3]}, 'company')",
    )
    jobs = ("telecmi-contacts", "telecmi-voicemails", "telecmi-calls", "telecmi-push", "smartflo-contacts")
    listing = json.dumps({"verdict": "complete", "whole": True})
    runs = []
    for job in jobs:
        runs.append(f"UPDATE sync_jobs SET last_ok_at = '{desk.at(minutes=1)}' WHERE job = '{job}'")
        for n in range(30):
            outcome = "failed" if n % 13 == 5 else "incomplete" if n % 11 == 7 else "ok"
            at = desk.at(minutes=5 * (30 - n))
            runs.append(
                "INSERT INTO sync_runs (job, account, started_at, finished_at, outcome, seen, listing) VALUES "
                f"('{job}', 'main', '{at}', '{at}', '{outcome}', 250, '{listing}')"
            )
    desk.program(*runs)


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    """The page in a thread with a loop of its own."""
    port = free_port()
    http = CONFIG["http"] | {"listen": f"127.0.0.1:{port}"}
    desk = Desk(folder, CONFIG | {"http": http})
    desk.clock.at = datetime.now(UTC)
    fill(desk)
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, Server]] = queue.Queue()

    async def serve() -> None:
        server = Server(desk.app, Edges(), Logged())
        started.put((asyncio.get_running_loop(), server))
        await server.serve(sockets=[listen(Http(("127.0.0.1", port)))])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    loop, server = started.get(timeout=10)
    try:
        yield Site(desk, port)
    finally:
        loop.call_soon_threadsafe(server.finish)
        thread.join(10)
        desk.console.close()
        desk.close()
