"""The config file: what it means, where its secrets come from, and every way in which it can be wrong."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import tomllib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.config import (
    Credentials,
    Settings,
    SmartfloAccount,
    TelecmiAccount,
    example_text,
    find_config,
    schema,
    units,
)
from syncer.config.keys import Table, keys_of
from syncer.config.load import load_settings, settings_from
from syncer.config.regions import REGIONS
from syncer.config.targets import TARGETS, LookupKey, NotifyTarget
from syncer.core.secret import Secret
from syncer.errors import ConfigError, UsageError

ROOT = Path(__file__).resolve().parent.parent

TELECMI = """
[telecmi.main]
app_id = 1111113
secret = "first-secret"
user_id = "101_1111113"
password = "first-password"
"""
SMARTFLO = """
[smartflo.main]
token = "first-token"
"""


def load(
    folder: Path,
    text: str,
    environ: Mapping[str, str] | None = None,
    credentials: Credentials = Credentials.SENT,
) -> Settings:
    path = folder / "syncer.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ or {}, credentials)


def problems(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, environ)
    return caught.value.problems


def reveal(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None


# ---- what a right file means ----


def test_left_out_keys_have_the_defaults_of_the_contract(tmp_path: Path) -> None:
    settings = load(tmp_path, TELECMI + SMARTFLO)
    assert settings.path == tmp_path / "syncer.toml"
    assert settings.database.path == tmp_path / "syncer.db"
    assert settings.database.url == f"sqlite:///{tmp_path}/syncer.db"
    assert settings.database.group is None
    assert settings.http is None
    (telecmi,) = settings.telecmi
    assert (telecmi.kind, telecmi.name, telecmi.label) == ("telecmi", "main", "telecmi.main")
    assert telecmi.base_url == "https://rest.telecmi.com"
    assert (telecmi.app_id, telecmi.user_id, telecmi.token) == (1111113, "101_1111113", None)
    assert (reveal(telecmi.secret), reveal(telecmi.password)) == ("first-secret", "first-password")
    assert (telecmi.requests_per_second, telecmi.concurrency) == (5.0, 4)
    assert (telecmi.timeout, telecmi.region, telecmi.max_deletions) == (timedelta(seconds=30), "IN", 0.1)
    assert telecmi.voicemails.every == timedelta(minutes=5)
    assert telecmi.voicemails.since == timedelta(days=30)
    assert telecmi.voicemails.window == timedelta(days=1)
    assert telecmi.voicemails.overlap == timedelta(hours=24)
    assert telecmi.contacts.every == timedelta(minutes=15)
    assert telecmi.user_contacts.every == timedelta(hours=1)
    assert telecmi.push.every == timedelta(seconds=30)
    assert (telecmi.push.deletes, telecmi.push.on_conflict) == (False, "ask")
    jobs = (telecmi.voicemails, telecmi.contacts, telecmi.user_contacts, telecmi.push)
    assert all(job.enabled for job in jobs)
    (smartflo,) = settings.of(SmartfloAccount)
    assert smartflo.base_url == "https://api-smartflo.tatateleservices.com"
    assert (smartflo.requests_per_second, smartflo.concurrency) == (1.0, 2)
    assert smartflo.updated_after_format == "%Y-%m-%d %H:%M:%S"
    assert smartflo.contacts.every == smartflo.contacts.overlap == timedelta(minutes=10)
    assert smartflo.contacts.full_every == timedelta(days=1)


def test_the_example_loads_as_it_is(tmp_path: Path) -> None:
    assert example_text() == (ROOT / "config.example.toml").read_text(encoding="utf-8")
    settings = load(tmp_path, example_text(), credentials=Credentials.SHOWN)
    assert [account.label for account in settings.accounts] == ["telecmi.main", "smartflo.main"]


def test_the_example_shows_every_key_with_its_default(tmp_path: Path) -> None:
    shown = load(tmp_path, example_text(), credentials=Credentials.SHOWN)
    bare = load(tmp_path, TELECMI + '[smartflo.main]\nemail = "ops@example.com"\npassword = "x"\n')
    hide = {"secret": None, "password": None}
    for one, other in zip(shown.accounts, bare.accounts, strict=True):
        keys = [key for key in one.__dataclass_fields__ if key not in hide]
        assert {key: getattr(one, key) for key in keys} == {key: getattr(other, key) for key in keys}
    assert (shown.database, shown.http, shown.monitor) == (bare.database, bare.http, bare.monitor)
    assert (shown.backup, shown.retention) == (bare.backup, bare.retention)

    text = example_text()
    uncommented = tomllib.loads(re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.MULTILINE))
    for kind, model in schema.VENDORS.items():
        assert missing(model, uncommented[kind]["main"]) == []
    for kind, target in TARGETS.items():
        written = uncommented[kind].values()
        assert [key for key in keys_of(target) if not any(key in one for one in written)] == []
    for section, table in schema.SECTIONS.items():
        assert missing(table, uncommented[section]) == []


def missing(model: type[Table], table: dict[str, Any]) -> list[str]:
    found = [name for name in keys_of(model) if name not in table]
    for name, key in keys_of(model).items():
        if key.table is not None:
            found += [f"{name}.{inner}" for inner in missing(type(key.table), table[name])]
    return found


def test_any_number_of_accounts_and_names(tmp_path: Path) -> None:
    names = ("main", "second-shop", "third_shop", "shop.4", "5")
    text = "".join(TELECMI.replace("telecmi.main", f'telecmi."{name}"') for name in names) + SMARTFLO
    settings = load(tmp_path, text)
    assert tuple(account.name for account in settings.telecmi) == names
    assert settings.account("telecmi.shop.4").name == "shop.4"
    assert [a.label for a in settings.accounts_named("main")] == ["telecmi.main", "smartflo.main"]
    assert [a.label for a in settings.accounts_named("smartflo.main")] == ["smartflo.main"]
    for ask in (settings.account, settings.accounts_named):
        with pytest.raises(UsageError, match=r"no account 'nowhere'; the config has telecmi.main, "):
            ask("nowhere")


def test_an_account_needs_no_credentials_for_jobs_that_are_off(tmp_path: Path) -> None:
    off = "{ enabled = false }"
    text = f"[telecmi.a]\nvoicemails = {off}\ncontacts = {off}\nuser_contacts = {off}\npush = {off}\n"
    (account,) = load(tmp_path, f"{text}[smartflo.b]\ncontacts = {off}\n").telecmi
    assert not account.push.enabled


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///mirror.db", "{folder}/mirror.db"),
        ("sqlite:///data/mirror.db", "{folder}/data/mirror.db"),
        ("sqlite:////var/lib/syncer/mirror.db", "/var/lib/syncer/mirror.db"),
        ("sqlite:///with space.db", "{folder}/with space.db"),
    ],
)
def test_the_database_counts_from_the_file_s_folder(tmp_path: Path, url: str, path: str) -> None:
    settings = load(tmp_path, f'[database]\nurl = "{url}"\ngroup = "ops"\n{SMARTFLO}')
    expected = path.format(folder=tmp_path)
    assert (settings.database.path, settings.database.url) == (Path(expected), f"sqlite:///{expected}")
    assert settings.database.group == "ops"


def test_a_relative_config_path_still_gives_absolute_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").write_text(SMARTFLO)
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path("c.toml"), {})
    assert settings.path == tmp_path / "c.toml"
    assert settings.database.path == tmp_path / "syncer.db"
    assert settings.backup.path == tmp_path / "backups"


@pytest.mark.parametrize(
    ("lines", "hosts"),
    [
        ("listen = '127.0.0.1:9464'", {"localhost", "127.0.0.1", "[::1]"}),
        ("listen = '[FD00::5]:9464'", {"localhost", "127.0.0.1", "[::1]", "[fd00::5]"}),
        ("listen = '0.0.0.0:9464'", {"localhost", "127.0.0.1", "[::1]"}),
        ("listen = '0.0.0.0:9464'\nhosts = ['Sync.Example.com', '[::1]']", {"sync.example.com", "[::1]"}),
    ],
)
def test_hosts(tmp_path: Path, lines: str, hosts: set[str]) -> None:
    http = load(tmp_path, f"[http]\n{lines}\n{SMARTFLO}").http
    assert http is not None and http.allowed_hosts == hosts


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("127.0.0.1:9464", "127.0.0.1", 9464), ("[::1]:1", "::1", 1), ("0.0.0.0:65535", "0.0.0.0", 65535)],
)
def test_listen(tmp_path: Path, listen: str, host: str, port: int) -> None:
    http = load(tmp_path, f'[http]\nlisten = "{listen}"\n{SMARTFLO}').http
    assert http is not None
    assert http.address == (host, port)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"12h"', timedelta(hours=12)),
        ('"2026-01-31"', datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_since_takes_a_duration_or_a_date(tmp_path: Path, written: str, meant: object) -> None:
    (account,) = load(tmp_path, f"{TELECMI}voicemails = {{ since = {written} }}").telecmi
    assert account.voicemails.since == meant


@pytest.mark.parametrize("written", ["1111113", '"1111113"'])
def test_app_id_may_be_quoted(tmp_path: Path, written: str) -> None:
    (account,) = load(tmp_path, TELECMI.replace("1111113\n", f"{written}\n", 1)).telecmi
    assert account.app_id == 1111113


def test_small_courtesies(tmp_path: Path) -> None:
    text = (
        TELECMI
        + 'base_url = "http://127.0.0.1:8080/"\nregion = "de"\nmax_deletions = "2.5%"\nrequests_per_second = 3\n'
    )
    (account,) = load(tmp_path, "\ufeff" + text).telecmi
    assert (account.base_url, account.region) == ("http://127.0.0.1:8080", "DE")
    assert (account.max_deletions, account.requests_per_second) == (0.025, 3.0)


def test_targets(tmp_path: Path) -> None:
    text = (
        TELECMI
        + f"""
