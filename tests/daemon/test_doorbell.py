"""The doorbell: who may ring, how often it is heard, and how soon a voicemail is known and reported."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from syncer.core.secret import Secret
from syncer.daemon.doorbell import GAP, Doorbell
from tests.daemon.conftest import Daemon, Sandbox, until
from tests.daemon.timeless import NOW, Time, live
from tests.receiver import Receiver

KEYS = {"telecmi.main": Secret("a-long-doorbell-key"), "smartflo.main": Secret("another-doorbell-key")}


def test_a_storm_wakes_once_in_ten_seconds_and_no_ring_is_dropped() -> None:
    async def storm(loop: Time) -> None:
        woken: list[tuple[float, str]] = []
        began = loop.time()
        bell = Doorbell(lambda: KEYS, lambda label: woken.append((loop.time() - began, label)))
        for _ in range(1000):
            assert bell.ring("telecmi.main", "a-long-doorbell-key")
            await asyncio.sleep(0.025)
        await asyncio.sleep(30)
        assert woken == [(pytest.approx(n * GAP, abs=0.1), "telecmi.main") for n in range(4)]
        assert bell.ring("smartflo.main", "another-doorbell-key")  # each account has its own
        assert woken[-1][1] == "smartflo.main"
        assert bell.ring("smartflo.main", "another-doorbell-key")
        bell.close()
        await asyncio.sleep(30)
        assert len(woken) == 5

    live(storm, NOW)


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("telecmi.main", "another-doorbell-key"),
        ("telecmi.main", ""),
        ("telecmi.main", "a-long-doorbell-keyx"),
        ("telecmi.other", "a-long-doorbell-key"),
        ("telecmi.other", ""),
        ("telecmi.main", "\N{SNOWMAN}\udcff"),
    ],
)
def test_a_wrong_key_wakes_nobody(label: str, key: str) -> None:
    woken: list[str] = []
    assert not Doorbell(lambda: KEYS, woken.append).ring(label, key)
    assert woken == []


def test_a_voicemail_is_reported_within_seconds_of_the_vendor_s_webhook(
    daemon: Daemon, sandbox: Sandbox, desk: Receiver
) -> None:
    """Though voicemails are pulled every ten minutes."""
    port = daemon.serve(
        f'[notify.desk]\nwebhook = "{desk.url}"\non = ["voicemail"]\n',
        telecmi='doorbell_key = "a-long-doorbell-key"',
    )
    daemon.start()
    ring = f"http://127.0.0.1:{port}/doorbell/telecmi.main/a-long-doorbell-key"
    until(
        lambda: daemon.query("SELECT 1 FROM sync_health WHERE job = 'telecmi-voicemails' AND stale = 0"),
        "a pull",
    )
    with httpx.Client() as client:
        assert client.get(ring.replace("a-long", "no-long")).status_code == 404
        assert client.get(ring.replace("main", "other")).status_code == 404
        assert client.put(ring).status_code == 405
    sandbox.control.post("/webhooks", json={"url": ring}).raise_for_status()
    try:
        before = len(desk.got)
        began = time.monotonic()
        sandbox.edit(op="voicemail.insert", time=None, caller=919200000001)
        until(lambda: len(desk.got) > before, "the report of a voicemail", 10)
        assert time.monotonic() - began < 5
        assert desk.got[-1].json["type"] == "voicemail"
        with ThreadPoolExecutor(8) as many:
            assert set(many.map(lambda _: httpx.post(ring, content=b"junk").status_code, range(100))) == {204}
    finally:
        sandbox.control.delete("/webhooks").raise_for_status()
    pulls = daemon.query("SELECT count(*) FROM sync_runs WHERE job = 'telecmi-voicemails'")[0][0]
    assert (
        pulls <= 3
    )  # the first one, and one for the first ring; a storm within ten seconds waits for their end
    assert "doorbell-key" not in daemon.log.read_text()
