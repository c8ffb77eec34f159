"""The page: its routes, who may use them, and the headers of every response.

What each page shows is in the module of its name. Logins are in `login` and `sessions`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncer.console import audio, callbacks, calls, changes, contact_forms, contacts, health, holds, overview
from syncer.console.forms import FormError, read_form
from syncer.console.login import Login
from syncer.console.render import STATIC, Templates, static
from syncer.console.sessions import Sessions
from syncer.console.visit import NotFoundError, PageRoute, Visit
from syncer.console.work import Work
from syncer.core.wording import upper_first
from syncer.errors import StoreError, UsageError
from syncer.sync.env import Env

#: Sent with every response: no foreign or inline content, no framing, no caching.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_PAGES: Final[tuple[PageRoute, ...]] = (
    *overview.PAGES,
    *callbacks.PAGES,
    *calls.PAGES,
    *audio.PAGES,
    *contact_forms.PAGES,
    *contacts.PAGES,
    *changes.PAGES,
    *holds.PAGES,
    *health.PAGES,
)


class Console:
    """The page. `env` returns the current config and clock."""

    def __init__(self, env: Callable[[], Env], mono: Callable[[], float] = time.monotonic) -> None:
        self._env = env
        settings = env().settings
        self._sessions = Sessions(settings.database.path, lambda: self._env().now(), settings.database.group)
        self._work = Work(lambda: self._env().settings, mono)
        self._pages = Templates(lambda: self._env().now())
        self._work.begin(self._pages.compile)
        self._login = Login(self._sessions, self._work, self._pages, lambda: self._env().settings, mono)

    def routes(self) -> list[BaseRoute]:
        """The routes of the page. They match every path, so they come after all others."""
        routes: list[BaseRoute] = [Route("/static/{hash}/{name}", _static), *self._login.routes()]
        routes += [Route(one.path, self._endpoint(one), methods=[one.method]) for one in _PAGES]
        inner = Router(routes, default=self._nothing_here, redirect_slashes=False)
        return [Mount("/", app=_Guarded(inner, self._failed))]

    def close(self) -> None:
        """Stop serving requests."""
        self._work.close()

    def _endpoint(self, page: PageRoute) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            who = self._login.who(request)
            if who is None:
                if page.redirects and page.method == "GET":
                    return RedirectResponse("/login", 303)
                return self._plain(401, "You are not logged in", _LOGGED_OUT)
            if page.method != "GET" and not self._login.same_site(request):
                return self._plain(403, "Not sent by this page", _FOREIGN)
            if not who.role.includes(page.role):
                text = f"This needs the role “{page.role}”, and yours is “{who.role}”."
                return self._plain(403, "Not allowed", text)
            env = self._env()
            visit = Visit(request, who, env.settings, self._work, self._pages, env.now())
            try:
                if page.method == "POST":
                    visit.form = await read_form(request)
                return await page.answer(visit)
            except NotFoundError as error:
                return await visit.show("message.html", None, 404, title="Not found", text=str(error))
            except UsageError as error:
                return await visit.show("message.html", None, 409, title="Not done", text=_sentence(error))

        return answer

    async def _nothing_here(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if self._login.who(request) is None and request.method in ("GET", "HEAD"):
            await RedirectResponse("/login", 303)(scope, receive, send)
            return
        response = self._plain(404, "Not found", "There is no such page.")
        await response(scope, receive, send)

    def _plain(self, status: int, title: str, text: str) -> Response:
        """A page that shows nothing but a text."""
        return HTMLResponse(self._pages.page("plain.html", title=title, text=text), status)

    def _failed(self, error: Exception) -> Response:
        """The response to a request that failed."""
        if isinstance(error, FormError):
            return self._plain(error.status, "Not done", str(error))
        if isinstance(error, HTTPException):  # the route does not accept the method
            return self._plain(error.status_code, "Not done", "This address does not accept that request.")
        if not isinstance(error, StoreError):
            return self._plain(500, "Something went wrong", _UNFORESEEN)
        text = f"{_sentence(error)} Try again in a moment."
        return self._plain(503, "The database is in trouble", text)


_LOGGED_OUT: Final = (
    "Nothing was done. Logins end after a while: ask the person who runs syncer for another link."
)
_UNFORESEEN: Final = "This is a bug in syncer. The person who runs it finds more in its log."
_FOREIGN: Final = (
    "The browser does not say that this form came from this page, so nothing was done. Open the page by https, or at "
    "localhost, and try again there."
)


def _sentence(error: Exception) -> str:
    return f"{upper_first(str(error).replace('`', ''))}."


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return Response(status_code=404)
    cached = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(static(name), media_type=STATIC[name], headers=cached)


class _Guarded:
    """Adds the headers to every response, and turns errors into responses."""

    def __init__(self, app: ASGIApp, failed: Callable[[Exception], Response]) -> None:
        self._app = app
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception as error:
            if begun:
                raise
            await self._failed(error)(scope, receive, guarded)
            if not isinstance(error, (StoreError, FormError, HTTPException)):
                raise  # the server logs it
