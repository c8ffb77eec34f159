"""`doctor --report`: the shape of every answer, and not one value of it; a new file that nobody else may read."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.conftest import Done, Syncer, Upstream

SECRETS = ("sandbox-secret", "sandbox-password", "sandbox-token", "sandbox-user-token")


def report_of(syncer: Syncer, *, code: int = 0) -> tuple[str, Done]:
    path = syncer.folder / "report.txt"
    done = syncer("doctor", "--report", str(path))
    assert done.code == code, (done.out, done.err)
    assert "Wrote" in done.err
    text = path.read_text()
    path.unlink()
    return text, done


def values(thing: Any) -> Iterator[str]:
    """Every text and long number anywhere in it."""
    match thing:
        case dict():
            for inner in thing.values():
                yield from values(inner)
        case list():
            for inner in thing:
                yield from values(inner)
        case str() | int() if len(str(thing)) > 4:
            yield str(thing)


def line_of(report: str, call: str, field: str) -> str:
    part = report.split(f", {call}: ")[1].split("\n== ")[0]
    return next(line for line in part.splitlines() if line[2:].split(" ")[0] == field)


def test_it_holds_the_shape_of_every_answer_and_none_of_the_values(upstream: Upstream) -> None:
    world, syncer = upstream.world, upstream.syncer
    syncer.write_config("[telecmi.main]", "[telecmi.planted-account]")
    world.contact_insert(
        {
            "phone_no": "+91xxxxxx4713",
            "first_name": "Plantedfirst",
            "last_name": "Plantedlast",
            "email_id": "planted@example.com",
            "company": "Planted Traders",
            "job_title": "PlantedChief",
        }
    )
    world.settings.change(
        {
            "telecmi.extra_fields": {"gender": "planted-gender", "by_name": {"plantedname": 919200047113}},
            "smartflo.extra_fields": {"score": 4711.5, "919200047114": "planted-key"},
        }
    )
    report, done = report_of(syncer)

    planted = {
        "planted",
        "4711",
        "4713",
        *SECRETS,
        str(syncer.folder),
        syncer.folder.name,
        "127.0.0.1",
        world.org().app_id,
    }
    assert [word for word in planted if str(word).lower() in report.lower()] == []
    # Whatever the mirror holds of people, and whatever both vendors hold.
    everything = set(values(json.loads(json.dumps(world.snapshot()))))
    for (raw,) in syncer.sql("SELECT raw FROM telecmi_contacts WHERE raw IS NOT NULL"):
        everything |= set(values(json.loads(raw)))
    assert len(everything) > 100
    ours = {"Agent", "agent", "voicemail", "token", "everybody"}
    assert sorted(one for one in everything - ours if one in report) == []

    for call in (
        "/v2/user/login",
        "/v3/contact/get",
        "/v2/user/contact/get",
        "/v2/voicemail",
        "/v1/contacts",
    ):
        assert f", {call}: HTTP 200" in report
    assert "a masked number (x1)" in line_of(report, "/v3/contact/get", "contacts[].phone_no")
    for call, name in (
        ("/v3/contact/get", "contacts[].gender"),
        ("/v3/contact/get", "contacts[].by_name"),
        ("/v1/contacts", "results[].score"),
        ("/v1/contacts", "results[].(an"),
    ):
        assert line_of(report, call, name).endswith("NOT DOCUMENTED (nothing)")
    assert line_of(report, "/v1/contacts", "results[].id").endswith("as documented")
    assert "telecmi 1, /v3/contact/get" in report and "rows of telecmi_contacts: " in report
    assert "planted" not in done.err


def test_what_differs_from_the_documentation_is_marked(upstream: Upstream) -> None:
    upstream.world.settings.change(
        {
            "telecmi.code_as_string": True,
            "telecmi.count_mode": "absent",
            "smartflo.ids_as_strings": True,
            "telecmi.date_header": None,
        }
    )
    report, _ = report_of(upstream.syncer)
    code = line_of(report, "/v3/contact/get", "code")
    assert code.startswith("!") and "text: a whole number (x1)" in code and "ANOTHER KIND (number)" in code
    assert "never there" in line_of(report, "/v3/contact/get", "count")
    assert line_of(report, "/v1/contacts", "results[].id").endswith("as documented")
    assert "/v3/contact/get: HTTP 200, no Date (x1)" in report


@pytest.mark.parametrize(
    ("fault", "said", "code"),
    [
        ({"kind": "html200"}, "not JSON (HTML)", 0),  # a read that is tried again, and then well
        ({"kind": "http", "status": 503}, "HTTP 503, code 503", 0),
        ({"kind": "list", "times": 9}, "! (the answer)", 1),
        ({"kind": "code", "code": 418, "message": "Asha Example 919200000001"}, "HTTP 200, code 418", 1),
    ],
)
def test_unusable_responses_are_described_by_kind(
    upstream: Upstream, fault: dict[str, Any], said: str, code: int
) -> None:
    upstream.world.faults.add({"path": "/v3/contact/get", **fault})
    report, _ = report_of(upstream.syncer, code=code)
    assert said in report
    assert "Asha" not in report and "9200000001" not in report
    assert ("problem  telecmi 1: directory" in report) == (code == 1)


def test_refused_credentials_are_in_it_and_not_named(empty: Syncer) -> None:
    empty.write_config('password = "sandbox-password"', 'password = "planted-wrong-one"')
    report, _ = report_of(empty, code=77)
    assert "/v2/user/login: HTTP 200, code 404 (x1)" in report
    assert "planted" not in report
    assert "there is none yet" in report  # the database


def test_a_damaged_database_does_not_prevent_a_report(syncer: Syncer) -> None:
    syncer.sql("DROP TRIGGER telecmi_contacts_after_update")
    assert "missing or altered" in report_of(syncer, code=1)[0]
    syncer.database.write_text("no database")
    for left in syncer.folder.glob("mirror.db-*"):
        left.unlink()
    assert "it cannot be read: " in report_of(syncer, code=1)[0]


def test_the_file_is_new_and_private(empty: Syncer) -> None:
    path = empty.folder / "report.txt"
    empty.ok("doctor", "--report", str(path), "--json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("mine")
    done = empty("doctor", "--report", str(path))
    assert done.code == 1 and "exists already" in done.err and done.out == ""
    assert path.read_text() == "mine"
    done = empty("doctor", "--report", str(empty.folder / "none" / "report.txt"))
    assert done.code == 1 and "cannot be written" in done.err
    empty.config.write_text("[telecmi.main]\nnonsense = 1\n")
    assert empty("doctor", "--report", str(empty.folder / "second.txt")).code == 78
    assert not (empty.folder / "second.txt").exists()
