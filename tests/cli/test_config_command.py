"""Which commands need credentials, `syncer config`, and what `doctor` says of files."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from syncer.cli.doctor import check_config, check_secrets, check_side_files
from syncer.config import Credentials, Settings
from syncer.config.load import load_settings, settings_from
from tests.cli.conftest import Syncer, Upstream
from tests.planted import KINDS, Decoy

LOCAL = [
    "status", "contacts list", "contacts show 1", "contacts edit 1 --company Example", "contacts delete 2",
    "contacts add --phone +919200099999 --first-name Asha --last-name Example", "voicemails list", "queue list", "held list", "log",
    "db check", "db upgrade", "db backup copy.db", "forget +919200088888 --yes",
]  # fmt: skip


def without_secrets(syncer: Syncer, text: str = "") -> None:
    """The config as the service has it whose secrets systemd hands over."""
    lines = syncer.config.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("secret", "password", "token"))]
    syncer.config.write_text("".join(kept) + text)


@pytest.mark.parametrize("line", LOCAL)
def test_what_calls_no_vendor_needs_no_secret(
    syncer: Syncer, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(syncer.folder)
    without_secrets(syncer)
    syncer.ok(*line.split())


@pytest.mark.parametrize("line", ["sync", "sync --dry-run", "run", "verify", "doctor", "config check"])
def test_what_calls_a_vendor_names_the_missing_secrets(syncer: Syncer, line: str) -> None:
    without_secrets(syncer)
    done = syncer(*line.split())
    assert done.code == 78
    assert "telecmi.main.secret is missing" in done.err and "smartflo.main" in done.err


@pytest.mark.parametrize("line", ["sync", "sync --dry-run", "run", "verify", "config check"])
def test_a_placeholder_is_not_sent(upstream: Upstream, line: str) -> None:
    syncer, world = upstream.syncer, upstream.world
    syncer.write_config('password = "sandbox-password"', 'password = "..."')
    before = len(world.requests())
    done = syncer(*line.split())
    assert done.code == 78 and "telecmi.main.password is still the placeholder" in done.err
    assert len(world.requests()) == before


# -- the config ----------------------------------------------------------------------------------------


def test_check_is_content_with_a_good_config(empty: Syncer) -> None:
    done = empty.ok("config", "check")
    assert f"{empty.config}, with telecmi.main, smartflo.main" in done.out
    assert list(empty.folder.iterdir()) == [empty.config]


def test_check_names_every_problem(empty: Syncer) -> None:
    empty.write_config("app_id = 1111113", "app_id = 0\ncolour = 3")
    done = empty("config", "check")
    assert done.code == 78 and "telecmi.main.app_id" in done.err and "telecmi.main.colour" in done.err


def test_show_gives_every_setting_and_no_secret(
    empty: Syncer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = '[http]\nlisten = "[::1]:9464"\nhosts = ["Sync.example.com", "[::1]"]\nconsole = true\n'
    more += 'url = "https://sync.example.com"\n[monitor]\nping_url = "https://ping.example.com/key-in-it"\n'
    more += '[telecmi."shop.4"]\napp_id = 7\nsecret_file = "own"\nvoicemails = { since = "2026-01-31" }\n'
    more += 'user_id = "1_7"\nmax_deletions = "2.5%"\n'
    empty.config.write_text(empty.config.read_text() + more)
    (empty.folder / "own").write_text("own-secret")
    (empty.folder / "own").chmod(0o600)
    monkeypatch.setenv("SYNCER_TELECMI_SHOP_4_PASSWORD", "given-password")
    done = empty.ok("config", "show")
    for hidden in (
        "sandbox-secret",
        "sandbox-password",
        "sandbox-token",
        "own-secret",
        "given-password",
        "key-in-it",
    ):
        assert hidden not in done.out + empty.ok("config", "show", "--json").out
    assert "# password is set, from $SYNCER_TELECMI_SHOP_4_PASSWORD" in done.out
    assert f"# secret is set, from the file {empty.folder / 'own'}" in done.out
    assert "# token is set, from the config" in done.out and "# group is not set" in done.out
    # What it prints is a config itself, and means the same.
    shown = settings_from(tomllib.loads(done.out), tmp_path, {}, Credentials.UNUSED)
    meant = load_settings(empty.config, os.environ, Credentials.UNUSED)
    assert (shown.database, shown.http, shown.accounts) == (meant.database, meant.http, meant.accounts)
    assert (shown.backup, shown.retention) == (meant.backup, meant.retention)


def test_show_needs_no_secret(empty: Syncer) -> None:
    without_secrets(empty)
    done = empty.ok("config", "show")
    assert "# secret is not set" in done.out and "# password is not set" in done.out


def test_show_for_programs(empty: Syncer) -> None:
    shown = empty.ok("config", "show", "--json").json
    assert (
        shown["telecmi.main"]["secret"] == {"from": "the config"} and shown["telecmi.main"]["token"] is None
    )
    assert shown["telecmi.main"]["voicemails"]["since"] == "3d"
    assert shown["monitor"] == {"ping_url": None}


@pytest.mark.parametrize("args", [("config", "check"), ("config", "show"), ("status",)])
def test_a_tilde_on_the_command_line(
    syncer: Syncer, args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(syncer.folder.parent))
    done = syncer.process(f"--config=~/{syncer.folder.name}/syncer.toml", *args, config=False)
    assert done.code == 0, done.err


def test_a_tilde_in_what_is_written(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(syncer.folder))
    syncer.ok("db", "backup", "~/copy.db")
    syncer.ok("init", "~/fresh.toml")
    syncer.ok("doctor", "--report", "~/report.txt")
    assert {"copy.db", "fresh.toml", "report.txt"} <= {path.name for path in syncer.folder.iterdir()}
    done = syncer("init", "~nobody-at-all/x")
    assert done.code == 2 and "a user who does not exist" in done.err


# -- doctor --------------------------------------------------------------------------------------------


def loaded(syncer: Syncer) -> Settings:
    return load_settings(syncer.config, {}, Credentials.SHOWN)


@pytest.mark.parametrize(
    ("name", "mode", "says", "fix"),
    [
        ("syncer.toml", 0o644, "can be read by everybody", "chmod 600"),
        ("own", 0o644, "can be read by everybody", "chmod 600"),
        ("own", 0o606, "may be changed by everybody (mode 606)", "chmod go-w"),
        ("syncer.toml", 0o666, "may be changed by everybody (mode 666)", "chmod go-w"),
        ("", 0o777, "may be changed by everybody (mode 777)", "chmod go-w"),
    ],
)
def test_doctor_says_who_else_may_read_or_change_the_config_and_its_secrets(
    empty: Syncer, name: str, mode: int, says: str, fix: str
) -> None:
    (empty.folder / "own").write_text("sandbox-secret")
    (empty.folder / "own").chmod(0o600)
    empty.write_config('secret = "sandbox-secret"', 'secret_file = "own"')
    settings = loaded(empty)
    assert [one.level for one in check_config(settings)] == ["ok"]
    (empty.folder / name).chmod(mode)
    found = [one for one in check_config(settings) if one.level != "ok"]
    assert any(str(empty.folder / name) in one.text and says in one.text and fix in one.fix for one in found)
    assert not any("644" in one.fix or "+r" in one.fix for one in found)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
def test_doctor_as_root_refuses_a_config_that_everybody_may_change(empty: Syncer) -> None:
    empty.config.chmod(0o666)
    done = empty("doctor")
    assert done.code == 78 and "may be changed by everybody" in done.err


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "device"])
@pytest.mark.parametrize(
    "name", ["mirror.db.locks", "mirror.db.locks/schema.lock", "mirror.db.tokens", "mirror.db.tokens.lock"]
)
def test_doctor_checks_the_locks_and_tokens(syncer: Syncer, tmp_path: Path, name: str, kind: str) -> None:
    if kind == "folder" and name.endswith(".locks"):
        pytest.skip("is one")
    assert [one.level for one in check_side_files(syncer.database)] == ["ok"]
    decoy = Decoy.make(tmp_path / "decoys")
    decoy.put(kind, syncer.folder / name)
    before = decoy.state()
    (one,) = check_side_files(syncer.database)
    assert one.level == "problem" and name in one.text and "find out who put it there" in one.fix
    assert decoy.state() == before


def test_doctor_names_a_password_that_ends_with_a_space(empty: Syncer) -> None:
    empty.write_config('password = "sandbox-password"', 'password = "sandbox-password "')
    found = {one.level: one.text for one in check_secrets(loaded(empty)) if one.about == "telecmi.main"}
    assert found["warning"] == "password begins or ends with a space"
