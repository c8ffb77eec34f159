"""How notifications leave: webhooks that Standard Webhooks' own library accepts, commands, Apprise."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from syncer.clock import SystemClock
from syncer.config.targets import NotifyTarget
from syncer.core.secret import Secret
from syncer.errors import ConfigError, RemoteError
from syncer.remote.delivery import TIMEOUT, AppriseAddress, Command, Message
from syncer.sync.notify import connect
from tests.receiver import Receiver, receiving
from tests.remote.fakes import listening, read_request

pytestmark = pytest.mark.anyio

WHSEC = "whsec_" + base64.b64encode(bytes(range(32))).decode()
MESSAGE = Message(
    "msg_1", {"type": "voicemail", "data": {"name": "Ásha Example"}}, "Voicemail", "from Ásha Example"
)


async def post(desk: Receiver, path: str = "/", **more: Any) -> None:
    source = connect(NotifyTarget(name="desk", webhook=Secret(desk.url + path), **more), SystemClock())
    try:
        await source.client.send(MESSAGE)
    finally:
        await source.aclose()


async def test_the_library_of_the_standard_accepts_the_signature(desk: Receiver) -> None:
    await post(desk, "/hook?key=1", secret=Secret(WHSEC))
    [one] = desk.got
    assert one.path == "/hook?key=1"
    assert one.headers["content-type"] == "application/json"
    assert Verifier(WHSEC).verify(one.content, one.headers) == MESSAGE.body
    with pytest.raises(WebhookVerificationError):
        Verifier(WHSEC).verify(one.content + b" ", one.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(WHSEC).verify(one.content, one.headers | {"webhook-id": "msg_2"})


async def test_without_a_secret_nothing_is_signed(desk: Receiver) -> None:
    await post(desk)
    assert "webhook-signature" not in desk.got[0].headers
    assert desk.got[0].headers["webhook-id"] == "msg_1"


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_is_an_acceptance(desk: Receiver, status: int) -> None:
    desk.otherwise = status
    await post(desk)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 429, 500, 503])
async def test_anything_else_is_a_failure_after_one_try(desk: Receiver, status: int) -> None:
    desk.otherwise = status
    with pytest.raises(RemoteError, match=f"notify.desk webhook: it answered HTTP {status}"):
        await post(desk)
    assert len(desk.got) == 1


@pytest.mark.parametrize("piece", [b"x", b"x" * 65536, None])
async def test_a_2xx_is_an_acceptance_whatever_its_body_does(piece: bytes | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while piece is not None:  # it trickles, or does not end; else it is cut
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05 if piece == b"x" else 0)

    began = time.monotonic()
    async with listening(serve) as url:
        await post(Receiver(url))
    assert time.monotonic() - began < TIMEOUT / 2


async def test_a_webhook_that_nobody_serves_names_no_address(desk: Receiver) -> None:
    with receiving() as gone:
        pass
    with pytest.raises(RemoteError) as caught:
        await post(gone, "/secret-path")
    assert "no connection" in str(caught.value)
    assert "secret-path" not in repr(caught.value) + str(caught.value.__context__)


def script(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "tell"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{text}")
    path.chmod(0o755)
    return str(path), "an argument"


async def test_a_command_gets_the_json_and_none_of_our_environment(tmp_path: Path) -> None:
    told = tmp_path / "told"
    text = f"json.dump([sys.argv[1:], json.load(sys.stdin), dict(os.environ)], open({str(told)!r}, 'w'))"
    ours = {"SYNCER_TELECMI_MAIN_SECRET": "s3cret", "CREDENTIALS_DIRECTORY": "/x", **os.environ}
    await Command("notify.desk", script(tmp_path, text), ours).send(MESSAGE)
    arguments, body, environ = json.loads(told.read_text())
    assert (arguments, body) == (["an argument"], MESSAGE.body)
    assert environ["SYNCER_EVENT_ID"] == "msg_1"
    assert "s3cret" not in environ.values()
    assert "CREDENTIALS_DIRECTORY" not in environ


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sys.exit(3)", "it ended with exit status 3"),
        ("os.kill(os.getpid(), 9)", "it ended with signal 9"),
        ("sys.stdin.close(); sys.exit(1)", "it ended with exit status 1"),
        ("time.sleep(60)", "it did not end within 1 s, and was killed"),
    ],
)
async def test_a_command_that_fails(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RemoteError, match=f"notify.desk command: {says}"):
        await Command("notify.desk", script(tmp_path, text), {}, timeout=1.0).send(MESSAGE)


async def test_what_a_command_started_is_ended_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    text = f"pid = os.fork()\nif pid: open({str(note)!r}, 'w').write(str(pid))\ntime.sleep(60)"
    with pytest.raises(RemoteError, match="was killed"):
        await Command("notify.desk", script(tmp_path, text), {}, timeout=1.0).send(MESSAGE)
    state = Path(f"/proc/{note.read_text()}/stat")
    assert not state.exists() or " Z " in state.read_text()


async def test_a_command_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"it cannot be run \(No such file or directory\)"):
        await Command("notify.desk", (str(tmp_path / "none"),), {}).send(MESSAGE)


async def test_apprise(desk: Receiver) -> None:
    address = AppriseAddress("notify.desk", desk.url.replace("http://", "json://") + "/phone")
    await address.send(MESSAGE)
    assert (desk.got[0].json["title"], desk.got[0].json["message"]) == (
        "Voicemail",
        "from Ásha Example",
    )
    desk.otherwise = 500
    with pytest.raises(RemoteError, match=r"notify.desk apprise: the service did not take it"):
        await address.send(MESSAGE)


def test_an_address_that_apprise_does_not_know() -> None:
    with pytest.raises(ConfigError, match=r"notify.desk.apprise is not an address that Apprise knows"):
        AppriseAddress("notify.desk", "nobody-knows-this://s3cret")
