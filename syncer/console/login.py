"""Logging in by a link, once, and out again. There is no password that anybody could guess or lose."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from syncer.config import Settings
from syncer.console.render import Templates
from syncer.console.sessions import Grant, Sessions
from syncer.console.work import Work
from syncer.core.console import SPAN, Attempts, from_the_page

COOKIE: Final = "syncer_session"

#: As the standard spells it; Starlette passes it on as it is.
_STRICT: Any = "Strict"

#: Addresses that are remembered for what they tried; the oldest are forgotten first.
_ADDRESSES: Final = 1000


class Login:
    """Who somebody is, and the pages that are for those who are nobody yet."""

    def __init__(
        self,
        sessions: Sessions,
        work: Work,
        pages: Templates,
        settings: Callable[[], Settings],
        mono: Callable[[], float],
    ) -> None:
        self._sessions = sessions
        self._work = work
        self._pages = pages
        self._settings = settings
        self._mono = mono
        self._attempts: dict[str, Attempts] = {}

    def routes(self) -> list[BaseRoute]:
        """`/login`, the links, and `/logout`."""
        return [
            Route("/login", self._how),
            Route("/login/{token}", self._button, methods=["GET"]),
            Route("/login/{token}", self._enter, methods=["POST"]),
            Route("/logout", self._leave, methods=["POST"]),
        ]

    def who(self, request: Request) -> Grant | None:
        """Whose session the request shows. Raises StoreError."""
        token = request.cookies.get(COOKIE)
        return self._sessions.find(token) if token else None

    def ours(self, request: Request) -> bool:
        """Whether the request was sent by the page itself."""
        headers, http = request.headers, self._settings().http
        url = http.url if http else None
        return from_the_page(
            headers.get("sec-fetch-site"), headers.get("origin"), headers.get("host", ""), url
        )

    async def _how(self, request: Request) -> Response:
        return self._page("login.html", who=self.who(request))

    async def _button(self, request: Request) -> Response:
        if refusal := self._barred(request):
            return refusal
        link = self._sessions.find_link(request.path_params["token"])
        if link is None:
            return self._wrong(request)
        return self._page("enter.html", link=link)

    async def _enter(self, request: Request) -> Response:
        if refusal := self._barred(request):
            return refusal
        if not self.ours(request):
            text = "The browser does not say that this came from the page. Open the link by https, or at localhost."
            return self._page("plain.html", 403, title="Not logged in", text=text)
        # The session is always a new one, whatever cookie the browser brought along.
        made = await self._work.alone(partial(self._sessions.spend, request.path_params["token"]))
        if made is None:
            return self._wrong(request)
        token, session = made
        response = RedirectResponse("/", 303)
        response.set_cookie(
            COOKIE,
            token,
            max_age=session.lasts_s,
            httponly=True,
            samesite=_STRICT,
            secure=self._secure(request),
        )
        return response

    async def _leave(self, request: Request) -> Response:
        if self.who(request) is None:
            return RedirectResponse("/login", 303)
        if not self.ours(request):
            text = "The browser does not say that this came from the page, so you are still logged in."
            return self._page("plain.html", 403, title="Not logged out", text=text)
        await self._work.alone(partial(self._sessions.end, request.cookies[COOKIE]))
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite=_STRICT, secure=self._secure(request))
        return response

    def _secure(self, request: Request) -> bool:
        http = self._settings().http
        return request.url.scheme == "https" or bool(http and http.url and http.url.startswith("https:"))

    # -- guessing

    def _barred(self, request: Request) -> Response | None:
        """429 for an address that tried too many wrong links."""
        if not self._attempts.get(_address(request), Attempts()).barred(self._mono()):
            return None
        text = "Too many links that do not exist were tried from your address. Wait a minute and try again."
        response = self._page("plain.html", 429, title="Too many attempts", text=text)
        response.headers["Retry-After"] = str(round(SPAN))
        return response

    def _wrong(self, request: Request) -> Response:
        address = _address(request)
        self._attempts[address] = self._attempts.pop(address, Attempts()).another(self._mono())
        while len(self._attempts) > _ADDRESSES:
            del self._attempts[next(iter(self._attempts))]
        text = (
            "This link was used already, or its hour is over. Ask the person who runs syncer for another one: "
            "“syncer console invite” prints it."
        )
        return self._page("plain.html", 404, title="This link does not work any more", text=text)

    def _page(self, template: str, status: int = 200, **context: object) -> Response:
        return HTMLResponse(self._pages.page(template, **context), status)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
