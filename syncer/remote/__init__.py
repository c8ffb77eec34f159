"""HTTP: one client for all calls, and one adapter per vendor. httpx is not used outside of this package."""

from syncer.lean import without

with without("rich", "pygments"):
    import httpx

__all__ = ["httpx"]
