"""Renders the page's templates, with filters for times, phone numbers and differences.

Jinja escapes every value, so data from vendors and people cannot inject HTML.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from syncer.core.wording import count, moment, seconds_since, span

_HERE: Final = Path(__file__).parent

#: File name -> media type.
STATIC: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

#: Seconds within which a time is "just now". Also covers small differences between clocks.
_NOW: Final = 5.0

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")


@cache
def static(name: str) -> bytes:
    """The content of a static file."""
    return (_HERE / "static" / name).read_bytes()


@cache
def static_url(name: str) -> str:
    """The URL of a static file. It changes with the content, so browsers may cache it for ever."""
    return f"/static/{hashlib.sha256(static(name)).hexdigest()[:12]}/{name}"


class Templates:
    """The Jinja environment. `now` is the wall clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals |= {"static_url": static_url}
        self._templates.filters |= {
            "at": self.at,
            "ago": self.ago,
            "tel": tel,
            "plural": count,
            "span": span,
            "audible": audible,
            "short": short,
        }

    def compile(self) -> None:
        """Compile all templates, so the first visitor does not wait for it."""
        for name in self._templates.list_templates():
            self._templates.get_template(name)

    def page(self, template: str, **context: Any) -> str:
        """Render a template."""
        return self._templates.get_template(template).render(zone=f"{self._now().astimezone():%Z}", **context)

    def at(self, stamp: str | None) -> Markup:
        """A stored time in this machine's time zone. A script converts it to the reader's."""
        return _time(stamp, lambda found: f"{found.astimezone():%-d %b %Y, %H:%M}", "zoned")

    def ago(self, stamp: str | None) -> Markup:
        """A stored time as its age, such as `5 min ago`."""

        def words(found: datetime) -> str:
            seconds = seconds_since(found.isoformat(), self._now()) or 0.0
            if abs(seconds) < _NOW:
                return "just now"
            return f"{span(seconds)} ago" if seconds > 0 else f"in {span(seconds)}"

        return _time(stamp, words, "ago")


def _time(stamp: str | None, words: Callable[[datetime], str], kind: str) -> Markup:
    if not stamp:
        return Markup('<span class="none">unknown</span>')
    found = moment(stamp)
    if found is None:
        return escape(stamp)
    try:
        utc = found.astimezone(UTC)
        shown = words(found)
    except (ValueError, OverflowError):  # outside the years that datetime supports
        return escape(stamp)
    return Markup('<time class="{}" datetime="{}" title="{}">{}</time>').format(
        kind, f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M:%S} UTC", shown
    )


def tel(number: str | None, written: str | None = None) -> Markup:
    """A phone number as a link to call it, or as plain text if it cannot be called."""
    if number and _E164.fullmatch(number):
        return Markup('<a class="tel" href="tel:{0}">{0}</a>').format(number)
    shown = number or written
    if not shown:
        return Markup('<span class="none">withheld</span>')
    return Markup('<span class="tel">{}</span>').format(shown)


def short(text: str | None, most: int = 60) -> str:
    """A text for a list, cut after `most` characters. The page of one person shows all of it."""
    text = text or ""
    return text if len(text) <= most else f"{text[:most].rstrip()}…"


def audible(state: str | None) -> str:
    """Why a voicemail has no player. Empty if it has one, or if recordings are not fetched."""
    return {
        "waiting": "recording on its way",
        "gone": "no recording at the vendor",
        "failed": "recording could not be fetched",
        "expired": "recording removed by age or size",
    }.get(state or "", "")


def marked(base: str, text: str) -> Markup:
    """The text with its differences from `base` marked.

    Texts are compared word by word. If both are a single word, the common beginning and end are left unmarked.
    """
    if text == base:
        return escape(text)
    if not base or len(base) * len(text) > 250_000:
        return _mark(text)
    old, new = _WORDS.findall(base), _WORDS.findall(text)
    if len(new) == len(old) == 1:
        start = _common_prefix(base, text)
        end = _common_prefix(base[start:][::-1], text[start:][::-1])
        return escape(text[:start]) + _mark(text[start : len(text) - end]) + escape(text[len(text) - end :])
    out = Markup("")
    for kind, _, _, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        piece = "".join(new[start:end])
        out += escape(piece) if kind == "equal" else _mark(piece)
    return out


def _common_prefix(one: str, other: str) -> int:
    """How many characters both begin with."""
    differing = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))


def _mark(text: str) -> Markup:
    return Markup("<mark>{}</mark>").format(text) if text else Markup("")


_WORDS: Final = re.compile(r"\w+|\W")
