"""The sandbox over real HTTP: connections that truly drop, and a process that starts and ends well."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from syncer.sandbox import World, running
from tests.sandbox.conftest import TOKEN, row

ADD = "/v3/contact/add"
GET = "/v3/contact/get"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[World, httpx.Client]]:
    world = World()
    with running(world) as base_url, httpx.Client(base_url=base_url, timeout=5) as client:
        yield world, client


@pytest.fixture
def up(served: tuple[World, httpx.Client]) -> Iterator[tuple[World, httpx.Client]]:
    world, client = served
    world.org().contacts.clear()
    yield world, client
    world.faults.clear()


def count(client: httpx.Client) -> int:
    answer = client.post(GET, json={"token": TOKEN}).json()
    assert answer["code"] == 200
    return int(answer["count"])


@pytest.mark.parametrize(
    ("rule", "error", "applied"),
    [
        ({"kind": "drop"}, httpx.RemoteProtocolError, 0),
        ({"kind": "drop", "applied": "after"}, httpx.RemoteProtocolError, 1),
        ({"kind": "drop_after"}, httpx.RemoteProtocolError, 1),
        ({"kind": "drop", "reset": True}, httpx.ReadError, 0),
        ({"kind": "drop_after", "reset": True}, httpx.ReadError, 1),
        ({"kind": "half_body"}, httpx.RemoteProtocolError, 0),
        ({"kind": "half_body", "applied": "after"}, httpx.RemoteProtocolError, 1),
        ({"kind": "hang", "seconds": 20}, httpx.ReadTimeout, 0),
        ({"kind": "hang", "seconds": 20, "applied": "after"}, httpx.ReadTimeout, 1),
        ({"kind": "hang", "seconds": 0.01}, httpx.RemoteProtocolError, 0),
        ({"kind": "drip", "seconds": 0.01, "at_most": 0.05}, httpx.RemoteProtocolError, 0),
    ],
)
def test_what_the_client_sees_of_a_broken_write(
    up: tuple[World, httpx.Client], rule: dict[str, object], error: type[Exception], applied: int
) -> None:
    world, client = up
    world.faults.add({**rule, "match": {"path": ADD}})
    with pytest.raises(error):
        client.post(ADD, json={"token": TOKEN, "contacts": [row(0)]}, timeout=0.2)
    assert count(client) == applied  # and the server goes on


def test_a_drop_is_a_drop_each_time(up: tuple[World, httpx.Client]) -> None:
    world, client = up
    world.faults.add({"kind": "drop", "times": 40}, {"kind": "drop_after", "times": 40})
    for _ in range(80):
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(GET, json={"token": TOKEN})
    assert count(client) == 0


def test_a_dripping_answer_outlives_a_timeout_per_read(up: tuple[World, httpx.Client]) -> None:
    world, client = up
    world.faults.add({"kind": "drip", "seconds": 0.005})
    answer = client.post(GET, json={"token": TOKEN}, timeout=0.1)
    assert answer.json() == {"code": 200, "contacts": [], "count": 0}
    assert answer.elapsed.total_seconds() > 0.1


def test_the_date_is_that_of_the_world_and_sent_once(up: tuple[World, httpx.Client]) -> None:
    world, client = up
    world.settings.change({"telecmi.date_header": 0})
    assert len(client.post(GET, json={"token": TOKEN}).headers.get_list("date")) == 1
    world.settings.change({"telecmi.date_header": "absent"})
    assert "date" not in client.post(GET, json={"token": TOKEN}).headers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_where_it_is_and_ends_on_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "syncer.sandbox", "--contacts", "12", "--voicemails", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            base_url = process.stdout.readline().strip()
            with httpx.Client(base_url=base_url) as client:
                assert count(client) == 12
                rule = {"kind": "hang", "seconds": 60, "at_most": 60}
                assert client.post("/_sandbox/faults", json=rule).status_code == 200
                with pytest.raises(httpx.ReadTimeout):
                    client.post(GET, json={"token": TOKEN}, timeout=0.1)
                began = time.monotonic()
                process.send_signal(number)
                assert process.wait(5) == 0
                assert time.monotonic() - began < 5
            assert process.stdout.read() == "" and process.stderr.read() == ""
        finally:
            process.kill()


def test_a_port_that_is_taken_is_reported() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "syncer.sandbox", "--port", port, "--contacts", "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"port {port} cannot be used: ")