[notify.desk]
on = ["conflict", "voicemail"]
webhook = "https://hooks.example.com/desk?key=1"
secret = "whsec_{b64encode(b"x" * 32).decode()}"
max_age = "2h"
[notify.phone]
command = ["bin/tell", "desk"]
private = true
"""
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tell").touch(0o755)
    settings = load(tmp_path, text)
    desk, phone = settings.of(NotifyTarget)
    assert (desk.label, desk.way, desk.on) == ("notify.desk", "webhook", ("voicemail", "conflict"))
    assert (desk.max_age, desk.private) == (timedelta(hours=2), False)
    assert phone.command == (str(tmp_path / "bin" / "tell"), "desk")
    assert (phone.way, phone.private, phone.max_age) == ("command", True, timedelta(days=1))
    assert {"whsec_" + b64encode(b"x" * 32).decode(), "https://hooks.example.com/desk?key=1"} <= {
        secret.reveal() for secret in settings.secrets()
    }
    assert "hooks.example" not in repr(settings)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('webhook = "https://h.example"\ncommand = ["/bin/true"]', "notify.desk has webhook and command; keep one"),
        ("private = true", "notify.desk reaches nobody; write webhook"),
        ('webhook = "http://hooks.example.com/x"', "notify.desk.webhook is plain http"),
        ('webhook = "ftp://hooks.example.com"', "notify.desk.webhook is not a web address"),
        ('webhook = "https://me:pw@hooks.example.com"', "notify.desk.webhook holds a login"),
        ('webhook = "https://h.example"\nsecret = "whsec_short"', "notify.desk.secret is not a webhook secret"),
        ('webhook = "https://h.example"\nsecret = "c2VjcmV0"', "notify.desk.secret is not a webhook secret"),
        ('command = ["/bin/true"]\nsecret = "whsec_x"', "notify.desk.secret signs webhooks, and notify.desk has none"),
        ('command = ["/no/such/program"]', "notify.desk.command: there is no file /no/such/program"),
        ('command = ["/etc/passwd"]', "notify.desk.command: /etc/passwd cannot be run by this user"),
        ('command = "tell me"', "notify.desk.command must be a list of texts"),
        ('command = ["/bin/true"]\non = ["voicemial"]', "notify.desk.on names an event that does not exist"),
        ('command = ["/bin/true"]\non = []', "notify.desk.on must be a list of events"),
    ],
)  # fmt: skip
def test_bad_targets(tmp_path: Path, lines: str, says: str) -> None:
    [problem] = problems(tmp_path, TELECMI + f"[notify.desk]\n{lines}\n")
    assert problem.startswith(says)


PAGES = '[http]\nlisten = "127.0.0.1:9464"\n'


def test_lookup_keys(tmp_path: Path) -> None:
    text = (
        TELECMI
        + PAGES
        + '[lookup.pbx]\nkey = "pbx-key-0123456789"\n[lookup.desk-phones]\nkey_file = "phones"\n'
    )
    (tmp_path / "phones").write_text("phones-key-0123456789\n")
    settings = load(tmp_path, text, {"SYNCER_LOOKUP_PBX_KEY": "env-key-0123456789"})
    pbx, phones = settings.of(LookupKey)
    assert (pbx.label, phones.label) == ("lookup.pbx", "lookup.desk-phones")
    assert [reveal(one.key) for one in (pbx, phones)] == ["env-key-0123456789", "phones-key-0123456789"]
    assert phones.key in set(settings.secrets())


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("[lookup.pbx]", "lookup.pbx.key is missing; set $SYNCER_LOOKUP_PBX_KEY"),
        ('[lookup.pbx]\nkey = "fifteen-letters"', "lookup.pbx.key is too short"),
        (
            '[lookup.pbx]\nkey = "with a blank in it"',
            "lookup.pbx.key has characters that no HTTP header holds",
        ),
        (
            '[lookup.a]\nkey = "same-key-0123456789"\n[lookup.b]\nkey = "same-key-0123456789"',
            "lookup.a and lookup.b have the same key",
        ),
        ('[lookup]\nkey = "some-key-0123456789"', "lookup.key is outside any target"),
    ],
)
def test_bad_lookup_keys(tmp_path: Path, lines: str, says: str) -> None:
    [problem] = problems(tmp_path, TELECMI + PAGES + lines)
    assert problem.startswith(says)
    assert "0123456789" not in problem


def test_keys_while_no_page_is_served(tmp_path: Path) -> None:
    lookup = '[lookup.pbx]\nkey = "pbx-key-0123456789"\n'
    [problem] = problems(tmp_path, TELECMI + lookup)
    assert problem.startswith("lookup.pbx is answered by the daemon's pages, which are off")
    [problem] = problems(tmp_path, TELECMI + '[http]\nlisten = "nowhere"\n' + lookup)
    assert problem.startswith("http.listen")


@pytest.mark.parametrize("key", ["with/a-slash", "a b c", "x" * 201, "what?"])
def test_bad_doorbell_keys(tmp_path: Path, key: str) -> None:
    [problem] = problems(tmp_path, TELECMI + f'doorbell_key = "{key}"\n')
    assert problem.startswith("telecmi.main.doorbell_key cannot be part of an address")
    assert key not in problem


def test_extra_tables(tmp_path: Path) -> None:
    text = """
