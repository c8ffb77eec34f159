"""The publisher is killed, and the server loses its power: the copy equals the mirror once they are left alone."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import SKIPPED, programs, serving
from tests.publish.conftest import Published
from tests.publish.equality import assert_equal

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def killed_publisher(office: Published, *, edits: bool = False) -> Iterator[subprocess.Popen[str]]:
    config = office.path.with_name("syncer.toml")
    config.write_text(
        f'[database]\nurl = "sqlite:///{office.path}"\n'
        '[telecmi.main]\nbase_url = "http://127.0.0.1:1"\napp_id = 1111113\nsecret = "sandbox-secret"\n'
        'user_id = "101_1111113"\npassword = "sandbox-password"\n'
        f'[publish.central]\nurl = "{office.server.url()}"\nschema = "{office.schema}"\n'
        f"edits = {str(edits).lower()}\n"
    )
    config.chmod(0o600)
    command = [sys.executable, "-m", "tests.publish.kill_child", str(config)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        yield child
        assert child.stdin is not None
        child.stdin.close()


def begin(child: subprocess.Popen[str], seconds: float) -> None:
    """Let a publisher live so long."""
    assert child.stdin is not None
    child.stdin.write(f"{seconds}\n")
    child.stdin.flush()


def end(child: subprocess.Popen[str]) -> None:
    """Wait until it was killed."""
    assert child.stdout is not None
    assert child.stdout.readline() == "9\n", "the publisher ended by itself"


def kill(child: subprocess.Popen[str], seconds: float) -> None:
    begin(child, seconds)
    end(child)


def change(office: Published, chance: random.Random) -> None:
    """Some rows come, some change, some go."""
    for _ in range(chance.randrange(1, 40)):
        row = chance.randrange(1, 200)
        office.sql("UPDATE telecmi_contacts SET company = ? WHERE id = ?", f"Acme {chance.random()}", row)
    with office.db.write() as conn:
        conn.exec_driver_sql(
            "INSERT INTO telecmi_voicemails (account, voicename, phone_e164, received_at, raw) "
            "VALUES ('main', ?, '+919200000001', '2026-11-21T10:00:00.000Z', '{}')",
            (f"v{chance.random()}",),
        )
        conn.exec_driver_sql(
            "DELETE FROM change_log WHERE seq = (SELECT seq FROM change_log ORDER BY random() LIMIT 1)"
        )
        conn.exec_driver_sql(
            "UPDATE smartflo_contacts SET raw = '{\"x\": 1}' WHERE id = ?", (chance.randrange(1, 20),)
        )


def live(office: Published, chance: random.Random, kills: int, restarts: int) -> None:
    """So many lives of the publisher, and power cuts of the server among them."""
    cuts = set(chance.sample(range(kills), restarts))
    with killed_publisher(office) as child:
        for number in range(kills):
            begin(child, chance.random() * 0.25)
            change(office, chance)
            if number in cuts:
                office.server.stop()
                office.server.start()
            end(child)
    [run] = office.run("publish", person=False)
    assert run.outcome == "ok", run.problem
    assert_equal(office, views=False)
    assert office.run("publish", full=True)[0].changed == 0


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Published]:
    """An office with a server of its own, which may lose its power."""
    if programs() is None:
        pytest.skip(SKIPPED)
    with serving() as server:
        with server.connect() as conn:
            conn.execute("ALTER SYSTEM SET fsync = on")
            conn.execute("ALTER SYSTEM SET full_page_writes = on")
        server.stop("fast")
        server.start()
        office = Published(tmp_path, server)
        office.world.seed(contacts=200, user_contacts=20, voicemails=20, smartflo=20, seed=5)
        office.run("telecmi-contacts", "telecmi-voicemails", "smartflo-contacts")
        yield office
        office.close()


def test_killed_at_random(mortal: Published) -> None:
    live(mortal, random.Random(1), kills=12, restarts=2)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [11, 12])
def test_killed_a_hundred_times(mortal: Published, seed: int) -> None:
    live(mortal, random.Random(seed), kills=100, restarts=50)
