"""Smartflo's documented rules, and each switch on what its pages leave open."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import NOW, Upstream

LOGIN = {"email": "ops@example.com", "password": "sandbox-password"}


def fill(up: Upstream, count: int) -> list[int]:
    return [
        up.world.smartflo_upsert(
            None, {"name": f"Asha {n}", "phone_number": f"+91920000000{n}"}, updated_at=NOW - 60 * n
        )
        for n in range(count)
    ]


def names(answer: Any) -> list[str]:
    return [row["name"] for row in answer.json()["results"]]


# Credentials


def test_login_gives_a_token_for_an_hour(up: Upstream) -> None:
    answer = up.post("/v1/auth/login", LOGIN)
    assert answer.pop("access_token")
    assert answer == {"success": True, "token_type": "bearer", "expires_in": 3600, "number_of_days_left": 76}
    token = f"Bearer {up.post('/v1/auth/login', LOGIN)['access_token']}"
    assert up.smartflo(token=token).status_code == 200
    up.time += 3600
    assert up.smartflo(token=token).status_code == 401
    assert up.smartflo().status_code == 200  # the permanent one stays
    up.switch(days_left=None, expires_in=60)
    assert "number_of_days_left" not in up.post("/v1/auth/login", LOGIN)


@pytest.mark.parametrize("token", ["sandbox-token", "Bearer wrong", "Basic sandbox-token", ""])
def test_only_a_bearer_token_opens(up: Upstream, token: str) -> None:
    answer = up.smartflo(token=token)
    assert answer.status_code == 401 and answer.json()["success"] is False


@pytest.mark.parametrize(("how", "status"), [("http401", 401), ("http403", 403), ("ok_false", 200)])
def test_how_an_expired_token_shows(up: Upstream, how: str, status: int) -> None:
    up.switch(expired_as=how)
    up.world.expire_tokens("smartflo")
    answer = up.smartflo()
    assert (answer.status_code, answer.json()) == (
        status,
        {"success": False, "message": "Token has expired"},
    )
    assert up.contacts()["code"] == 200  # the other vendor's tokens live on


def test_a_login_may_end_the_token_before(up: Upstream) -> None:
    up.switch(login_ends_old_tokens=True)
    first, second = (f"Bearer {up.post('/v1/auth/login', LOGIN)['access_token']}" for _ in range(2))
    assert [up.smartflo(token=t).status_code for t in (first, second, "Bearer sandbox-token")] == [
        401,
        200,
        200,
    ]


@pytest.mark.parametrize(("how", "status"), [("http401", 401), ("http422", 422), ("ok_false", 200)])
def test_how_a_login_is_refused(up: Upstream, how: str, status: int) -> None:
    up.switch(login_refused_as=how)
    answer = up.request("POST", "/v1/auth/login", json={**LOGIN, "password": "wrong"})
    assert answer.status_code == status
    assert answer.json() == {
        "success": False,
        "message": "Invalid login id or password.",
        "login_failed_count": 1,
    }
    assert up.request("POST", "/v1/auth/login", json={"email": "x"}).status_code == 400


def test_bad_logins_lock_the_account_out(up: Upstream) -> None:
    up.switch(lockout_after=2, lockout_s=600)
    bad = {**LOGIN, "password": "wrong"}
    assert "retry_after" not in up.post("/v1/auth/login", bad)
    assert up.post("/v1/auth/login", bad)["retry_after"] == "2026-11-21 15:10:00"  # IST
    assert up.post("/v1/auth/login", LOGIN)["success"] is False
    up.time += 600
    assert up.post("/v1/auth/login", LOGIN)["success"] is True
    up.switch(lockout_after=1, lockout_says_when=False, login_failed_count=False)
    assert set(up.post("/v1/auth/login", bad)) == {"success", "message"}


def test_rate_limit_says_false_as_text(up: Upstream) -> None:
    up.switch(rate_limit_per_s=1)
    assert up.smartflo().status_code == 200
    answer = up.smartflo("/v1/contact/groups")
    assert (answer.status_code, answer.json()) == (
        429,
        {"success": "false", "message": "Too many requests."},
    )
    assert "retry-after" not in answer.headers
    up.switch(retry_after_s=7)
    assert up.smartflo().headers["retry-after"] == "7"
    up.time += 1
    assert up.smartflo().status_code == 200


# Listings


def test_a_contact_and_its_envelope(up: Upstream) -> None:
    group = up.world.group_upsert(None, {"name": "Customers"})
    contact = up.world.smartflo_upsert(
        None,
        {"name": "Asha", "phone_number": "+919200000000", "contact_group_id": group},
        created_at=NOW - 60,
    )
    assert up.smartflo().json() == {
        "page": 1,
        "size": 1,
        "limit": 20,
        "results": [
            {
                "id": contact,
                "contact_group_id": group,
                "contact_group_name": "Customers",
                "phone_number": "+919200000000",
                "name": "Asha",
                "email_id": None,
                "address": None,
                "company_name": None,
                "custom_fields": [],
                "created_at": "2026-11-21T09:29:00+0000",
                "updated_at": "2026-11-21T09:30:00+0000",
                "deleted_at": None,
            }
        ],
    }
    up.switch(ids_as_strings=True, stamp_offset="+0530", extra_fields={"nick": "A"}, volatile_field="seen")
    first, second = up.smartflo().json()["results"][0], up.smartflo().json()["results"][0]
    assert (first["id"], first["contact_group_id"]) == (str(contact), str(group))
    assert first["updated_at"] == "2026-11-21T15:00:00+0530"
    assert first["nick"] == "A" and first["seen"] != second["seen"]


def test_groups(up: Upstream) -> None:
    ids = [up.world.group_upsert(None, {"name": f"Group {n}"}) for n in range(3)]
    answer = up.smartflo("/v1/contact/groups", limit=2).json()
    assert (answer["page"], answer["size"], answer["limit"]) == (1, 2, 2)
    assert answer["results"][0]["updated_at"] == "2026-11-21T15:00:00+0530"
    assert set(answer["results"][0]) == {
        *("id", "name", "list_id", "description", "field_map", "added_by", "created_by"),
        *("clone_from_contact", "created_at", "updated_at", "deleted_at", "visible_to"),
    }
    one = up.smartflo("/v1/contact/groups", contact_group_id=ids[1]).json()["results"]
    assert [g["id"] for g in one] == [ids[1]]
    assert up.smartflo("/v1/contact/groups", limit=101).status_code == 400


def test_pages_limits_and_the_end(up: Upstream) -> None:
    fill(up, 5)
    assert [up.smartflo(limit=2, page=p).json()["size"] for p in (1, 2, 3, 4)] == [2, 2, 1, 0]
    up.switch(default_limit=3, max_limit=4)
    assert up.smartflo().json()["size"] == 3
    clamped = up.smartflo(limit=100).json()
    assert (clamped["size"], clamped["limit"]) == (4, 4)
    up.switch(over_limit="refused", bad_request_as="ok_false")
    refused = up.smartflo(limit=100)
    assert (refused.status_code, refused.json()["success"]) == (200, False)
    up.switch(past_end="repeat_last", bad_request_as="http422")
    assert up.smartflo(limit=2, page=9).json()["size"] == 1
    up.switch(past_end="error400")
    assert up.smartflo(limit=2, page=9).status_code == 422
    up.switch(repeat_page=1)
    assert names(up.smartflo(limit=2, page=2)) == names(up.smartflo(limit=2, page=1))
    up.switch(repeat_page=None, short_page=1, page_cap=2)
    assert [names(up.smartflo(limit=4, page=p)) for p in (1, 2)] == [["Asha 0"], ["Asha 1", "Asha 2"]]


@pytest.mark.parametrize("query", [{"limit": "x"}, {"page": "0"}, {"updated_after": "soon"}, {"name": "A"}])
def test_what_cannot_be_understood_is_refused(up: Upstream, query: dict[str, str]) -> None:
    assert up.smartflo(**query).status_code == 400


def test_filters_by_id_and_group(up: Upstream) -> None:
    one, two = fill(up, 2)
    group = up.world.group_upsert(None, {"name": "Customers"})
    up.world.smartflo_upsert(two, {"contact_group_id": group})
    assert names(up.smartflo(contact_id=one)) == ["Asha 0"]
    assert names(up.smartflo(contact_group_id=group)) == ["Asha 1"]


def test_updated_after_in_either_zone_and_with_either_end(up: Upstream) -> None:
    fill(up, 3)  # stamped 09:30, 09:29, 09:28 UTC
    after = "2026-11-21 09:29:00"
    assert names(up.smartflo(updated_after=after)) == ["Asha 0", "Asha 1"]
    up.switch(updated_after_op="gt")
    assert names(up.smartflo(updated_after=after)) == ["Asha 0"]
    up.switch(updated_after_zone="ist")
    assert len(names(up.smartflo(updated_after=after))) == 3
    assert names(up.smartflo(updated_after="2026-11-21 14:59:00")) == ["Asha 0"]
    assert names(up.smartflo(updated_after="2026-11-21T09:29:00+0000")) == ["Asha 0"]  # its own zone counts
    up.switch(updated_after_honoured=False)
    assert len(names(up.smartflo(updated_after="2030-01-01 00:00:00"))) == 3
    up.switch(updated_after_honoured=True, bad_updated_after="ignored")
    assert len(names(up.smartflo(updated_after="soon"))) == 3


def test_deleted_contacts_may_be_listed(up: Upstream) -> None:
    one, two = fill(up, 2)
    up.time += 60
    up.world.smartflo_delete(one)
    up.world.smartflo_delete(two, hard=True)
    assert up.smartflo().json()["results"] == []
    up.switch(list_deleted=True)
    (row,) = up.smartflo(updated_after="2026-11-21 09:31:00").json()["results"]
    assert row["deleted_at"] == row["updated_at"] == "2026-11-21T09:31:00+0000"
    up.world.smartflo_upsert(one, {"name": "Asha again"})
    assert up.smartflo().json()["results"][0]["deleted_at"] is None


def test_rows_may_come_late_or_from_the_future(up: Upstream) -> None:
    up.world.smartflo_upsert(None, {"name": "Late"}, updated_at=NOW, visible_at=NOW + 600)
    up.world.smartflo_upsert(None, {"name": "Far"}, updated_at=NOW + 2_000_000_000)
    assert names(up.smartflo()) == ["Far"]
    up.time += 600
    assert names(up.smartflo()) == ["Late", "Far"]


def test_order(up: Upstream) -> None:
    fill(up, 9)
    forward = names(up.smartflo())
    up.switch(order="reverse")
    assert names(up.smartflo()) == forward[::-1]
    up.switch(order="updated")
    assert names(up.smartflo()) == forward[::-1]  # the later ones were stamped earlier
    up.switch(order="shuffled")
    assert names(up.smartflo()) != names(up.smartflo())