[monitor]
ping_url = "https://ping.example.com/abc?x=1"
[backup]
enabled = true
every = "12h"
keep = 3
path = "/var/backups/syncer"
[retention]
runs = "7d"
"""
    settings = load(tmp_path, text + SMARTFLO)
    assert reveal(settings.monitor.ping_url) == "https://ping.example.com/abc?x=1"
    assert (settings.backup.enabled, settings.backup.keep) == (True, 3)
    assert settings.backup.path == Path("/var/backups/syncer")
    assert (settings.retention.runs, settings.retention.log) == (timedelta(days=7), timedelta(days=730))
    assert {secret.reveal() for secret in settings.secrets()} == {
        "first-token",
        "https://ping.example.com/abc?x=1",
    }


def test_settings_without_a_file(tmp_path: Path) -> None:
    settings = settings_from({"smartflo": {"main": {"token": "abc"}}}, tmp_path, {})
    assert settings.path is None
    assert settings.database.path == tmp_path / "syncer.db"


# ---- secrets ----


def test_a_secret_is_taken_from_the_first_place_that_has_it(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "telecmi.main.secret").write_text("from-credential\n")
    (tmp_path / "own.secret").write_text("from-file\r\n")
    text = TELECMI + 'secret_file = "own.secret"\n'
    environ = {"SYNCER_TELECMI_MAIN_SECRET": "from-environment", "CREDENTIALS_DIRECTORY": str(credentials)}

    def secret() -> str | None:
        return reveal(load(tmp_path, text, environ).telecmi[0].secret)

    assert secret() == "from-environment"
    environ["SYNCER_TELECMI_MAIN_SECRET"] = ""
    assert secret() == "from-credential"
    (credentials / "telecmi.main.secret").unlink()
    assert secret() == "from-file"
    text = TELECMI
    assert secret() == "first-secret"


@pytest.mark.parametrize("key", ["secret", "password", "token"])
@pytest.mark.parametrize("name", ["main", "second-shop", "shop.4", "Mixed_Case"])
def test_environment_names(tmp_path: Path, key: str, name: str) -> None:
    variable = f"SYNCER_TELECMI_{name.upper().replace('-', '_').replace('.', '_')}_{key.upper()}"
    text = TELECMI.replace("telecmi.main", f'telecmi."{name}"')
    (account,) = load(tmp_path, text, {variable: "given"}).telecmi
    assert reveal(getattr(account, key)) == "given"


@pytest.mark.parametrize("key", ["password", "token"])
def test_smartflo_secrets_from_files(tmp_path: Path, key: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / key).write_text(" inner blank stays\n\n" if key == "password" else "Bearer abc.def\n")
    (account,) = load(tmp_path, f'[smartflo.x]\nemail = "a@b"\n{key}_file = "s/{key}"\n').accounts
    assert reveal(getattr(account, key)) == (" inner blank stays" if key == "password" else "abc.def")


@pytest.mark.parametrize("pasted", ["abc.def", "Bearer abc.def", "bearer  abc.def ", " abc.def"])
def test_a_pasted_smartflo_token_may_bear_the_word_bearer(tmp_path: Path, pasted: str) -> None:
    (account,) = load(tmp_path, f'[smartflo.x]\ntoken = "{pasted}"\n').accounts
    assert reveal(account.token) == "abc.def"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_secret_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "own.secret").write_text("x")
    (tmp_path / "own.secret").chmod(0)
    (problem,) = problems(tmp_path, TELECMI + 'secret_file = "own.secret"\n')
    assert "cannot be read (Permission denied)" in problem


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("folder", "cannot be read (it is a folder)"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe\x00", "holds no text"),
        (b"hunter2\nhunter3", "has a line break"),
        (b"hunter2\x00", "has a line break or a control character"),
        (b"hunter2" * 20_000, "is far too long"),
    ],
)
@pytest.mark.parametrize("by", ["secret_file", "credential"])
def test_a_bad_secret_file_is_one_problem_that_names_it(
    tmp_path: Path, content: bytes | str | None, says: str, by: str
) -> None:
    path = tmp_path / ("own.secret" if by == "secret_file" else "telecmi.main.secret")
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif by == "credential":
        path.symlink_to(tmp_path / "nothing" / ".." / "loop")
        path.unlink()
        path.symlink_to(path)  # a link to itself: there, and unreadable
        says = "cannot be read"
    text = TELECMI + ('secret_file = "own.secret"\n' if by == "secret_file" else "")
    (problem,) = problems(
        tmp_path, text, {"CREDENTIALS_DIRECTORY": str(tmp_path)} if by == "credential" else {}
    )
    assert says in problem and str(path) in problem and "telecmi.main.secret" in problem
    assert "hunter" not in problem


def test_an_unreadable_file_is_not_reported_as_a_missing_secret_too(tmp_path: Path) -> None:
    text = '[telecmi.main]\napp_id = 1\nuser_id = "1_1"\nsecret_file = "a"\npassword_file = "b"\n'
    found = problems(tmp_path, text)
    assert sorted(problem.split(":")[0] for problem in found) == [
        "telecmi.main.password_file",
        "telecmi.main.secret_file",
    ]


#: What a file, a variable or a key holds -> the secret, or a part of the sentence about it.
COPIED = [
    ("\ufefffirst", "=first"),
    ("first\n", "=first"),
    ("first\r\n", "=first"),
    ("\ufefffirst\r\n\r\n", "=first"),
    ("first\u200b", "invisible character in it (U+200B)"),
    ("\u200bfirst", "invisible character in it (U+200B)"),
    ("fi\u200brst", "invisible character in it (U+200B)"),
    ("first\u00a0", "invisible character in it (U+00A0)"),
    ("fi\u00adrst", "invisible character in it (U+00AD)"),
    ("first\u2028", "invisible character in it (U+2028)"),
    ("first\u202e", "invisible character in it (U+202E)"),
    ("first\ufeff", "invisible character in it (U+FEFF)"),
    ("first\t", "control character"),
    ("\nfirst", "line break"),
]


@pytest.mark.parametrize("key", ["secret", "password", "token"])
@pytest.mark.parametrize("by", ["file", "credential", "environment", "config"])
@pytest.mark.parametrize(("written", "meant"), COPIED)
def test_what_comes_along_when_a_secret_is_copied_works_or_is_named(
    tmp_path: Path, written: str, meant: str, by: str, key: str
) -> None:
    if by in ("environment", "config") and written.endswith("\n"):
        meant = "line break"
    text = "".join(line + "\n" for line in TELECMI.splitlines() if not line.startswith(f"{key} ="))
    environ = {}
    (tmp_path / "files").mkdir()
    if by == "environment":
        environ = {f"SYNCER_TELECMI_MAIN_{key.upper()}": written}
    elif by == "config":
        text += f"{key} = {json.dumps(written)}\n"
    else:
        (tmp_path / "files" / f"telecmi.main.{key}").write_bytes(written.encode())
        environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "files")} if by == "credential" else {}
        text += "" if environ else f'{key}_file = "files/telecmi.main.{key}"\n'
    if meant.startswith("="):
        (account,) = load(tmp_path, text, environ).telecmi
        assert reveal(getattr(account, key)) == meant[1:]
    else:
        (problem,) = problems(tmp_path, text, environ)
        assert meant in problem and problem.startswith(f"telecmi.main.{key} ") and "first" not in problem


def test_where_each_secret_was_found_is_noted(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("abc")
    settings = load(
        tmp_path, TELECMI + 'secret_file = "s"\n' + SMARTFLO, {"SYNCER_TELECMI_MAIN_PASSWORD": "given"}
    )
    assert {key: source.words for key, source in settings.sources.items()} == {
        "telecmi.main.secret": f"the file {tmp_path / 's'}",
        "telecmi.main.password": "$SYNCER_TELECMI_MAIN_PASSWORD",
        "smartflo.main.token": "the config",
    }
    assert settings.sources["telecmi.main.secret"].file == tmp_path / "s"


@pytest.mark.parametrize(
    "text",
    [
        "[telecmi.main]\napp_id = 1\n",
        '[telecmi.main]\napp_id = 1\nsecret_file = "missing"\npassword_file = "missing"\n',
        '[telecmi.main]\napp_id = 1\nsecret = "..."\npassword = "..."\nuser_id = "..."\n',
        '[telecmi.main]\napp_id = 1\ntoken = "two words"\n',
        '[smartflo.main]\nemail = "a@b.example"\n',
        "[smartflo.main]\n",
    ],
)
def test_where_no_vendor_is_called_no_secret_is_read(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)
    settings = load(tmp_path, text, credentials=Credentials.UNUSED)
    assert list(settings.secrets()) == [] and settings.sources == {}


def test_where_no_vendor_is_called_all_else_is_checked(tmp_path: Path) -> None:
    text = "[telecmi.main]\napp_id = 1\ntimeout = 5\ncolour = 'red'\n"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, credentials=Credentials.UNUSED)
    assert len(caught.value.problems) == 2


OFF = "contacts = { enabled = false }\nuser_contacts = { enabled = false }\npush = { enabled = false }\n"
VOICEMAILS_OFF = "voicemails = { enabled = false }\n"


@pytest.mark.parametrize(
    ("old", "new", "more", "named"),
    [
        ("first-secret", "...", "", ["telecmi.main.secret"]),
        ("first-secret", "\u2026", "", ["telecmi.main.secret"]),
        ("first-secret", " ... ", "", ["telecmi.main.secret"]),
        ("first-password", "...", "", ["telecmi.main.password"]),
        ("101_1111113", "...", "", ["telecmi.main.user_id"]),
        ("first-password", "...", 'token = "..."\n', ["telecmi.main.password", "telecmi.main.token"]),
        ("first-password", "...", OFF, []),  # nothing would send it
        ("first-secret", "...", VOICEMAILS_OFF, []),
        ("first-password", "a...", "", []),
    ],
)
def test_placeholders_are_never_sent(tmp_path: Path, old: str, new: str, more: str, named: list[str]) -> None:
    text = TELECMI.replace(old, new) + more
    assert load(tmp_path, text, credentials=Credentials.SHOWN)
    if not named:
        assert load(tmp_path, text)
        return
    found = problems(tmp_path, text)
    assert [problem.split(" ")[0] for problem in found] == named
    assert all("is still the placeholder of the example" in problem for problem in found)


@pytest.mark.parametrize("token", ["...", "Bearer ..."])
@pytest.mark.parametrize("by", ["environment", "file", "config"])
def test_a_placeholder_may_come_from_anywhere(tmp_path: Path, token: str, by: str) -> None:
    (tmp_path / "token").write_text(f"{token}\n")
    line = {"environment": "", "file": 'token_file = "token"\n', "config": f'token = "{token}"\n'}[by]
    environ = {"SYNCER_SMARTFLO_MAIN_TOKEN": token} if by == "environment" else {}
    (problem,) = problems(tmp_path, f"[smartflo.main]\n{line}", environ)
    assert problem.startswith("smartflo.main.token is still the placeholder")


# ---- ~ ----


def test_a_tilde_is_the_home_folder_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    (home / "secret").write_text("first")
    (home / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    text = TELECMI + 'secret_file = "~/secret"\nca_file = "~/ca.pem"\n'
    text = f'[database]\nurl = "sqlite:///~/mirror.db"\n[backup]\npath = "~/backups"\n{text}'
    settings = load(tmp_path, text)
    (account,) = settings.telecmi
    assert settings.database.path == home / "mirror.db"
    assert settings.database.url == f"sqlite:///{home / 'mirror.db'}"
    assert settings.backup.path == home / "backups"
    assert account.ca_file == home / "ca.pem" and reveal(account.secret) == "first"
    assert find_config("~/c.toml", {}, tmp_path) == home / "c.toml"
    assert find_config(None, {"SYNCER_CONFIG": "~/c.toml"}, tmp_path) == home / "c.toml"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('[database]\nurl = "sqlite:///~nobody-at-all/x.db"\n', "database.url"),
        ('[backup]\npath = "~nobody-at-all/x"\n', "backup.path"),
        ('[telecmi.main]\nca_file = "~nobody-at-all/x"\n', "telecmi.main.ca_file"),
        ('[telecmi.main]\nsecret_file = "~nobody-at-all/x"\n', "telecmi.main.secret_file"),
    ],
)
def test_the_home_of_nobody_is_named(tmp_path: Path, line: str, named: str) -> None:
    text = line + TELECMI.replace("[telecmi.main]\n", "") if "telecmi" in line else line + TELECMI
    found = problems(tmp_path, text)
    assert found[0].startswith(named) and "home of a user who does not exist" in found[0]
    with pytest.raises(ConfigError, match="home of a user who does not exist"):
        find_config("~nobody-at-all/c.toml", {}, tmp_path)


def test_secrets_do_not_show() -> None:
    secret = Secret("hunter2")
    shown = f"{secret} {secret!r} {secret:>5} {[secret]} " + "%s %r" % (secret, secret)  # noqa: UP031 - how logging prints
    assert "hunter2" not in shown and "***" in shown
    assert (
        secret == Secret("hunter2") and secret != Secret("other") and hash(secret) == hash(Secret("hunter2"))
    )
    assert secret != "hunter2" and not Secret("")
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_settings_print_without_secrets(tmp_path: Path) -> None:
    text = repr(load(tmp_path, TELECMI + SMARTFLO))
    assert "first-" not in text and "***" in text


# ---- what can be wrong with one key ----

BAD_KEYS = [
    # table, line, the key named, a part of the advice
    ("telecmi", "timeot = '3s'", "telecmi.main.timeot", 'unknown key; did you mean "timeout"?'),
    ("telecmi", "colour = 'red'", "telecmi.main.colour", "unknown key; remove it"),
    ("telecmi", "email = 'x'", "telecmi.main.email", "unknown key"),
    ("telecmi", "timeout = 30", "telecmi.main.timeout", '"90s", "5m", "24h" or "7d"'),
    ("telecmi", "timeout = '30'", "telecmi.main.timeout", '"90s", "5m", "24h" or "7d"'),
    ("telecmi", "timeout = '1.5h'", "telecmi.main.timeout", "is not a duration"),
    ("telecmi", "timeout = '-1s'", "telecmi.main.timeout", "is not a duration"),
    ("telecmi", "timeout = '5 m'", "telecmi.main.timeout", "is not a duration"),
    ("telecmi", "timeout = '1w'", "telecmi.main.timeout", "is not a duration"),
    ("telecmi", "timeout = '٣s'", "telecmi.main.timeout", "is not a duration"),
    ("telecmi", "timeout = ''", "telecmi.main.timeout", "is not a duration"),
    ("telecmi", "timeout = true", "telecmi.main.timeout", "is not a duration"),
    ("telecmi", "timeout = '0s'", "telecmi.main.timeout", 'must be "1s" or more'),
    ("telecmi", "timeout = '999999999999d'", "telecmi.main.timeout", "is too long"),
    ("telecmi", "audio = true", "telecmi.main.audio", "must be a table"),
    ("audio", "path = ''", "audio.path", "names no path"),
    ("telecmi", "audio = { keep = 'x' }", "telecmi.main.audio.keep", "is not a duration"),
    ("telecmi", "audio = { max_size = 5 }", "telecmi.main.audio.max_size", "is not a size"),
    ("telecmi", "audio = { max_size = '5 gigs' }", "telecmi.main.audio.max_size", '"500MB" or "5GB"'),
    ("telecmi", "audio = { max_size = '0GB' }", "telecmi.main.audio.max_size", 'must be "1KB" or more'),
    ("telecmi", "audio = { max_size = '1001TB' }", "telecmi.main.audio.max_size", '"1000TB"'),
    ("telecmi", "max_deletions = 0.1", "telecmi.main.max_deletions", '"10%"'),
    ("telecmi", "max_deletions = '10'", "telecmi.main.max_deletions", '"10%"'),
    ("telecmi", "max_deletions = '101%'", "telecmi.main.max_deletions", "from 0 to 100"),
    ("telecmi", "max_deletions = '-1%'", "telecmi.main.max_deletions", "from 0 to 100"),
    ("telecmi", "requests_per_second = true", "telecmi.main.requests_per_second", "must be a number"),
    ("telecmi", "requests_per_second = '5'", "telecmi.main.requests_per_second", "without quotes"),
    ("telecmi", "requests_per_second = 0", "telecmi.main.requests_per_second", "more than 0"),
    ("telecmi", "requests_per_second = -1.0", "telecmi.main.requests_per_second", "more than 0"),
    ("telecmi", "requests_per_second = inf", "telecmi.main.requests_per_second", "must be a number"),
    ("telecmi", "requests_per_second = nan", "telecmi.main.requests_per_second", "must be a number"),
    ("telecmi", f"requests_per_second = {10**400}", "telecmi.main.requests_per_second", "1000 or less"),
    ("telecmi", "concurrency = 0", "telecmi.main.concurrency", "1 or more"),
    ("telecmi", "concurrency = true", "telecmi.main.concurrency", "whole number"),
    ("telecmi", "concurrency = 2.0", "telecmi.main.concurrency", "whole number"),
    ("telecmi", "concurrency = 101", "telecmi.main.concurrency", "100 or less"),
    ("telecmi", "region = 'ZZ'", "telecmi.main.region", 'such as "IN"'),
    ("telecmi", "region = '001'", "telecmi.main.region", 'such as "IN"'),
    ("telecmi", "region = 91", "telecmi.main.region", 'such as "IN"'),
    ("telecmi", "token = 123456", "telecmi.main.token", "write it in quotes"),
    ("telecmi", "token = 'two words'", "telecmi.main.token", "cannot be used"),
    ("telecmi", 'token = "line\\nbreak"', "telecmi.main.token", "line break"),
    ("telecmi", "voicemails = true", "telecmi.main.voicemails", "must be a table"),
    ("telecmi", "voicemails = { overlap = '5h' }", "telecmi.main.voicemails.overlap", '"6h" or more'),
    ("telecmi", "voicemails = { window = '0d' }", "telecmi.main.voicemails.window", 'must be "1s" or more'),
    ("telecmi", "voicemails = { since = 'soon' }", "telecmi.main.voicemails.since", "neither a duration nor a date"),
    ("telecmi", "voicemails = { since = 2026-01-01T00:00:00Z }", "telecmi.main.voicemails.since", "neither"),
    ("telecmi", "voicemails = { since = '0d' }", "telecmi.main.voicemails.since", 'must be "1s" or more'),
    ("telecmi", "voicemails = { enabled = 1 }", "telecmi.main.voicemails.enabled", "true or false"),
    ("telecmi", "voicemails = { enabled = 'yes' }", "telecmi.main.voicemails.enabled", "true or false"),
    ("telecmi", "contacts = { full_every = '1d' }", "telecmi.main.contacts.full_every", "unknown key"),
    ("telecmi", "contacts = { evry = '1d' }", "telecmi.main.contacts.evry", 'did you mean "every"?'),
    ("telecmi", "push = { on_conflict = 'mine' }", "telecmi.main.push.on_conflict", '"ask", "local" or "remote"'),
    ("telecmi", "push = { deletes = 'no' }", "telecmi.main.push.deletes", "true or false"),
    ("telecmi", "ca_file = 'nowhere.pem'", "telecmi.main.ca_file", "not a file of certificates"),
    ("telecmi", "ca_file = 'syncer.toml'", "telecmi.main.ca_file", "not a file of certificates"),
    ("smartflo", "secret = 'x'", "smartflo.main.secret", "unknown key"),
    ("smartflo", "updated_after_format = 'never'", "smartflo.main.updated_after_format", "time pattern"),
    ("smartflo", "updated_after_format = '%Y-%m-%d'", "smartflo.main.updated_after_format", "time pattern"),
    ("smartflo", "contacts = { overlap = 'x' }", "smartflo.main.contacts.overlap", "is not a duration"),
    ("smartflo", "contacts = { full_every = 1 }", "smartflo.main.contacts.full_every", "is not a duration"),
    ("database", "url = 'postgresql://localhost/x'", "database.url", "is not a SQLite address"),
    ("database", "url = 'syncer.db'", "database.url", "is not a SQLite address"),
    ("database", "url = 'sqlite://'", "database.url", "is not a SQLite address"),
    ("database", "url = 'sqlite:///'", "database.url", "names no file"),
    ("database", "url = 'sqlite:///:memory:'", "database.url", "names no file"),
    ("database", "url = 'sqlite:///x.db?mode=ro'", "database.url", "takes no options"),
    ("database", "url = 3", "database.url", "is not a SQLite address"),
    ("database", "url = 'sqlite:///.'", "database.url", "names a folder"),
    ("database", "group = ''", "database.group", "is empty"),
    ("database", "path = 'x.db'", "database.path", "unknown key"),
    ("http", "listen = '127.0.0.1'", "http.listen", "is not an address"),
    ("http", "listen = ':9464'", "http.listen", "is not an address"),
    ("http", "listen = '127.0.0.1:0'", "http.listen", "has a bad port"),
    ("http", "listen = '127.0.0.1:65536'", "http.listen", "has a bad port"),
    ("http", "listen = '127.0.0.1:http'", "http.listen", "has a bad port"),
    ("http", "listen = '::1:9464'", "http.listen", "is not an address"),
    ("http", "listen = 9464", "http.listen", "is not an address"),
    ("http", "hosts = 'localhost'", "http.hosts", "is not a list of hosts"),
    ("http", "hosts = []", "http.hosts", "is not a list of hosts"),
    ("http", "hosts = ['localhost:9464']", "http.hosts", "not a host"),
    ("http", "hosts = ['http://localhost']", "http.hosts", "not a host"),
    ("http", "hosts = ['::1']", "http.hosts", "not a host"),
    ("http", "hosts = ['']", "http.hosts", "not a host"),
    ("http", "hosts = [9464]", "http.hosts", "not a host"),
    ("http", "lisen = 'x'", "http.lisen", 'did you mean "listen"?'),
    ("monitor", "ping_url = 'ftp://x'", "monitor.ping_url", "is not a web address"),
    ("backup", "keep = 0", "backup.keep", "1 or more"),
    ("retention", "runs = 90", "retention.runs", "is not a duration"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "line", "key", "advice"), BAD_KEYS, ids=[case[1][:60] for case in BAD_KEYS]
)
def test_one_bad_key_is_one_sentence(tmp_path: Path, table: str, line: str, key: str, advice: str) -> None:
    name = line.split(" ")[0]
    texts = {"telecmi": TELECMI, "smartflo": SMARTFLO}
    if table in texts:
        texts[table] = re.sub(rf"^{name} = .*\n", "", texts[table], flags=re.MULTILINE) + line + "\n"
    else:
        texts[table] = f"[{table}]\n{line}\n"
    (problem,) = problems(tmp_path, "".join(texts.values()))
    assert problem.split(" ")[0].rstrip(":") == key
    assert advice in problem
    assert problem[-1] in ".?" and "\n" not in problem


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://rest.telecmi.com", "is plain http"),
        ("http://10.0.0.1:8080", "is plain http"),
        ("http://localhost.example.com", "is plain http"),
        ("http://127.0.0.1.example.com", "is plain http"),
        ("http://[::2]/", "is plain http"),
        ("ftp://example.com", "is not a web address"),
        ("example.com", "is not a web address"),
        ("https://", "is not a web address"),
        ("https:///path", "is not a web address"),
        ("https://exa mple.com", "is not a web address"),
        ("https://example.com\\n", "is not a web address"),
        ("https://example.com:99999", "is not a web address"),
        ("https://[::1", "is not a web address"),
        ("https://example.com/?a=1", "has a query"),
        ("https://example.com/#x", "has a query"),
        ("https://ops:hunter2@example.com", "holds a login"),
    ],
)
def test_bad_base_urls(tmp_path: Path, url: str, says: str) -> None:
    (problem,) = problems(tmp_path, f'{TELECMI}base_url = "{url}"\n')
    assert problem.startswith("telecmi.main.base_url ") and says in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:8080", "http://localhost:8080", "http://LOCALHOST",
        "https://10.0.0.1", "https://example.com/prefix",
    ],
)  # fmt: skip
def test_good_base_urls(tmp_path: Path, url: str) -> None:
    (account,) = load(tmp_path, f'{TELECMI}base_url = "{url}/"\n').telecmi
    assert account.base_url == url


# ---- what takes more than one key ----


@pytest.mark.parametrize(
    ("left_out", "starts", "parts"),
    [
        ("app_id", "telecmi.main.app_id is missing, and voicemails need it", ["voicemails = { enabled = false }"]),
        (
            "secret",
            "telecmi.main.secret is missing, and voicemails need it",
            [
                "$SYNCER_TELECMI_MAIN_SECRET", "telecmi.main.secret into $CREDENTIALS_DIRECTORY", "secret_file = ",
                'secret = "..."', "voicemails = { enabled = false }",
            ],
        ),
        (
            "user_id",
            "telecmi.main.user_id is missing; contacts, user_contacts and push need a login or a token",
            ["contacts = { enabled = false }, user_contacts = { enabled = false } and push = { enabled = false }"],
        ),
        (
            "password",
            "telecmi.main.password is missing; contacts, user_contacts and push need a login or a token",
            ["$SYNCER_TELECMI_MAIN_PASSWORD", "telecmi.main.password into $CREDENTIALS_DIRECTORY", "password_file = "],
        ),
    ],
)  # fmt: skip
def test_a_missing_credential_says_who_needs_it_and_all_ways_to_give_it(
    tmp_path: Path, left_out: str, starts: str, parts: list[str]
) -> None:
    (problem,) = problems(tmp_path, re.sub(rf"^{left_out} = .*\n", "", TELECMI, flags=re.MULTILINE))
    assert problem.startswith(starts)
    assert all(part in problem for part in parts)


def test_a_token_replaces_a_login(tmp_path: Path) -> None:
    text = '[telecmi.main]\ntoken = "abc"\nvoicemails = { enabled = false }\n'
    assert reveal(load(tmp_path, text).telecmi[0].token) == "abc"
    (problem,) = problems(tmp_path, text.replace('token = "abc"\n', ""))
    assert problem.startswith("telecmi.main.user_id and telecmi.main.password are missing")
    assert "$SYNCER_TELECMI_MAIN_PASSWORD" in problem and "$SYNCER_TELECMI_MAIN_TOKEN" in problem


def test_smartflo_needs_a_token_or_a_login(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "[smartflo.main]\n")
    assert problem.startswith("smartflo.main.email and smartflo.main.password are missing")
    assert "contacts = { enabled = false } below [smartflo.main]" in problem
    (problem,) = problems(tmp_path, '[smartflo.main]\nemail = "ops@example.com"\npassword = ""\n')
    assert problem.startswith("smartflo.main.password is missing")
    assert load(tmp_path, '[smartflo.main]\nemail = "ops@example.com"\npassword = "x"\n').accounts


@pytest.mark.parametrize("text", ["", "[telecmi]\n", "[http]\n"])
def test_no_account_at_all(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("No account is configured") and "[telecmi.main]" in problem


@pytest.mark.parametrize("other", ["a_b", "A-B", "a.b"])
def test_accounts_whose_environment_names_collide(tmp_path: Path, other: str) -> None:
    text = "".join(f'[smartflo."{name}"]\ntoken = "x"\n' for name in ("a-b", other))
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(f"smartflo.{other} and smartflo.a-b would take their secrets from the same")


@pytest.mark.parametrize("name", ["a b", "", "é", "-a", "a/b", "x" * 65])
def test_bad_account_names(tmp_path: Path, name: str) -> None:
    (problem,) = problems(tmp_path, f'[smartflo."{name}"]\ntoken = "x"\n')
    assert "is not a valid account name" in problem


def test_keys_without_an_account(tmp_path: Path) -> None:
    found = problems(tmp_path, "[telecmi]\napp_id = 1\ncontacts = { enabled = true }\n[smartflo]\nx = 1\n")
    assert [problem.split(" ")[0] for problem in found] == [
        "telecmi.app_id",
        "telecmi.contacts",
        "smartflo.x",
    ]
    assert all("is outside any account" in problem for problem in found)


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("telecmi = 3\n", "telecmi must hold accounts"),
        ("[[telecmi]]\n", "telecmi must hold accounts"),
        ("http = 'x'\n" + SMARTFLO, "http must be a table"),
        ("telecm = 3\n" + SMARTFLO, 'telecm is an unknown key; did you mean "telecmi"?'),
        ("[databse]\n" + SMARTFLO, 'databse is an unknown key; did you mean "database"?'),
    ],
)
def test_wrong_tables(tmp_path: Path, text: str, starts: str) -> None:
    assert problems(tmp_path, text)[0].startswith(starts)


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    text = """
colour = 1
[database]
url = "postgres://x"
[telecmi.main]
app_id = true
timeot = "3s"
voicemails = { evry = "5m", overlap = "2h" }
[smartflo.x]
base_url = "http://example.com"
[http]
listen = ":9"
"""
    found = problems(tmp_path, text)
    assert [problem.split(" ")[0] for problem in found] == [
        "colour", "database.url", "http.listen", "telecmi.main.app_id", "telecmi.main.timeot",
        "telecmi.main.voicemails.evry", "telecmi.main.voicemails.overlap", "telecmi.main.secret",
        "telecmi.main.user_id", "smartflo.x.base_url", "smartflo.x.email",
    ]  # fmt: skip


# ---- nothing secret is ever repeated ----


def leaves() -> Iterator[tuple[str, ...]]:
    for kind, model in schema.VENDORS.items():
        for name, key in keys_of(model).items():
            yield kind, "main", name
            if key.table is not None:
                yield from ((kind, "main", name, inner) for inner in keys_of(type(key.table)))
    for section, table in schema.SECTIONS.items():
        yield from ((section, name) for name in keys_of(table))


@pytest.mark.parametrize("path", list(leaves()), ids=".".join)
@pytest.mark.parametrize(
    "value", ["hunter2\n", ["hunter2"], {"hunter2": "hunter2"}], ids=["text", "list", "table"]
)
def test_a_secret_in_the_wrong_line_is_not_repeated(
    tmp_path: Path, path: tuple[str, ...], value: object
) -> None:
    raw: dict[str, Any] = {
        "telecmi": {"main": {"app_id": 1, "user_id": "1_1"}},
        "smartflo": {"main": {"email": "x"}},
    }
    table = raw
    for key in path[:-1]:
        table = table.setdefault(key, {})
    table[path[-1]] = value
    with pytest.raises(ConfigError) as caught:
        settings_from(raw, tmp_path, {})
    # A file that is named has to be named in return, and so does an unknown key.
    told = str(caught.value).replace(str(tmp_path / "hunter2"), "")
    told = told.replace("hunter2 is an unknown key", "").replace(
        r"'" + str(tmp_path / "hunter2") + r"\n'", ""
    )
    if path[-1] not in ("ca_file", "secret_file", "password_file", "token_file") and value != {
        "hunter2": "hunter2"
    }:
        assert "hunter2" not in told
    shown = caught.value.__cause__ or caught.value.__context__
    assert "hunter2" not in repr(shown)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["telecmi", "smartflo", "main", "database", "http", "url", "voicemails", "since", "token", "x"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
))  # fmt: skip
def test_whatever_it_holds_it_loads_or_says_why(value: object) -> None:
    raw = value if isinstance(value, dict) else {"telecmi": value}
    with contextlib.suppress(ConfigError):
        settings_from(raw, Path("/nowhere"), {})


# ---- the file itself ----


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[telecmi.main\n", "line 1, column 14"),
        ('a = 1\nsecret = "hunter2\n', "line 2, column"),
        ("secret = hunter2\n", "line 1, column 10"),
        ("a = 1\na = 2\n", "line 2, column"),
        ('x = """\nhunter2', "line 2, column 8"),
        ("x = 2026-13-45\n", "line 1, column"),
    ],
)
def test_bad_toml_names_the_place_and_quotes_nothing(tmp_path: Path, text: str, where: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert (
        problem.startswith(f"The config file {tmp_path / 'syncer.toml'} is not valid TOML: ")
        and where in problem
    )
    assert "hunter2" not in problem


@pytest.mark.parametrize("text", ["x = " + "[" * 50_000, "x = " + "9" * 5_000])
def test_absurd_toml(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert "The config file" in problem


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    def told(path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            load_settings(path, {})
        (problem,) = caught.value.problems
        return problem

    assert "`syncer init" in told(tmp_path / "nothing.toml")
    assert "is a folder" in told(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# fine\n# caf\xe9\n")
    assert "is not UTF-8 text (line 2)" in told(tmp_path / "latin.toml")
    assert "cannot be read (Not a directory)" in told(tmp_path / "latin.toml" / "x")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    assert "cannot be read" in told(tmp_path / "loop.toml")


def test_where_the_config_is_found(tmp_path: Path) -> None:
    system = tmp_path / "etc.toml"
    with pytest.raises(ConfigError) as caught:
        find_config(None, {}, tmp_path, system=system)
    (problem,) = caught.value.problems
    for part in ("--config", "$SYNCER_CONFIG", str(tmp_path / "syncer.toml"), str(system), "`syncer init`"):
        assert part in problem
    system.touch()
    assert find_config(None, {"SYNCER_CONFIG": ""}, tmp_path, system=system) == system
    (tmp_path / "syncer.toml").touch()
    assert find_config(None, {}, tmp_path, system=system) == tmp_path / "syncer.toml"
    environ = {"SYNCER_CONFIG": "other.toml"}
    assert find_config(None, environ, tmp_path, system=system) == tmp_path / "other.toml"
    assert find_config("/x/mine.toml", environ, tmp_path, system=system) == Path("/x/mine.toml")


# ---- the notations ----


@given(st.integers(1, 36500 * 86400))
def test_durations_survive_writing_and_reading(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert units.parse_duration(units.format_duration(span)) == span


@given(st.integers(1, 10**12))
def test_sizes_survive_writing_and_reading(kilobytes: int) -> None:
    size = units.Size(kilobytes * 1000)
    assert units.parse_size(units.format_size(size)) == size


def test_sizes_are_powers_of_ten() -> None:
    assert [units.parse_size(text) for text in ("5KB", "5 MB", "5GB")] == [5_000, 5_000_000, 5_000_000_000]


def test_the_regions_are_those_of_the_library() -> None:
    assert frozenset(phonenumbers.SUPPORTED_REGIONS) == REGIONS


def test_accounts_are_what_they_say(tmp_path: Path) -> None:
    kinds = {type(account): account.kind for account in load(tmp_path, TELECMI + SMARTFLO).accounts}
    assert kinds == {TelecmiAccount: "telecmi", SmartfloAccount: "smartflo"}
