"""HTTP and nothing else: one door for all calls, and one adapter a vendor.

What is done with the rows is left to `sync`; nothing of httpx leaves this package.
"""

from syncer.lean import without

with without("rich", "pygments"):
    import httpx

__all__ = ["httpx"]
