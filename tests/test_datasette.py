"""Datasette next to the mirror: a real one serves it, as deploy/datasette says. What the metadata says is checked in `test_docs`."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.console.conftest import CONFIG, Desk, prepared
from tests.daemon.conftest import free_port, until

__all__ = ["prepared"]  # a fixture

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "datasette"
#: `make datasette` puts it there.
DATASETTE = Path(sys.prefix) / "datasette" / "bin" / "datasette"
METADATA = FOLDER / "metadata.json"


@pytest.fixture
def url(tmp_path: Path, prepared: Path) -> Iterator[str]:
    shutil.copy(prepared, tmp_path / "syncer.db")
    desk = Desk(tmp_path, CONFIG)
    desk.contact()
    desk.call()
    port = free_port()
    command = [
        str(DATASETTE),
        "serve",
        str(desk.path),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    options = [
        "--metadata",
        str(METADATA),
        "--setting",
        "allow_download",
        "off",
        "--setting",
        "sql_time_limit_ms",
        "3000",
    ]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{address}/-/versions.json").status_code == 200
        except httpx.TransportError:
            assert process.poll() is None, process.communicate()[1]
            return False

    try:
        until(answers, "Datasette answers")
        yield address
        desk.contact(2)  # the mirror can be written to while Datasette has it open
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        desk.console.close()
        desk.close()


@pytest.mark.skipif(not DATASETTE.exists(), reason="Datasette is not installed here (make datasette)")
def test_datasette_shows_the_tables_hides_the_inner_ones_and_runs_every_query(url: str) -> None:
    def get(path: str) -> Any:
        answer = httpx.get(url + path, timeout=20)
        assert answer.status_code == 200, (path, answer.text[:500])
        return answer.json() if ".json" in path else answer.text

    database = get("/syncer.json")
    hidden = {one["name"] for one in database["tables"] if one["hidden"]}
    assert {"contact_base", "sync_guard", "push_intents", "forgotten"} <= hidden
    assert not hidden & {"telecmi_contacts", "callbacks", "calls", "change_queue"}
    said = json.loads(METADATA.read_text(encoding="utf-8"))["databases"]["syncer"]
    for name in said["queries"]:
        assert get(f"/syncer/{name}.json")["ok"] is True, name
    assert get("/syncer/callbacks.json?_shape=array")[0]["caller_name"] == "Asha Example"
    assert "the number in E.164" in get("/syncer/contacts")
    assert httpx.get(f"{url}/syncer.db").status_code in (403, 404)
    refused = httpx.get(f"{url}/syncer.json", params={"sql": "DELETE FROM telecmi_contacts"})
    assert refused.status_code == 400
