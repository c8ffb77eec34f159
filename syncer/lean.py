"""Imports a library without what it brings along only because it is installed.

structlog and httpx both load rich, and pygments with it, where they find it: for traces that show all
locals, which we never want, and for a command line of httpx's own. That is a tenth of a second of each
command, and 6 MB of a daemon that runs for years.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """While this lasts, importing these says that there is no such module; one that is loaded stays."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # what Python itself takes for "there is none"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
