"""The control path, `/_sandbox/`: shows and changes state, settings and faults, as JSON.

Everything here is also a method of `World`. None of it is part of a vendor's API.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from syncer.sandbox.base import EditError
from syncer.sandbox.faults import KINDS, FaultError
from syncer.sandbox.settings import SettingsError
from syncer.sandbox.voicemail import recording
from syncer.sandbox.webhooks import WebhookError
from syncer.sandbox.world import World

#: What `POST /_sandbox/edit` can do: the method of `World`, and its arguments by name.
Operations = dict[str, Callable[..., Any]]


def operations(world: World) -> Operations:
    """The method of each operation, by name."""
    return {
        "contact.insert": world.contact_insert,
        "contact.update": world.contact_update,
        "contact.delete": world.contact_delete,
        "contact.delete_share": world.contact_delete_share,
        "contacts.blank": world.contacts_blank,
        "user_contact.upsert": world.user_contact_upsert,
        "user_contact.delete": world.user_contact_delete,
        "voicemail.insert": world.voicemail_insert,
        "voicemail.delete": world.voicemail_delete,
        "call.insert": world.call_insert,
        "call.click": world.call_click,
        "smartflo_call.insert": world.smartflo_call_insert,
        "calls.expire": world.calls_expire,
        "calls.seed": world.calls_seed,
        "ring": world.ring,
        "smartflo.upsert": world.smartflo_upsert,
        "smartflo.delete": world.smartflo_delete,
        "group.upsert": world.group_upsert,
        "tokens.expire": world.expire_tokens,
        "user.add": world.add_user,
        "clock.advance": world.advance,
        "seed": world.seed,
    }


def edit(world: World, op: dict[str, Any]) -> Any:
    """Run one operation (`{"op": name, ...arguments}`). Raises `EditError`.

    `from` is accepted for `caller`, and `id` for the id that the operation takes. Fields of the row may be next to the
    arguments instead of in `fields`.
    """
    known = operations(world)
    name = op.get("op")
    if name not in known:
        raise EditError(f"unknown op; known are {', '.join(known)}")
    method = known[str(name)]
    takes = inspect.signature(method).parameters
    given: dict[str, Any] = {}
    for key, value in op.items():
        match key:
            case "op":
                continue
            case "from" if "caller" in takes:
                given["caller"] = value
            case "id" if "contact_id" in takes or "group_id" in takes:
                given["contact_id" if "contact_id" in takes else "group_id"] = value
            case _:
                given[key] = value
    if "fields" in takes and "fields" not in given:
        given["fields"] = {key: given.pop(key) for key in list(given) if key not in takes}
    try:
        inspect.signature(method).bind(**given)
    except TypeError as problem:
        raise EditError(f"{name}: {problem}; it takes {', '.join(takes)}") from problem
    result = method(**given)
    return None if name == "user.add" else result


def control_routes(world: World) -> list[Route]:
    """The routes below `/_sandbox`."""

    async def about(_: Request) -> Response:
        return JSONResponse(
            {
                "now": world.now(),
                "paths": ["state", "requests", "settings", "faults", "edit", "webhooks", "recording"],
                "ops": list(operations(world)),
                "faults": KINDS,
            }
        )

    async def state(_: Request) -> Response:
        return JSONResponse(world.snapshot())

    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            world.journal.clear()
            return JSONResponse({"ok": True})
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            return _no(["after must be a number"])
        return JSONResponse([entry.as_json() for entry in world.requests(int(after))])

    async def settings(request: Request) -> Response:
        if request.method == "POST":
            wanted = await _json(request)
            if not isinstance(wanted, dict):
                return _no(["the body must be a JSON object"])
            try:
                with world.lock:
                    world.settings.change(wanted)
            except SettingsError as problem:
                return _no(problem.problems, known=world.settings.as_json())
        return JSONResponse(world.settings.as_json())

    async def faults(request: Request) -> Response:
        if request.method == "DELETE":
            world.faults.clear()
        elif request.method == "POST":
            wanted = await _json(request)
            rules = wanted if isinstance(wanted, list) else [wanted]
            if not all(isinstance(rule, dict) for rule in rules):
                return _no(["the body must be a rule or a list of rules"])
            try:
                world.faults.add(*rules)
            except FaultError as problem:
                return _no(problem.problems)
        return JSONResponse([rule.as_json() for rule in world.faults.rules()])

    async def webhooks(request: Request) -> Response:
        if request.method == "DELETE":
            world.webhooks.clear()
        elif request.method == "POST":
            wanted = await _json(request)
            rules = wanted if isinstance(wanted, list) else [wanted]
            if not all(isinstance(rule, dict) for rule in rules):
                return _no(["the body must be a webhook or a list of webhooks"])
            try:
                world.webhooks.add(*rules)
            except WebhookError as problem:
                return _no(problem.problems)
        return JSONResponse(world.webhooks.as_json())

    def one_recording(request: Request) -> Response:
        name = request.query_params.get("file", "")
        if not any(v.voicename == name for org in world.organizations.values() for v in org.voicemails):
            return _no(["file must be the voicename of a voicemail"])
        sound = recording(world, name)
        return JSONResponse({"file": name, "kind": sound.kind, "bytes": sound.size, "sha256": sound.sha256()})

    async def edits(request: Request) -> Response:
        wanted = await _json(request)
        ops = wanted if isinstance(wanted, list) else [wanted]
        if not all(isinstance(op, dict) for op in ops):
            return _no(["the body must be an operation or a list of operations"])
        results = []
        for n, op in enumerate(ops):
            try:
                with world.lock:
                    results.append(edit(world, op))
            except (EditError, TypeError, ValueError) as problem:
                return _no([f"operation {n}: {problem}"], done=n)
        return JSONResponse({"ok": True, "results": results, "result": results[-1] if results else None})

    return [
        Route("/", about),
        Route("/state", state),
        Route("/requests", requests, methods=["GET", "DELETE"]),
        Route("/settings", settings, methods=["GET", "POST"]),
        Route("/faults", faults, methods=["GET", "POST", "DELETE"]),
        Route("/edit", edits, methods=["POST"]),
        Route("/webhooks", webhooks, methods=["GET", "POST", "DELETE"]),
        Route("/recording", one_recording),
    ]


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        return None


def _no(problems: list[str], **more: Any) -> Response:
    return JSONResponse({"ok": False, "problems": problems, **more}, status_code=400)
