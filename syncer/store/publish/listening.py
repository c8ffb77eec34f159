"""Waits for PostgreSQL to say that an edit came: on a connection of its own, in the daemon's event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from syncer.store.publish.copy import CopyAddress, address_of

#: Where a trigger there says that an edit came; the payload is the site.
CHANNEL: Final = "syncer_edits"

#: How long to wait before another try to connect, in seconds. Meanwhile the job looks at each of its runs.
AGAIN: Final = 30.0


async def listen(place: CopyAddress, wake: Callable[[], None], again: float = AGAIN) -> None:
    """Call `wake` for each edit of the site, for ever. What is wrong with the target is said by its job."""
    from psycopg import AsyncConnection, Error
    from sqlalchemy.dialects.postgresql import psycopg as dialects
    from sqlalchemy.exc import SQLAlchemyError

    made: Any = dialects.dialect
    while True:
        # An error says no more than that nobody listens now: the job meets the same one, and reports it.
        with contextlib.suppress(Error, OSError, SQLAlchemyError, UnicodeError):
            _, options = made().create_connect_args(address_of(place))
            async with await AsyncConnection.connect(**options, autocommit=True) as conn:
                await conn.execute(f"LISTEN {CHANNEL}")
                wake()  # for what came while nobody listened
                async for notice in conn.notifies():
                    if notice.payload == place.site:
                        wake()
        await asyncio.sleep(again)
