"""One request by a logged-in person, and how a page or an action answers it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from syncer.config import Settings
from syncer.console.render import Templates
from syncer.console.sessions import Grant
from syncer.console.work import Work
from syncer.core.console import Role
from syncer.core.normalise import utc_text
from syncer.store.db.read_only import Reader
from syncer.store.read import attention, call_queries, page_queries

#: The greatest row id of SQLite.
LARGEST_ID: Final = 2**63 - 1


class NotFoundError(Exception):
    """Nothing is at this address. The text is shown to the reader."""


@dataclass(slots=True)
class Visit:
    """The request, and what a page or an action needs to answer it."""

    request: Request
    who: Grant
    settings: Settings
    work: Work
    pages: Templates
    now: datetime
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def stamp(self) -> str:
        """Now, as UTC text."""
        return utc_text(self.now)

    def query(self, name: str, longest: int = 200) -> str:
        """A query parameter, trimmed, with at most `longest` characters."""
        return " ".join(self.request.query_params.get(name, "").split())[:longest]

    def page_number(self) -> int:
        """The page of a list that was requested, from 1."""
        text = self.request.query_params.get("page", "1")
        if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII):
            return 1
        return max(1, min(int(text), page_queries.LAST))

    def row_id(self) -> int:
        """The row id in the path. Raises NotFoundError."""
        text = str(self.request.path_params["id"])
        if not re.fullmatch(r"[1-9][0-9]{0,18}", text, re.ASCII) or int(text) > LARGEST_ID:
            raise NotFoundError("There is no such page.")
        return int(text)

    async def show(
        self,
        template: str,
        read: Callable[[Reader], Mapping[str, Any]] | None = None,
        status: int = 200,
        **context: Any,
    ) -> Response:
        """Render a template with the result of a query. Both happen in the reading thread."""

        def make(conn: Reader) -> str:
            found = dict(read(conn)) if read else {}
            listed = found.get("slice")
            if listed is not None and listed.number > 1 and not listed.rows:
                raise NotFoundError(f"This list ends before page {listed.number}.")
            return self.pages.page(template, **self.frame(conn), **{**context, **found})

        return HTMLResponse(await self.work.read(make), status)

    def frame(self, conn: Reader) -> dict[str, Any]:
        """What every page shows around its content: navigation, open items, the login."""
        waiting, _ = call_queries.open_callbacks(conn)
        attend = attention.load(conn)
        return {
            "who": self.who,
            "path": self.request.url.path,
            "may_edit": self.who.role.includes(Role.EDIT),
            "may_approve": self.who.role.includes(Role.APPROVE),
            "badges": {
                "/callbacks": waiting,
                "/queue": sum(one.count for one in attend if one.kind in ("conflict", "rejected", "held")),
                "/held": sum(one.count for one in attend if one.kind == "listing"),
            },
            "attention": attend,
            "said": self.query("said"),
            "now": self.stamp,
            "page_url": self.page_url,
        }

    def page_url(self, number: int) -> str:
        """The address of another page of this list."""
        kept = {name: value for name, value in self.request.query_params.items() if name != "said"}
        return f"{self.request.url.path}?{urlencode(kept | {'page': str(number)})}"


def redirect(path: str, **query: str) -> Response:
    """Redirect to a page after an action."""
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)


@dataclass(frozen=True, slots=True)
class PageRoute:
    """One route of the page, and the role that it needs."""

    method: str
    path: str
    answer: Callable[[Visit], Awaitable[Response]]
    role: Role = Role.LOOK
    redirects: bool = True  #: whether people without a session are sent to the login
