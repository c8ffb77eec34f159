"""Listens for edits in a published copy (LISTEN), on its own connection in the daemon's event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from syncer.store.publish.copy import CopyAddress, address_of

#: The channel on which a trigger announces edits. The payload is the site.
CHANNEL: Final = "syncer_edits"

#: Seconds before the next attempt to connect. Meanwhile, the job finds edits with its regular runs.
AGAIN: Final = 30.0


async def listen(place: CopyAddress, wake: Callable[[], None], again: float = AGAIN) -> None:
    """Call `wake` for each edit of the site, for ever. The job reports what is wrong with the target."""
    from psycopg import AsyncConnection, Error
    from sqlalchemy.dialects.postgresql import psycopg as dialects
    from sqlalchemy.exc import SQLAlchemyError

    made: Any = dialects.dialect
    while True:
        # Errors are ignored: the job runs into the same ones, and reports them.
        with contextlib.suppress(Error, OSError, SQLAlchemyError, UnicodeError):
            _, options = made().create_connect_args(address_of(place))
            async with await AsyncConnection.connect(**options, autocommit=True) as conn:
                await conn.execute(f"LISTEN {CHANNEL}")
                wake()  # for edits that came while we did not listen
                async for notice in conn.notifies():
                    if notice.payload == place.site:
                        wake()
        await asyncio.sleep(again)
