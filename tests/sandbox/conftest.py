"""A sandbox in process, with a fixed clock. `test_sandbox_server` tests real HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from syncer.sandbox import World, create_app

#: 2026-11-21T09:30:00Z
NOW = 1_795_253_400.0
TOKEN = "sandbox-user-token"
SECRET = {"appid": 1111113, "secret": "sandbox-secret"}


class Upstream:
    """A world, and plain calls to it."""

    def __init__(self) -> None:
        self.time = NOW
        self.world = World(clock=lambda: self.time)
        self.app = create_app(self.world)

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
                return await client.request(method, path, **kwargs)

        return asyncio.run(once())

    def post(self, path: str, body: Any) -> Any:
        """A TeleCMI call: the JSON of the answer, whatever it says."""
        return self.request("POST", path, json=body).json()

    def contacts(self, **more: Any) -> Any:
        return self.post("/v3/contact/get", {"token": TOKEN, **more})

    def mine(self, **more: Any) -> Any:
        return self.post("/v2/user/contact/get", {"token": TOKEN, **more})

    def voicemails(self, **more: Any) -> Any:
        return self.post("/v2/voicemail", {**SECRET, **more})

    def calls(self, kind: str, **more: Any) -> Any:
        """One of TeleCMI's four lists of call records."""
        return self.post(f"/v2/{kind}", {**SECRET, **more})

    def records(self, **query: Any) -> httpx.Response:
        return self.smartflo("/v1/call/records", **query)

    def play(self, name: str, **more: Any) -> httpx.Response:
        return self.request("GET", "/v2/play", params={**SECRET, "file": name, **more})

    def control(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.request(method, f"/_sandbox/{path}", json=body)

    def edit(self, op: str, **more: Any) -> Any:
        """An operation of the control path; its result."""
        answer = self.control("POST", "edit", {"op": op, **more}).json()
        assert answer["ok"], answer
        return answer["result"]

    def add(self, *rows: Any) -> Any:
        return self.post("/v3/contact/add", {"token": TOKEN, "contacts": list(rows)})

    def update(self, *rows: Any) -> Any:
        return self.post("/v3/contact/update", {"token": TOKEN, "contacts": list(rows)})

    def delete(self, *ids: Any) -> Any:
        return self.post("/v3/contact/delete", {"token": TOKEN, "contact_ids": list(ids)})

    def smartflo(
        self, path: str = "/v1/contacts", token: str = "Bearer sandbox-token", **query: Any
    ) -> httpx.Response:
        return self.request("GET", path, params=query, headers={"Authorization": token})

    def walk(self, limit: int = 10, most: int = 50) -> list[list[str]]:
        """The phone numbers of each page of the directory, until it ends or `most` pages came."""
        pages: list[list[str]] = []
        state: str | None = None
        while len(pages) < most:
            answer = self.contacts(limit=limit, **({"page_state": state} if state else {}))
            pages.append([row["phone_no"] for row in answer["contacts"]])
            if not answer.get("page_state") or answer["page_state"] == state:
                break
            state = answer["page_state"]
        return pages

    def fill(self, count: int) -> list[str]:
        """Contacts with the numbers 919200000000 and on; their ids."""
        return [self.world.contact_insert(row(n)) for n in range(count)]

    def telecmi(self, **switches: Any) -> None:
        self.world.settings.change({"telecmi": switches})

    def switch(self, **switches: Any) -> None:
        self.world.settings.change({"smartflo": switches})


def row(n: int, **more: Any) -> dict[str, Any]:
    """The n-th plainly invented contact."""
    return {"phone_no": str(919200000000 + n), "first_name": "Asha", "last_name": f"Example {n}", **more}


def numbers(count: int) -> list[str]:
    return [row(n)["phone_no"] for n in range(count)]


@pytest.fixture
def up() -> Upstream:
    return Upstream()
