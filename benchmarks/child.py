"""What runs in a measured process: a pass of the program, or a minimal client.

`python -m benchmarks.child WORK ORDERS` takes its arguments as a JSON object and prints a JSON object.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.usage import Meter, whole_process

Orders = dict[str, Any]


def sync(orders: Orders) -> dict[str, Any]:
    """One pass over the named jobs, as with `syncer sync`. Without a request budget unless `paced`."""
    from benchmarks.office import unpaced
    from syncer.config.load import settings_from
    from syncer.sync import jobs, registry

    folder = Path(orders["folder"])
    config = orders["config"]
    settings = settings_from(config, folder, {}) if orders.get("paced") else unpaced(config, folder)
    chosen = registry.select(registry.specs(settings), orders.get("jobs", ()), None)
    meter = Meter()
    runs = asyncio.run(jobs.sync(settings, chosen, full=orders.get("full", False)))
    result: dict[str, Any] = dict(meter.read())
    result["runs"] = [
        {"job": r.job, "outcome": r.outcome, "seen": r.seen, "added": r.added, "changed": r.changed}
        | {"requests": r.requests, "problem": r.problem}
        for r in runs
    ]
    return result


def command(orders: Orders) -> NoReturn:
    """A whole command line. Prints what the process used when it exits."""
    from syncer.cli.main import main as syncer

    atexit.register(lambda: print(json.dumps(whole_process())))
    sys.argv[1:] = orders["args"]
    syncer()


def migrate(orders: Orders) -> dict[str, Any]:
    """Create the database, so that the migration is not measured."""
    from benchmarks.office import unpaced
    from syncer.sync.open_database import open_database

    open_database(unpaced(orders["config"], Path(orders["folder"]))).close()
    return {}


def floor(orders: Orders) -> dict[str, Any]:
    """The same requests over bare sockets, without reading the answers: the cost of the network."""
    meter = Meter()
    asyncio.run(_bare(orders["port"], orders["path"], orders["bodies"], orders["flight"]))
    return dict(meter.read())


async def _bare(port: int, path: str, bodies: int, flight: int) -> None:
    numbers = iter(range(1, bodies + 1))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            body = b'{"token":"none","page":%d,"limit":%d,"page_state":"at-%d"}' % (
                number, 10 if "user" in path else 100, (number - 1) * 100,
            )  # fmt: skip
            writer.write(
                b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
                % (path.encode(), len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(flight):
            tasks.create_task(client())


WORK: dict[str, Callable[[Orders], dict[str, Any]]] = {
    "sync": sync,
    "command": command,
    "migrate": migrate,
    "floor": floor,
}


def main() -> None:
    """Run one of `WORK`."""
    print(json.dumps(WORK[sys.argv[1]](json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
