"""Secrets and people's data, planted: through every kind of failure none of them is in a log, an error, or a file
that is not the mirror itself; no secret is even there. At log level debug, the libraries' lines included.
"""

from __future__ import annotations

import io
import json
import logging
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from syncer.logs import configure_logs
from syncer.remote.tokens import TokenStore
from syncer.sandbox import World
from syncer.sandbox.faults import KINDS
from tests.office import Office, VirtualClock

SECRET, PASSWORD, TOKEN = "planted-app-secret", "planted pass&word/äö", "planted.Bearer.token"
USER_TOKEN = "planted-user-token"
SECRETS = (SECRET, PASSWORD, TOKEN, USER_TOKEN)
PEOPLE = (
    "Plantedfirst",
    "Plantedlast",
    "planted@example.com",
    "Planted Traders",
    "PlantedChief",
    "9200047113",
    "Planted note",
)

LISTS = ("/v3/contact/get", "/v2/user/contact/get", "/v2/voicemail", "/v1/contacts", "/v1/contact/groups")
LOGINS = ("/v2/user/login", "/v1/auth/login")
WRITES = ("/v3/contact/add", "/v3/contact/update", "/v3/contact/delete")


def spellings(secret: str) -> list[str]:
    """As it is, in JSON, in a URL, in a repr."""
    return [
        secret,
        json.dumps(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret.encode())[2:-1],
    ]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that the program and its libraries log at debug level."""
    stream = io.StringIO()
    configure_logs("debug", json=True, stream=stream)
    quiet = {
        name: logging.getLogger(name).level for name in ("httpx", "httpcore", "apscheduler", "sqlalchemy")
    }
    for name in quiet:
        logging.getLogger(name).setLevel(logging.DEBUG)  # as if somebody had turned up everything
    yield stream
    for name, level in quiet.items():
        logging.getLogger(name).setLevel(level)
    configure_logs("info", json=False)


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file: making one takes longer than a run."""
    folder = tmp_path_factory.mktemp("blank")
    made = Office(folder)
    made.close()
    return made.path


@pytest.fixture
def office(tmp_path: Path, blank: Path) -> Iterator[Office]:
    clock = VirtualClock()
    world = World(clock=lambda: clock.now().timestamp())
    world.org().secret = SECRET
    world.add_user("101_1111113", PASSWORD, token=USER_TOKEN)
    world.smartflo.password = PASSWORD
    person = {
        "phone_no": "919200047113", "first_name": "Plantedfirst", "last_name": "Plantedlast",
        "email_id": "planted@example.com", "company": "Planted Traders", "job_title": "PlantedChief",
    }  # fmt: skip
    world.contact_insert(person)
    for n in range(5):
        world.contact_insert(person | {"phone_no": f"91920004712{n}", "email_id": f"planted@example.com{n}"})
    world.user_contact_upsert(
        9200047113,
        {"name": "Plantedfirst Plantedlast"},
        notes=[{"msg": "Planted note", "date": 5, "agent": "x"}],
    )
    world.voicemail_insert(int(clock.now().timestamp() * 1000) - 1000, 919200047113)
    world.smartflo_upsert(
        None, {"phone_number": "+919200047113", "name": "Plantedfirst", "email_id": "planted@example.com"}
    )
    (tmp_path / "home").mkdir(mode=0o700)
    shutil.copy(blank, tmp_path / "home" / blank.name)
    made = Office(
        tmp_path / "home",
        telecmi={"secret": SECRET, "password": PASSWORD, "voicemails": {"since": "2d"}},
        smartflo={"token": TOKEN, "email": "ops@example.com", "password": PASSWORD},
        clock=clock,
        world=world,
    )
    made.db.pragma("PRAGMA synchronous = OFF")
    made.tokens = TokenStore(made.path.with_name("mirror.db.tokens"))
    yield made
    made.close()


def notes_of_ours(path: Path) -> str:
    """What the program writes about itself: sentences, not people's rows."""
    queries = (
        "SELECT error FROM sync_runs",
        "SELECT * FROM sync_jobs",
        "SELECT last_error FROM change_queue",
        "SELECT job, account, reason FROM held",
        "SELECT job, account, reason FROM set_aside",
    )
    with closing(sqlite3.connect(path)) as conn:
        return "\n".join(str(row) for query in queries for row in conn.execute(query))


def search(office: Office, log: io.StringIO, what: str) -> None:
    said, notes = log.getvalue(), notes_of_ours(office.path)
    for secret in SECRETS:
        for text in spellings(secret):
            assert text not in said, f"{what}: a secret in the log"
            assert text not in notes, f"{what}: a secret in an error"
    for private in PEOPLE:
        assert private not in said, f"{what}: {private} in the log"
        assert private not in notes, f"{what}: {private} in an error"


def work(office: Office) -> None:
    """A change of each kind, and a pass of all jobs."""
    for sql in (
        "UPDATE telecmi_contacts SET company = 'Planted Traders' || id WHERE id = 2",
        "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES ('9200047113' + abs(random() % 1000), 'Plantedfirst', 'Plantedlast')",
        "DELETE FROM telecmi_contacts WHERE id = (SELECT max(id) FROM telecmi_contacts WHERE deleted_at IS NULL)",
    ):
        office.sql(sql)
    office.run()


def test_no_failure_shows_a_secret_or_a_name(office: Office, log: io.StringIO) -> None:
    office.run()
    message = "phone 919200047113 of Plantedfirst Plantedlast <planted@example.com> exists, " + SECRET
    for kind in sorted(KINDS):
        for path in (*LISTS, *LOGINS, *WRITES):
            office.fault(path, kind, seconds=0.01, at_most=0.02, message=message, code=409)
        office.world.expire_tokens()
        office.clock.pass_(hours=7)  # no login is locked out any more
        work(office)
        office.world.faults.clear()
        search(office, log, kind)
    assert office.one("SELECT count(*) FROM sync_runs WHERE error IS NOT NULL") > len(KINDS)


def test_no_secret_is_in_any_file_but_the_tokens_and_those_are_private(
    office: Office, log: io.StringIO
) -> None:
    work(office)
    work(office)
    modes = {}
    for path in [office.path.parent, *office.path.parent.rglob("*")]:
        modes[path.name] = stat.S_IMODE(path.stat().st_mode)
        if path.is_file() and not path.name.startswith("mirror.db.tokens"):
            content = path.read_bytes()
            for secret in SECRETS:
                assert not any(text.encode() in content for text in spellings(secret)), path.name
    folders = {path.name for path in office.path.parent.rglob("*") if path.is_dir()}
    assert {name: mode for name, mode in modes.items() if name in folders and mode != 0o700} == {}
    assert {
        name: mode for name, mode in modes.items() if name not in folders | {"home"} and mode != 0o600
    } == {}
    assert "mirror.db.tokens" in modes
    search(office, log, "a good day")


def test_the_search_finds_what_is_there(office: Office, log: io.StringIO) -> None:
    """Of an untested search one does not know whether it looks."""
    office.run()
    log.write(f"GET /v2/play?secret={SECRET}")
    with pytest.raises(AssertionError, match="a secret in the log"):
        search(office, log, "planted")
