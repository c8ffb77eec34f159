"""What all tests share: asyncio as the only event loop, and two profiles for generated tests.

Fakes and servers stand beside the tests that need them.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Let `@pytest.mark.anyio` tests run on asyncio alone, which is what the daemon uses."""
    return "asyncio"
