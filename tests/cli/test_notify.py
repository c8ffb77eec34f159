"""`notify`, and what `status`, `doctor` and `forget` say of targets."""

from __future__ import annotations

import socket

from tests.cli.conftest import Syncer
from tests.receiver import Receiver, receiving


def targets(syncer: Syncer, text: str) -> None:
    with syncer.config.open("a") as config:
        config.write(text)


def told(syncer: Syncer, state: str, row: int = 1, attempts: int = 0) -> None:
    syncer.as_program(
        "INSERT INTO outbox (target, event, table_name, row_id, state, attempts, created_at, last_error) VALUES "
        f"('desk', 'voicemail', 'telecmi_voicemails', {row}, '{state}', {attempts}, '2026-11-21T09:00:00.000Z', 'gone')"
    )


def test_a_test_reaches_each_target_or_says_which_not(syncer: Syncer, desk: Receiver) -> None:
    with receiving() as gone:
        pass
    targets(syncer, f'[notify.desk]\nwebhook = "{desk.url}"\n[notify.gone]\nwebhook = "{gone.url}"\n')
    done = syncer("notify", "test")
    assert done.code == 1
    assert done.out == "notify.desk: delivered, by webhook\n"
    assert done.err.startswith("notify.gone: not delivered: no connection")
    assert desk.got[0].json["type"] == "test"
    assert syncer.ok("notify", "test", "notify.desk").out == "notify.desk: delivered, by webhook\n"
    assert len({one.headers["webhook-id"] for one in desk.got}) == 2
    assert syncer("notify", "test", "gone").code == 1
    wrong = syncer("notify", "test", "nobody")
    assert (wrong.code, wrong.err) == (1, "syncer: there is no target 'nobody'; the config has desk, gone\n")


def test_an_address_that_apprise_does_not_know_is_found_before_the_daemon_starts(syncer: Syncer) -> None:
    targets(syncer, '[notify.desk]\napprise = "nobody://knows"\n')
    fault = "notify.desk.apprise is not an address that Apprise knows"
    checked, asked = syncer("config", "check"), syncer("doctor")
    assert checked.code == 78 and checked.err.startswith(f"syncer: {fault}")
    assert asked.code == 78 and fault in asked.out


def test_a_service_that_hangs_does_not_keep_the_process(syncer: Syncer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        address = f"json://127.0.0.1:{service.getsockname()[1]}/?rto=600"
        targets(syncer, f'[notify.desk]\napprise = "{address}"\n')
        process = syncer.start("notify", "test")
        connection, _ = service.accept()
        process.terminate()
        assert process.wait(10) == 130
        connection.close()


def test_without_a_target(syncer: Syncer) -> None:
    done = syncer("notify", "test")
    assert done.code == 1
    assert (
        "the config has no target of notifications; add one below a heading such as [notify.desk]" in done.err
    )


def test_status_shows_what_waits_and_what_was_given_up(syncer: Syncer, desk: Receiver) -> None:
    targets(syncer, f'[notify.desk]\nwebhook = "{desk.url}"\n')
    syncer.ok("db", "upgrade")
    told(syncer, "queued")
    told(syncer, "dead")
    told(syncer, "dead")
    shown = " ".join(syncer.ok("status").out.split())
    assert "Notifications to desk: 1 waits since" in shown
    assert "(gone); 2 given up (`syncer notify retry desk`)." in shown
    [row] = syncer.ok("status", "--json").json["outbox"]
    assert (row["target"], row["queued"], row["dead"], row["last_error"]) == ("desk", 1, 2, "gone")
    assert syncer.ok("notify", "retry").out == "notify.desk: 2 notifications queued again\n"
    assert syncer.ok("notify", "retry", "desk").out == "notify.desk: none was given up\n"
    assert syncer.ok("status", "--json").json["outbox"][0]["queued"] == 3


def test_doctor_tries_the_network_only_when_asked(syncer: Syncer, desk: Receiver) -> None:
    with receiving() as gone:
        pass
    targets(
        syncer,
        f'[notify.desk]\nwebhook = "{desk.url}"\n[notify.gone]\nwebhook = "{gone.url}/s3cret"\n'
        '[notify.script]\ncommand = ["/bin/true"]\n',
    )

    def findings(*options: str) -> dict[str, tuple[str, str]]:
        found = syncer("doctor", "--json", *options).json["findings"]
        return {
            one["about"]: (one["level"], one["text"]) for one in found if one["about"].startswith("notify.")
        }

    assert {level for level, _ in findings().values()} == {"ok"}
    asked = findings("--network")
    assert asked["notify.desk"] == (
        "ok", "the host of its webhook takes connections; `syncer notify test desk` sends a test",
    )  # fmt: skip
    assert asked["notify.gone"][0] == "problem"
    assert "s3cret" not in str(asked)
    assert asked["notify.script"][1].startswith("by command, which was not tried")
    assert desk.got == []


def test_doctor_on_doorbells(syncer: Syncer) -> None:
    key = "[telecmi.main]\n"
    syncer.write_config(key, f'{key}doorbell_key = "short"\n')

    def doorbell() -> list[tuple[str, str]]:
        found = syncer("doctor", "--json").json["findings"]
        return [
            (one["level"], one["text"])
            for one in found
            if one["about"] == "telecmi.main" and "doorbell" in one["text"] and "set:" not in one["text"]
        ]

    assert doorbell() == [("warning", "doorbell_key is set, and nothing listens for a ring")]
    targets(syncer, '[http]\nlisten = "127.0.0.1:9464"\n')
    assert doorbell()[0][1].startswith("doorbell_key has fewer than 16 characters")
    syncer.config.write_text(syncer.config.read_text().replace('"short"', '"long-enough-to-be-random"'))
    assert doorbell() == [("ok", "its doorbell is /doorbell/telecmi.main/KEY")]
    syncer.config.write_text(syncer.config.read_text().replace('since = "3d"', "enabled = false"))
    assert doorbell()[0][1].startswith("doorbell_key is set, and a ring wakes nothing")


def test_forget_says_what_cannot_be_taken_back(syncer: Syncer, desk: Receiver) -> None:
    targets(syncer, f'[notify.desk]\nwebhook = "{desk.url}"\n')
    syncer.ok("db", "upgrade")
    number, row = "+919200000077", 77
    syncer.as_program(
        "INSERT INTO telecmi_voicemails (id, account, voicename, phone_e164) VALUES (77, 'main', 'v', '+919200000077')"
    )
    told(syncer, "sent", row, attempts=1)
    done = syncer.ok("forget", number, "--yes")
    assert "outbox: 2 rows removed" in done.out  # with the one of the trigger
    assert "notify.desk: 1 notification about them went out: what was sent cannot be taken back" in done.out
