"""Webhooks: real requests to a real listener on loopback, lost, repeated and delayed on purpose."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox.conftest import Upstream


@dataclass(frozen=True)
class Got:
    """One request that the listener took."""

    method: str
    target: str
    media: str | None
    body: bytes


class Listener:
    def __init__(self) -> None:
        self.requests: queue.Queue[Got] = queue.Queue()
        self.status = 204
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.requests.put(Got(self.command, self.path, self.headers.get("Content-Type"), body))
                self.send_response(outer.status)
                self.send_header("Location", "http://192.0.2.1/elsewhere")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/doorbell/telecmi.main/KEY"

    def take(self, count: int = 1) -> list[Got]:
        return [self.requests.get(timeout=10) for _ in range(count)]


@pytest.fixture
def door() -> Iterator[Listener]:
    listener = Listener()
    thread = threading.Thread(target=listener.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield listener
    listener.server.shutdown()
    thread.join()
    listener.server.server_close()


def hook(up: Upstream, door: Listener, **more: Any) -> Any:
    answer = up.control("POST", "webhooks", {"url": door.url, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def sent(up: Upstream, count: int) -> dict[str, Any]:
    """The first webhook, once it has made this many requests."""
    end = time.monotonic() + 10
    while (found := up.control("GET", "webhooks").json()[0])["sent"] < count:
        assert time.monotonic() < end, found
        time.sleep(0.005)
    return dict(found)


def test_nobody_is_called_unless_asked(up: Upstream) -> None:
    up.edit("call.insert", kind="missed", phone=919200000001)
    assert up.control("GET", "webhooks").json() == []


def test_each_event_is_posted_as_the_vendor_does(up: Upstream, door: Listener) -> None:
    hook(up, door)
    up.edit("call.insert", kind="missed", phone=919200000001, cmiuid="a")
    up.edit("call.insert", kind="answered", phone=919200000001)
    up.edit("call.click", phone=919200000001)
    up.edit("voicemail.insert", **{"time": None, "from": 919200000001, "voicename": "1_x.mp3"})
    up.edit("smartflo_call.insert", phone="+919200000001", voicemail=True)
    got = [json.loads(one.body) for one in door.take(6)]
    assert (got[0]["status"], got[0]["direction"], got[0]["cmiuuid"]) == ("missed", "inbound", "a")
    assert [one["status"] for one in got] == [
        "missed",
        "answered",
        "answered",
        "answered",
        "missed",
        "missed",
    ]
    assert (got[4]["voicemail"], got[4]["voicename"]) == (True, "1_x.mp3")
    assert got[5]["voicemail_recording"] is True and got[5]["client_number"] == "+919200000001"


@pytest.mark.parametrize(
    ("how", "media"),
    [
        ({"method": "GET"}, None),
        ({"format": "form"}, "application/x-www-form-urlencoded"),
        ({"format": "json"}, "application/json"),
    ],
)
def test_method_and_format(up: Upstream, door: Listener, how: dict[str, str], media: str | None) -> None:
    hook(up, door, **how)
    up.edit("call.insert", kind="missed", phone=919200000001)
    (got,) = door.take()
    assert (got.method, got.media) == (how.get("method", "POST"), media)
    parts = urlsplit(got.target)
    assert parts.path == "/doorbell/telecmi.main/KEY"
    match how:
        case {"format": "json"}:
            assert json.loads(got.body)["from"] == 919200000001
        case {"format": "form"}:
            assert parse_qs(got.body.decode())["from"] == ["919200000001"]
        case _:
            assert got.body == b"" and parse_qs(parts.query)["from"] == ["919200000001"]


def test_only_the_wanted_events_of_the_wanted_vendor(up: Upstream, door: Listener) -> None:
    hook(up, door, vendor="smartflo", on=["missed"])
    up.edit("call.insert", kind="missed", phone=919200000001)
    up.edit("smartflo_call.insert", phone="+919200000001", status="answered")
    up.edit("smartflo_call.insert", phone="+919200000001", direction="outbound")
    up.edit("smartflo_call.insert", phone="+919200000001", id="wanted")
    (got,) = door.take()
    assert json.loads(got.body)["id"] == "wanted" and sent(up, 1)["events"] == 1


def test_repeat_loss_and_a_storm(up: Upstream, door: Listener) -> None:
    hook(up, door, times=2, lose_every=3)
    up.edit("ring", times=300)
    door.take(400)
    found = sent(up, 400)
    assert (found["events"], found["lost"], found["sent"]) == (300, 100, 400)
    assert found["answers"] == [204] * 100 and door.requests.empty()


def test_delay_and_clear(up: Upstream, door: Listener) -> None:
    hook(up, door, delay_s=0.2)
    began = time.monotonic()
    up.edit("ring")
    assert time.monotonic() - began < 0.15
    door.take()
    assert time.monotonic() - began >= 0.2
    hook(up, door, delay_s=0.2)
    up.edit("ring")
    assert up.control("DELETE", "webhooks").json() == []
    hook(up, door, delay_s=0.3)
    began = time.monotonic()
    up.edit("ring")
    door.take()
    assert time.monotonic() - began >= 0.3 and door.requests.empty()


def test_a_dead_address_stops_nothing_and_a_redirect_is_not_followed(up: Upstream, door: Listener) -> None:
    door.status = 302
    up.control("POST", "webhooks", {"url": "http://127.0.0.1:1/dead"})
    hook(up, door)
    up.edit("ring")
    door.take()
    assert sent(up, 1)["answers"] == ["ConnectionRefusedError"]
    end = time.monotonic() + 10
    while up.control("GET", "webhooks").json()[1]["answers"] != [302]:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_key_in_an_address_is_not_shown(up: Upstream, door: Listener) -> None:
    shown = hook(up, door)[0]
    assert shown["url"] == f"http://127.0.0.1:{door.server.server_port}/..." and "KEY" not in str(shown)


def test_seeding_calls_nobody(up: Upstream, door: Listener) -> None:
    hook(up, door)
    up.edit("seed", contacts=3, voicemails=5, calls=20, smartflo_calls=20)
    assert up.control("GET", "webhooks").json()[0]["events"] == 0


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"url": "http://192.0.2.1/x"},
        {"url": "http://example.com/x"},
        {"url": "https://127.0.0.1/x"},
        {"url": "http://127.0.0.1:99999/x"},
        {"url": 5},
        {"url": "http://localhost/", "on": ["lost"]},
        {"url": "http://localhost/", "on": "missed"},
        {"url": "http://localhost/", "method": "PUT"},
        {"url": "http://localhost/", "format": "xml"},
        {"url": "http://localhost/", "vendor": "other"},
        {"url": "http://localhost/", "times": 0},
        {"url": "http://localhost/", "lose_every": "x"},
        {"url": "http://localhost/", "delay_s": -1},
        {"url": "http://localhost/", "sent": 3},
        "nothing",
    ],
)
def test_an_unfit_webhook_is_refused(up: Upstream, rule: Any) -> None:
    answer = up.control("POST", "webhooks", [{"url": "http://127.0.0.1:1/x"}, rule])
    assert answer.status_code == 400 and answer.json()["problems"]
    assert up.control("GET", "webhooks").json() == []
