"""A real PostgreSQL, once a session, and offices that publish into a schema of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.office import Office
from tests.postgres import Server

_schemas = itertools.count(1)


class Published(Office):
    """An office with a published copy `central`."""

    def __init__(self, folder: Path, server: Server, *, schema: str | None = None, **more: Any) -> None:
        self.server = server
        self.schema = schema or f"s{next(_schemas)}"
        settings = {"url": server.url(), "schema": self.schema, **more.pop("target", {})}
        super().__init__(folder, publish={"central": settings}, **more)

    def there(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self.server.connect() as conn:
            conn.execute(f'SET search_path TO "{self.schema}"')
            conn.execute("SET TIME ZONE 'UTC'")
            found = conn.execute(query, values)
            return found.fetchall() if found.description else []


@pytest.fixture
def office(tmp_path: Path, server: Server) -> Iterator[Published]:
    made = Published(tmp_path, server)
    yield made
    made.close()
