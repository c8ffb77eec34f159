"""A publisher that is killed: forks one for each number of seconds on its standard input, and kills it after that.

One interpreter imports everything. The publisher goes on publishing until it is killed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from pathlib import Path

from syncer.config.load import load_settings
from syncer.store.db.connection import Database
from syncer.sync import jobs, registry
from syncer.sync.env import build
from tests.office import VirtualClock


def publish_for_ever(config: Path) -> None:
    settings = load_settings(config, {})
    chosen = registry.select(registry.specs(settings), ["publish"], None)

    async def work() -> None:
        with Database(settings.database.path, create=False, checkpoints=False) as db:
            env = build(settings, db, VirtualClock())
            while True:
                await jobs.run_all(env, chosen, full=False, person=False)

    asyncio.run(work())


def main() -> None:
    config = Path(sys.argv[1])
    import psycopg  # noqa: F401 - so that each fork has it
    import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            publish_for_ever(config)
        time.sleep(float(line))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status), flush=True)


if __name__ == "__main__":
    main()
