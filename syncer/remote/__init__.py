"""HTTP and nothing else: one client for all calls, and one adapter per vendor.

What is done with the rows is left to `sync`; nothing of httpx leaves this package.
"""

from syncer.lean import without

with without("rich", "pygments"):
    import httpx

__all__ = ["httpx"]
