"""Logging in with a one-time link, and logging out. There are no passwords."""

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
from syncer.core.access import admit
from syncer.core.console import ATTEMPTS, SPAN, from_the_page

COOKIE: Final = "syncer_session"

#: Starlette passes this on as it is; its type only allows lower case.
_STRICT: Any = "Strict"

#: How many addresses with failed attempts are remembered. The oldest are dropped first.
_ADDRESSES: Final = 1000


class Login:
    """Finds the session of a request, and serves the pages that need none."""

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
        self._attempts: dict[str, tuple[float, ...]] = {}  #: by address: when it tried wrong links

    def routes(self) -> list[BaseRoute]:
        """`/login`, `/login/TOKEN` and `/logout`."""
        return [
            Route("/login", self._show_login),
            Route("/login/{token}", self._show_link, methods=["GET"]),
            Route("/login/{token}", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
        ]

    def who(self, request: Request) -> Grant | None:
        """The session of a request, if there is one. Raises StoreError."""
        token = request.cookies.get(COOKIE)
        return self._sessions.find(token) if token else None

    def same_site(self, request: Request) -> bool:
        """Whether a page of this site sent the request."""
        headers, http = request.headers, self._settings().http
        url = http.url if http else None
        return from_the_page(
            headers.get("sec-fetch-site"), headers.get("origin"), headers.get("host", ""), url
        )

    async def _show_login(self, request: Request) -> Response:
        return self._page("login.html", who=self.who(request))

    async def _show_link(self, request: Request) -> Response:
        if refusal := self._barred(request):
            return refusal
        link = self._sessions.find_link(request.path_params["token"])
        if link is None:
            return self._wrong_link(request)
        return self._page("enter.html", link=link)

    async def _log_in(self, request: Request) -> Response:
        if refusal := self._barred(request):
            return refusal
        if not self.same_site(request):
            text = "The browser does not say that this came from the page. Open the link by https, or at localhost."
            return self._page("plain.html", 403, title="Not logged in", text=text)
        # Always a new session, whatever cookie the browser sent: a fixed one could be known to somebody else.
        made = await self._work.alone(partial(self._sessions.spend, request.path_params["token"]))
        if made is None:
            return self._wrong_link(request)
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

    async def _log_out(self, request: Request) -> Response:
        if self.who(request) is None:
            return RedirectResponse("/login", 303)
        if not self.same_site(request):
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
        """A 429 response for an address that tried too many wrong links."""
        if admit(self._attempts.get(_address(request), ()), self._mono(), ATTEMPTS, SPAN) is not None:
            return None
        text = "Too many links that do not exist were tried from your address. Wait a minute and try again."
        response = self._page("plain.html", 429, title="Too many attempts", text=text)
        response.headers["Retry-After"] = str(round(SPAN))
        return response

    def _wrong_link(self, request: Request) -> Response:
        address = _address(request)
        tried = self._attempts.pop(address, ())
        self._attempts[address] = admit(tried, self._mono(), ATTEMPTS, SPAN) or tried
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
