"""An import of 10,000 contacts while the daemon pushes, upstream fails at random and both processes are killed."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.sandbox import World, running
from tests.daemon.conftest import ROOT, Daemon, until

CONFIG = """
[database]
url = "sqlite:///syncer.db"
[telecmi.main]
base_url = "{url}"
user_id = "101_1111113"
password = "sandbox-password"
requests_per_second = 500.0
timeout = "3s"
voicemails = {{ enabled = false }}
user_contacts = {{ enabled = false }}
contacts = {{ every = "5s" }}
push = {{ every = "1s" }}
"""

ROWS, KILLS = 10_000, 5

#: Runs the program and prints the most memory that it had, in KiB. (`ru_maxrss` counts what the parent had, too.)
MEASURED = """
import re, sys
from pathlib import Path
from syncer.cli.main import run
code = run(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
sys.exit(code)
"""


@contextlib.contextmanager
def bad_weather(world: World, chance: random.Random) -> Iterator[None]:
    """While this lasts, some requests fail: refused, dropped or unanswered, before or after they took effect."""
    over = threading.Event()

    def blow() -> None:
        while not over.wait(chance.uniform(0.05, 0.5)):
            world.faults.add(
                {
                    "match": {"path": chance.choice(("/v3/contact/add", "/v3/contact/get", "/v3/contact/*"))},
                    "kind": chance.choice(("http", "drop", "html502", "empty_body")),
                    "applied": chance.choice(("before", "after")),
                    "status": chance.choice((429, 500, 503)),
                    "times": chance.randint(1, 3),
                }
            )

    thread = threading.Thread(target=blow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        world.faults.clear()


@pytest.mark.soak
def test_each_contact_is_upstream_exactly_once(tmp_path: Path) -> None:
    chance = random.Random(18)
    world = World()
    world.seed(contacts=50, voicemails=0, smartflo=0, user_contacts=0, seed=5)
    before = Counter(str(one.fields["phone_no"])[-10:] for one in world.org().contacts.values())
    file = tmp_path / "people.csv"
    numbers = [f"9300{n:06}" for n in range(ROWS)]
    file.write_text("Name,Phone\n" + "".join(f"Asha Example{number},{number}\n" for number in numbers))

    with running(world) as url:
        daemon = Daemon(tmp_path, url)
        daemon.config.write_text(CONFIG.format(url=url))
        command = [sys.executable, "-m", "syncer", "--config", str(daemon.config), "contacts", "import"]
        try:
            process = daemon.start()
            until(lambda: "telecmi-contacts" in daemon.outcomes(), "a first pull")
            with bad_weather(world, chance):
                for _ in range(KILLS):
                    importing = subprocess.Popen(
                        [*command, str(file), "--apply"], cwd=ROOT, stdout=subprocess.DEVNULL
                    )
                    time.sleep(chance.uniform(0.8, 2.0))
                    importing.kill()
                    importing.wait(10)
                    process.send_signal(chance.choice((signal.SIGKILL, signal.SIGTERM)))
                    process.wait(15)
                    process = daemon.start()
                subprocess.run(
                    [*command, str(file), "--apply"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
                )
            open_ = "SELECT count(*) FROM change_queue WHERE state NOT IN ('done', 'discarded')"
            until(lambda: daemon.query(open_) == [(0,)], "an empty queue", 300.0)
        finally:
            for one in daemon.processes:
                one.kill()
                one.wait(10)

    there = Counter(str(one.fields["phone_no"])[-10:] for one in world.org().contacts.values())
    assert there == before + Counter(numbers)
    added, parts = daemon.query("SELECT sum(added), count(*) FROM import_batches")[0]
    assert added == ROWS and parts > 1
    assert daemon.query("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL") == [
        (ROWS + before.total(),)
    ]
    assert daemon.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.soak
@pytest.mark.parametrize("form", ["csv", "xlsx", "vcf"])
def test_a_hundred_thousand_rows_take_little_memory(tmp_path: Path, form: str) -> None:
    daemon = Daemon(tmp_path, "http://127.0.0.1:9")
    run = [sys.executable, "-m", "syncer", "--config", str(daemon.config)]
    file = tmp_path / "people.csv"
    people = (
        f"Asha {n},Example,93{n:08},a{n}@example.com,Acme {n % 500} Example,Manager\n" for n in range(100_000)
    )
    file.write_text("First Name,Last Name,Mobile Phone,Email,Company,Job Title\n" + "".join(people))
    subprocess.run([*run, "db", "upgrade"], cwd=ROOT, check=True)
    if form != "csv":
        subprocess.run(
            [*run, "contacts", "import", str(file), "--apply", "--json"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        file = tmp_path / f"people.{form}"
        subprocess.run([*run, "contacts", "export", str(file)], cwd=ROOT, check=True)
        daemon.database.unlink()
        daemon.database.with_name(f"{daemon.database.name}-wal").unlink(missing_ok=True)
        subprocess.run([*run, "db", "upgrade"], cwd=ROOT, check=True)
    began = time.monotonic()
    measured = [sys.executable, "-c", MEASURED, *run[3:], "contacts", "import", str(file), "--apply"]
    done = subprocess.run(
        measured, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True
    )
    kib = int(done.stderr)
    print(f"{form}: {time.monotonic() - began:.0f} s, {kib / 1024:.0f} MiB")
    assert kib < 150_000
    assert daemon.query("SELECT added FROM import_batches") == [(100_000,)]
