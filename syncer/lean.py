"""Imports a library without its optional dependencies.

structlog and httpx both load rich and pygments if they are installed: for tracebacks with local variables, which must
not be logged, and for httpx's own command line. That takes 0.1 s of each command and 6 MB of a daemon.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Within this block, importing these fails as if they were not installed. Loaded modules stay."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python treats this as "not installed"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
