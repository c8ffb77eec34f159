"""An account that was renamed in the config: commands report it, and `db rename-account` gives its rows the new name."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Syncer


@pytest.fixture
def renamed(syncer: Syncer) -> Syncer:
    """An edit waits, and `telecmi.main` is called `telecmi.chennai` now."""
    syncer.sql("UPDATE telecmi_contacts SET company = 'Acme Example' WHERE id = 3")
    syncer.write_config("[telecmi.main]", "[telecmi.chennai]")
    return syncer


def test_an_account_that_was_renamed_is_named_and_its_edits_go_on(renamed: Syncer) -> None:
    renamed.ok("sync", "telecmi-contacts", "telecmi-push")
    there = renamed.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL AND account = 'main'")
    missing = f"telecmi.main is not in the config, and the database has {there} contacts, "
    advice = "`syncer db rename-account telecmi.main NEW`"
    done = renamed("doctor")
    assert done.code == 1 and missing in done.out and advice in done.out
    assert missing in renamed.ok("status").out
    assert renamed.ok("status", "--json").json["unknown_accounts"][0]["account"] == "telecmi.main"
    listed = renamed.ok("queue", "list").out
    assert "It is never sent: telecmi.main is not in the config." in listed and advice in listed
    assert renamed.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL") > there

    done = renamed.ok("db", "rename-account", "main", "chennai")
    assert done.out.startswith(f"Renamed telecmi.main to telecmi.chennai, with {there} contacts; ")
    assert (
        "unknown" not in renamed.ok("status").out
        and renamed.ok("status", "--json").json["unknown_accounts"] == []
    )
    assert renamed.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL") == there
    assert "It goes upstream with the next push." in renamed.ok("queue", "list").out
    renamed.ok("db", "check")


@pytest.mark.parametrize(
    "names, said",
    [
        ("nobody chennai", "the database has nothing of an account nobody; it has "),
        ("smartflo.main other", "smartflo.main is in the config: give its section there the new name first"),
        (
            "telecmi.main other",
            "the config has no account telecmi.other: name the section [telecmi.other] first",
        ),
        ("telecmi.main smartflo.main", "telecmi.main cannot become smartflo.main: that is another vendor"),
    ],
)
def test_names_that_cannot_be_are_refused_with_what_to_do(renamed: Syncer, names: str, said: str) -> None:
    before = renamed.sql("SELECT * FROM telecmi_contacts")
    done = renamed("db", "rename-account", *names.split())
    assert done.code == 1 and said in done.err
    assert renamed.sql("SELECT * FROM telecmi_contacts") == before


def test_nothing_is_renamed_while_a_daemon_runs(renamed: Syncer) -> None:
    with renamed.daemon():
        done = renamed("db", "rename-account", "main", "chennai")
    assert done.code == 75 and "stop it first" in done.err and "the daemon (syncer run)" in done.err
