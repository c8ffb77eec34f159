"""Failing on purpose, in process. `test_sandbox_server` tests real connections."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from syncer.sandbox import Dropped
from syncer.sandbox.faults import KINDS, FaultError
from tests.sandbox.conftest import TOKEN, Upstream, row


def ask(up: Upstream, **more: Any) -> httpx.Response:
    return up.request("POST", "/v3/contact/get", json={"token": TOKEN, **more})


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("empty_body", 200, b""),
        ("list", 200, b"[]"),
        ("object", 200, b"{}"),
        ("null", 200, b"null"),
        ("code_only", 200, b'{"code":200}'),
        ("zero_rows", 200, b'{"code":200,"contacts":[],"count":0}'),
        ("code", 200, b'{"code":500,"msg":"Internal server error"}'),
        ("http", 503, b'{"code":503,"msg":"Internal server error"}'),
        ("too_many", 429, b'{"code":429,"msg":"Too many requests."}'),
        ("bad_token", 200, b'{"code":404,"msg":"authenticated user record not found"}'),
    ],
)
def test_canned_answers(up: Upstream, kind: str, status: int, body: bytes) -> None:
    up.fill(3)
    up.world.faults.add({"kind": kind})
    answer = ask(up)
    assert (answer.status_code, answer.content) == (status, body)
    assert ask(up).json()["count"] == 3


def test_answers_that_are_no_json(up: Upstream) -> None:
    up.fill(3)
    up.world.faults.add({"kind": "html200"}, {"kind": "html502"}, {"kind": "junk"}, {"kind": "half_json"})
    html, proxy, junk, half = (ask(up) for _ in range(4))
    assert html.status_code == 200 and html.headers["content-type"].startswith("text/html")
    assert proxy.status_code == 502 and b"Bad Gateway" in proxy.content
    with pytest.raises(UnicodeDecodeError):
        junk.content.decode()
    whole = ask(up).content
    assert half.content == whole[: len(whole) // 2]


def test_smartflo_has_its_own_shapes(up: Upstream) -> None:
    up.world.faults.add(
        *({"kind": kind} for kind in ("too_many", "zero_rows", "bad_token", "code_only", "http"))
    )
    assert up.smartflo().json() == {"success": "false", "message": "Too many requests."}
    assert up.smartflo().json() == {"page": 1, "size": 0, "limit": 100, "results": []}
    assert up.smartflo().status_code == 401
    assert up.smartflo().json() == {"success": True}
    assert up.smartflo().status_code == 503


@pytest.mark.parametrize("path", ["/v2/voicemail", "/v2/user/login"])
def test_bad_token_speaks_each_calls_number(up: Upstream, path: str) -> None:
    up.world.faults.add({"kind": "bad_token", "times": 2})
    code = {"/v2/voicemail": 401, "/v2/user/login": 404}[path]
    assert up.post(path, {})["code"] == code


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"expire_token", "drop_after", "hang", "drip"}))
@pytest.mark.parametrize(("applied", "count"), [("before", 0), ("after", 1)])
def test_a_write_is_applied_or_not_as_the_rule_says(
    up: Upstream, kind: str, applied: str, count: int
) -> None:
    up.world.faults.add({"kind": kind, "applied": applied, "match": {"path": "/v3/contact/add"}})
    body = {"token": TOKEN, "contacts": [row(0)]}
    if kind in ("drop", "half_body"):
        with pytest.raises(Dropped):
            up.request("POST", "/v3/contact/add", json=body)
    else:
        up.request("POST", "/v3/contact/add", json=body)
    assert up.contacts()["count"] == count


@pytest.mark.parametrize(
    ("applied", "kind", "count"), [("before", "hang", 0), ("after", "hang", 1), ("before", "drop_after", 1)]
)
def test_silence_then_nothing(up: Upstream, applied: str, kind: str, count: int) -> None:
    up.world.faults.add({"kind": kind, "applied": applied, "seconds": 0.01})
    if (kind, applied) == ("hang", "after"):
        assert up.add(row(0))["code"] == 200
    else:
        with pytest.raises(Dropped):
            up.add(row(0))
    assert up.contacts()["count"] == count


def test_a_read_that_hangs_or_drips_comes_in_the_end(up: Upstream) -> None:
    up.fill(1)
    up.world.faults.add({"kind": "hang", "seconds": 0.01}, {"kind": "drip", "seconds": 0.0001})
    assert up.contacts()["count"] == up.contacts()["count"] == 1
    up.world.faults.add({"kind": "drip", "seconds": 0.01, "at_most": 0.02})
    with pytest.raises(Dropped):
        up.contacts()


def test_expire_token_ends_all_tokens_of_the_vendor(up: Upstream) -> None:
    up.world.faults.add({"kind": "expire_token", "match": {"path": "/v3/*"}})
    assert up.contacts()["code"] == 404
    assert up.smartflo().status_code == 200
    fresh = up.post("/v2/user/login", {"id": "101_1111113", "password": "sandbox-password"})["token"]
    assert up.post("/v3/contact/get", {"token": fresh})["code"] == 200


def test_rules_match_path_method_page_number_and_text(up: Upstream) -> None:
    up.fill(30)
    up.world.faults.add({"kind": "http", "match": {"path": "/v3/contact/get", "page": 3}})
    state = None
    codes = []
    for _ in range(3):
        answer = ask(up, **({"page_state": state} if state else {}))
        codes.append(answer.status_code)
        state = answer.json().get("page_state")
    assert codes == [200, 200, 503]
    up.world.faults.clear()
    up.world.faults.add({"kind": "http", "match": {"nth": 2, "method": "post"}, "times": None})
    assert [ask(up).status_code for _ in range(3)] == [200, 503, 200]
    up.world.faults.clear()
    up.world.faults.add({"kind": "http", "match": {"path": "*/voicemail"}}, {"kind": "list", "times": 2})
    assert [ask(up).json() for _ in range(2)] == [[], []] and ask(up).status_code == 200
    up.world.faults.clear()
    up.world.faults.add({"kind": "too_many", "retry_after": 5, "match": {"contains": "919200000044"}})
    assert up.add(row(43))["code"] == 200
    assert (
        up.request("POST", "/v3/contact/add", json={"token": TOKEN, "contacts": [row(44)]}).headers[
            "retry-after"
        ]
        == "5"
    )


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"kind": "nothing"},
        {"kind": "http", "status": 999},
        {"kind": "http", "often": 1},
        {"kind": "http", "match": {"host": "x"}},
        {"kind": "http", "applied": "maybe"},
        {"kind": "hang", "seconds": "long"},
        {"kind": "http", "times": 0},
    ],
)
def test_an_unfit_rule_is_refused(up: Upstream, rule: dict[str, Any]) -> None:
    with pytest.raises(FaultError):
        up.world.faults.add(rule)
    assert up.world.faults.rules() == []
