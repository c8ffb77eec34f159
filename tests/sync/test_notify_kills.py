"""Notifications through kill -9 and a target that fails at random: each at least once, in order, under one id."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from syncer.config.load import load_settings
from syncer.sync.open_database import open_database
from tests.receiver import Receiver, receiving

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("events", "kills"),
    [(300, 4), pytest.param(10_000, 50, marks=pytest.mark.soak)],
)
def test_each_event_arrives_at_least_once_and_in_order(tmp_path: Path, events: int, kills: int) -> None:
    rng = random.Random(events)
    config = tmp_path / "syncer.toml"
    with receiving() as desk:
        config.write_text(
            '[database]\nurl = "sqlite:///mirror.db"\n[telecmi.main]\nbase_url = "http://127.0.0.1:9"\napp_id = 1\n'
            'secret = "s"\nuser_id = "1_1"\npassword = "p"\n'
            f'[notify.desk]\nwebhook = "{desk.url}"\non = ["voicemail"]\nmax_age = "1h"\n'
        )
        with open_database(load_settings(config, os.environ)) as db, db.write() as conn:
            conn.exec_driver_sql(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                "INSERT INTO telecmi_voicemails (account, voicename, received_at, first_seen_at) "
                "SELECT 'main', 'v' || i, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', iif(i < 10, '-2 hours', '-1 minute')), "
                "strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM n",
                (events + 9,),
            )
        first, delivered = _deliver(config, desk, rng, kills)
    assert delivered
    rows = [one.json["data"]["id"] for one in desk.got]
    assert list(dict.fromkeys(rows)) == list(range(11, events + 11))  # the oldest ten are history
    ids = {(row, one.headers["webhook-id"]) for row, one in zip(rows, desk.got, strict=True)}
    assert len(ids) == len({number for _, number in ids}) == events
    assert first < len(desk.got)


def _deliver(config: Path, desk: Receiver, rng: random.Random, kills: int) -> tuple[int, bool]:
    """Run `sync notify` until all is sent, and kill it meanwhile; what had arrived at the first kill."""
    first, tries = 0, 0
    while tries < kills + 400:
        tries += 1
        desk.answers = [204] * rng.randrange(20, 400) + [rng.choice([500, 503, 429])]
        process = subprocess.Popen(
            [sys.executable, "-m", "syncer", "--config", str(config), "sync", "notify"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if kills > 0:
            kills -= 1
            enough = len(desk.got) + rng.randrange(5, 120)
            while process.poll() is None and len(desk.got) < enough:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            first = first or len(desk.got)
        elif process.wait() == 0:
            return first, True
    return first, False
