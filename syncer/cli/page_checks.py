"""Checks of `doctor` about the page: where it can be reached, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from syncer.cli.findings import Finding
from syncer.cli.output import count
from syncer.errors import StoreError

if TYPE_CHECKING:
    from syncer.cli.app import App
    from syncer.config import Settings

ABOUT = "page"


def check_page(app: App, settings: Settings) -> Iterator[Finding]:
    """Check the page, if it is on."""
    from syncer.config.units import is_loopback
    from syncer.console.sessions import Sessions

    http = settings.http
    if http is None or not http.console:
        return
    host, port = http.address
    if not is_loopback(host):
        if http.hosts is None and http.url is None:
            text = f"the page listens on {host}:{port}, beyond this machine, and no `hosts` say under which names"
            fix = "name them in http.hosts, and put a proxy with TLS in front (docs/page.md)"
            yield Finding("warning", ABOUT, text, fix)
        if http.url is None or http.url.startswith("http:"):
            text = (
                f"the page listens on {host}:{port} without TLS: browsers send no form of it over plain http"
            )
            yield Finding(
                "warning", ABOUT, text, "put a proxy with TLS in front, and set http.url (docs/page.md)"
            )
    try:
        found = Sessions(settings.database.path, app.now, settings.database.group).usable()
    except StoreError as error:
        yield Finding("problem", ABOUT, str(error))
        return
    sessions = sum(one.kind == "session" for one in found)
    yield Finding(
        "ok",
        ABOUT,
        f"it is at {http.base}; {count(sessions, 'session')}, {count(len(found) - sessions, 'unused link')}",
    )
