"""A resource is declared once: an invented vendor, declared outside the package, is reached by every part of it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = [
    {"id": 7, "name": "Asha Example", "phone": "92000 00001"},
    {"id": 8, "name": "Ravi Example", "phone": "+919200000002"},
    {"id": 9, "name": "Meena Example", "phone": None},
]


class Vendor(BaseHTTPRequestHandler):
    """Acme's one call, in pages of two."""

    leads: ClassVar[list[dict[str, Any]]] = []
    keys: ClassVar[set[str | None]] = set()

    def do_GET(self) -> None:
        self.keys.add(self.headers["X-Key"])
        page = int(parse_qs(urlsplit(self.path).query)["page"][0])
        rows = self.leads[2 * page - 2 : 2 * page]
        body = json.dumps({"leads": rows, "total": len(self.leads)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Site:
    """A folder with a config, and `syncer` with the vendor in it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.database = folder, folder / "mirror.db"
        self.config = folder / "syncer.toml"
        self.config.write_text(
            f'[database]\nurl = "sqlite:///mirror.db"\n[acme.shop]\nbase_url = "{url}"\napi_key = "an-invented-key"\n'
            "requests_per_second = 500.0\n"
        )
        self.config.chmod(0o600)

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.sync.third_vendor", "--config", str(self.config), *args]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    def json(self, *args: str) -> Any:
        done = self(*args)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as conn, conn:
            return conn.execute(statement).fetchall()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    Vendor.leads = list(PEOPLE)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Site(tmp_path, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def test_a_vendor_that_is_declared_elsewhere_is_mirrored_guarded_and_forgotten(site: Site) -> None:
    assert site("config", "check").returncode == 0
    done = site("sync")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = "SELECT lead_id, name, phone_e164 FROM acme_leads WHERE deleted_at IS NULL ORDER BY lead_id"
    assert site.sql(shown) == [
        ("7", "Asha Example", "+919200000001"),
        ("8", "Ravi Example", "+919200000002"),
        ("9", "Meena Example", None),
    ]
    assert Vendor.keys == {"an-invented-key"}
    assert b"an-invented-key" not in site.database.read_bytes()

    (job,) = site.json("status", "--json")["jobs"]
    assert (job["job"], job["account"], job["every_s"]) == ("acme-leads", "shop", 1200)
    assert job["listing"]["verdict"] == "complete" and not job["stale"]

    with pytest.raises(sqlite3.IntegrityError, match="acme_leads is read-only: it mirrors what the vendor"):
        site.sql("UPDATE acme_leads SET name = 'x'")

    assert site.json("verify", "--json")["same"] is True
    Vendor.leads[1] = PEOPLE[1] | {"name": "Ravi Sample"}
    (found,) = site.json("verify", "--json")["jobs"]
    (difference,) = found["differences"]
    assert (difference["field"], difference["old"], difference["new"]) == (
        "name",
        "Ravi Example",
        "Ravi Sample",
    )
    assert site.json("verify", "acme-leads", "--json")["exit_code"] == 1

    assert site.json("forget", "9200000001", "--yes", "--json")["removed"]["acme_leads"] == 1
    assert site("sync").returncode == 0
    assert site.sql(shown) == [("8", "Ravi Sample", "+919200000002"), ("9", "Meena Example", None)]

    site("doctor", "--report", str(site.folder / "report.txt"))
    report = (site.folder / "report.txt").read_text()
    for part in (
        "leads: every 20 min",
        "rows of acme_leads: 2",
        "acme-leads, acme 1: ok",
        "/leads: HTTP 200",
    ):
        assert part in report, report
    assert "Example" not in report
