"""What can be wrong with a target: a sentence, the right exit code, and the other jobs untouched."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from syncer.config.load import settings_from
from syncer.errors import ConfigError
from syncer.store.publish import copy as copies
from syncer.sync import copy_thread, jobs, registry
from syncer.sync.env import Env
from tests.postgres import Server
from tests.publish.conftest import Published


def told(office: Published, **how: Any) -> tuple[str, int]:
    """The message for a person, and the exit code."""
    [run] = office.run("publish", **how)
    assert run.outcome == "failed"
    return run.problem, jobs.exit_code([run])


@pytest.mark.parametrize(
    ("target", "sentence", "code"),
    [
        ({"url": "postgresql://syncer@/office?host=/nowhere"}, "there is no such socket", 1),
        ({"url": "postgresql://syncer@127.0.0.1:1/office"}, "the connection was refused", 1),
        ({"url": "postgresql://syncer@nowhere.invalid/office"}, "its host name is not known", 1),
        ({"url": "{here}", "database": "elsewhere"}, "there is no such database", 1),
        ({"url": "{here}", "user": "nobody"}, "the login was refused", 77),
        ({"url": "{here}", "user": "limited"}, "the login was refused", 77),
        ({"url": "{here}", "user": "limited", "password": "wrong"}, "the login was refused", 77),
        ({"url": "{here}", "user": "limited", "password": "right"}, "its user has no right to do this there", 1),
        ({"url": "postgresql://syncer@/office?host=/tmp&nonsense=1"}, "its url has a setting that libpq does not take", 1),
        ({"url": "postgresql://syncer@/office?host=/tmp&connect_timeout=soon"}, "its url has a setting that libpq does not take", 1),
        ({"url": "postgresql://syncer@db..example.com/office"}, "its url has a host name that cannot exist", 1),
    ],
)  # fmt: skip
def test_a_bad_target_fails_with_a_sentence(
    tmp_path: Path, server: Server, target: dict[str, str], sentence: str, code: int
) -> None:
    settings = dict(target)
    where = {name: settings.pop(name) for name in ("user", "database") if name in settings}
    if settings["url"] == "{here}":
        settings["url"] = server.url(**where)
    office = Published(tmp_path, server, target=settings)
    office.world.seed(contacts=2, seed=1)
    runs = office.run()
    assert [run.outcome for run in runs if run.job != "publish"] == ["ok"] * 5
    assert sentence in runs[-1].problem and "publish.central" in runs[-1].problem
    assert "wrong" not in runs[-1].problem and "right'" not in runs[-1].problem
    assert jobs.exit_code(runs) == code
    office.close()


def test_a_user_with_the_grants_of_the_docs_is_enough(tmp_path: Path, server: Server) -> None:
    with server.connect() as conn:
        conn.execute("CREATE SCHEMA granted AUTHORIZATION limited")
    office = Published(
        tmp_path, server, schema="granted", target={"url": server.url(user="limited"), "password": "right"}
    )
    assert office.run("publish")[0].outcome == "ok"
    office.close()


def test_another_version_of_the_schema(office: Published) -> None:
    office.run("publish")
    office.there("UPDATE syncer_version SET version_num = '9999'")
    problem, code = told(office)
    assert "made by a newer version of syncer (it is 9999" in problem and code == 78


def test_a_schema_of_somebody_else_is_left_alone(office: Published) -> None:
    with office.server.connect() as conn:
        conn.execute(f"CREATE SCHEMA {office.schema}")
        conn.execute(f"CREATE TABLE {office.schema}.contacts (a int)")
    problem, code = told(office)
    assert "has a contacts that syncer did not make" in problem and code == 78


def test_a_table_that_was_dropped_is_said(office: Published) -> None:
    office.run("publish")
    office.there("DROP TABLE telecmi_notes")
    problem, code = told(office, full=True)
    assert "somebody changed its tables there (SQLSTATE 42P01)" in problem and code == 1


@pytest.fixture
def frozen(office: Published) -> Published:
    """A server whose process for us does not go on."""
    office.run("publish", person=False)
    return office


def test_a_target_that_hangs_is_cut_off(frozen: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_thread, "PATIENCE", 0.3)
    with frozen.server.connect() as blocker, blocker.transaction():
        blocker.execute(f"LOCK TABLE {frozen.schema}.syncer_position IN ACCESS EXCLUSIVE MODE")
        problem, code = told(frozen)
    assert "it did not answer for 0 s" in problem and code == 1
    assert frozen.run("publish")[0].outcome == "ok"


def test_a_server_that_was_stopped_by_hand_hangs_nobody(
    frozen: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_thread, "PATIENCE", 0.3)
    monkeypatch.setitem(copies._OPTIONS, "connect_timeout", "2")
    postmaster = int((frozen.server.data / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGSTOP)
    try:
        problem, code = told(frozen)
    finally:
        os.kill(postmaster, signal.SIGCONT)
    assert "it did not answer" in problem and code == 1
    assert frozen.run("publish")[0].outcome == "ok"


def test_a_lost_connection_is_made_again(frozen: Published) -> None:
    spec = registry.select(registry.specs(frozen.settings), ["publish"], None)

    async def work(env: Env) -> list[str]:
        first = await jobs.run_all(env, spec, full=False, person=False)
        with frozen.server.connect() as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncer'"
            )
        then = [await jobs.run_all(env, spec, full=False, person=False) for _ in range(2)]
        return [run.outcome for runs in (first, *then) for run in runs]

    assert frozen.within(work) == ["ok", "failed", "ok"]


def test_nothing_is_published_from_a_copy_elsewhere(office: Published) -> None:
    office.own("UPDATE home SET path = '/srv/elsewhere.db'")
    [run] = office.run("publish")
    assert "it is a copy here and nothing is sent" in run.problem


def settings_with(folder: Path, **target: Any) -> Any:
    raw = {"smartflo": {"main": {"token": "sandbox-token"}}, "publish": {"central": target}}
    return settings_from(raw, folder, {})


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ({}, "publish.central.url is missing"),
        ({"url": "mysql://db/office"}, "publish.central.url is not an address of PostgreSQL"),
        ({"url": "postgresql://a b/office"}, "publish.central.url is not an address of PostgreSQL"),
        ({"url": "postgresql://db:port/office"}, "publish.central.url is not an address of PostgreSQL"),
        ({"url": "postgresql://u:p@db/office"}, "publish.central.url holds a password"),
        ({"url": "postgresql://u@db/office?password=p"}, "publish.central.url holds a password"),
        ({"url": "postgresql://u@db"}, "publish.central.url names no database"),
        ({"url": "postgresql://u@db/office", "schema": "Pg_Bad"}, "publish.central.schema is not the name of a schema"),
        ({"url": "postgresql://u@db/office", "schema": "pg_x"}, "publish.central.schema is a schema of PostgreSQL's own"),
        ({"url": "postgresql://u@db/office", "site": "a b"}, "publish.central.site is not a valid name of a site"),
    ],
)  # fmt: skip
def test_a_bad_config_is_refused(tmp_path: Path, target: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings_with(tmp_path, **target)
    assert [problem for problem in refused.value.problems if problem.startswith(sentence)]


def test_two_targets_for_one_copy_are_refused(tmp_path: Path) -> None:
    one = {"url": "postgresql://u@db/office"}
    raw = {"smartflo": {"main": {"token": "t"}}, "publish": {"a": one, "b": one}}
    with pytest.raises(ConfigError, match=r"publish\.a and publish\.b are the same copy"):
        settings_from(raw, tmp_path, {})
    settings_from(raw | {"publish": {"a": one, "b": one | {"site": "pune"}}}, tmp_path, {})
