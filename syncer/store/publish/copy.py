"""The connection to a published copy: its position, rows that go there, digests of what it holds.

Statements are PostgreSQL's own. What is sent is decided by the caller; how errors are named, by `postgres_errors`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from syncer.core.published import NULL, PRESENT, SEPARATOR, Kind, Value
from syncer.errors import TransientError
from syncer.store.publish import postgres_errors, schema
from syncer.store.publish.reading import Changes, Rows
from syncer.store.publish.tables import Published

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

#: How long a statement may take, wait for a lock, and leave a transaction open, in milliseconds.
_LIMITS: Final = (("statement_timeout", 120_000), ("lock_timeout", 20_000), ("idle_in_transaction_session_timeout", 300_000))  # fmt: skip

#: What libpq is asked for unless the address says otherwise; seconds, but for the last.
_OPTIONS: Final = {
    "application_name": "syncer", "connect_timeout": "10", "keepalives_idle": "10", "keepalives_interval": "5",
    "keepalives_count": "3", "tcp_user_timeout": "20000",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CopyAddress:
    """Where a copy is, and which part of it is ours."""

    label: str  #: `publish.central`
    url: str
    password: str | None
    schema: str
    site: str


@dataclass(frozen=True, slots=True)
class Position:
    """What a copy says of itself."""

    source: str  #: which database is published
    token: str  #: the state that it was left in
    mark: int | None  #: None: it was never whole
    seq: int


def address_of(place: CopyAddress) -> URL:
    """Its address with the password, and with our settings where it has none of its own."""
    from sqlalchemy.engine import make_url

    url = make_url(place.url).set(drivername="postgresql+psycopg")
    if place.password is not None:
        url = url.set(password=place.password)
    options = {name: value for name, value in _OPTIONS.items() if name not in url.query}
    # Whatever the url, PGCLIENTENCODING or the database say: no other encoding holds every name.
    return url.update_query_dict(options | {"client_encoding": "utf8"})


class Copy:
    """A published copy. Used by one thread at a time; `abort` may be called from any."""

    def __init__(self, place: CopyAddress) -> None:
        self.place = place
        self.heard = time.monotonic()  #: when it last answered
        self._engine: Engine | None = None
        self._conn: Connection | None = None
        self._aborted = ""

    # -- the connection

    def open(self, *, make: bool = True) -> Position | None:
        """Connect where that is not done yet, make or migrate the schema; the position, None where there is none."""
        self._aborted = ""
        self.heard = time.monotonic()
        with self._mapped("connect"):
            if self._conn is None or self._conn.closed or self._conn.invalidated:
                self.close()
                self._conn = self._connect()
        with self.transaction() as conn:
            state = schema.state(conn, self.place.schema)
        if state is schema.SchemaState.OLD and make:
            with self.transaction() as conn:
                schema.upgrade(conn, self.place.schema)
        elif state is schema.SchemaState.OLD:
            return None
        return self.position()

    def _connect(self) -> Connection:
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        url = address_of(self.place)
        # A pooler gives each transaction another session: what one prepared, the next does not have.
        options = {"prepare_threshold": None}
        self._engine = create_engine(
            url, poolclass=NullPool, connect_args=options, hide_parameters=True, pool_reset_on_return=None
        )
        return self._engine.connect()

    def close(self) -> None:
        """Close the connection; it is opened again when it is needed."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(Exception):  # it may be broken, which is why it is closed
                conn.close()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def abort(self, why: str) -> None:
        """End whatever it is waiting for; the thread that waits gets an error."""
        self._aborted = why
        conn = self._conn
        if conn is None or conn.closed:
            return
        with contextlib.suppress(OSError, AttributeError):  # it ended by itself meanwhile
            handle = os.dup(conn.connection.driver_connection.pgconn.socket)  # type: ignore[union-attr]
            with socket.socket(fileno=handle) as sock:
                sock.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _mapped(self, call: str) -> Iterator[None]:
        """Turn what SQLAlchemy or PostgreSQL raises into our own errors."""
        try:
            yield
        except Exception as error:
            found = postgres_errors.of(error, self.place.label, call)
            if found is None:
                raise
            if self._aborted:
                found = TransientError(self.place.label, call, self._aborted)
            if isinstance(found, TransientError):
                self.close()
            raise found from None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction, committed at the end."""
        conn = self._conn
        assert conn is not None
        with self._mapped("publish"), conn.begin():
            limits = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _LIMITS)
            conn.exec_driver_sql(f"SELECT {limits}")
            self.heard = time.monotonic()
            yield conn
        self.heard = time.monotonic()

    def run(self, conn: Connection, statement: str, *values: object) -> Any:
        """Run one statement of PostgreSQL within `transaction`."""
        done = conn.exec_driver_sql(statement, values)
        self.heard = time.monotonic()
        return done

    def table(self, name: str) -> str:
        """A table's name in statements."""
        return f'"{self.place.schema}"."{name}"'

    # -- the position

    def position(self) -> Position | None:
        """Where the site's copy is now."""
        query = f"SELECT source, token, mark, seq FROM {self.table('syncer_position')} WHERE site = %s"
        with self.transaction() as conn:
            row = self.run(conn, query, self.place.site).fetchone()
        return None if row is None else Position(*row)

    def begin_whole(self, source: str, token: str) -> None:
        """From now on the copy is being made whole; a kill in between is noticed by the mark that is missing."""
        with self.transaction() as conn:
            self.run(
                conn,
                f"INSERT INTO {self.table('syncer_position')} AS p (site, source, token, seq) VALUES (%s, %s, %s, 0) "
                "ON CONFLICT (site) DO UPDATE SET source = excluded.source, token = excluded.token, mark = NULL",
                self.place.site,
                source,
                token,
            )

    def _move(self, conn: Connection, before: str, token: str, position: tuple[int, int, str] | None) -> None:
        """Take the site's row, and move it; TransientError when somebody else has moved it."""
        moved = "token = %s" + (", mark = %s, seq = %s, published_at = %s" if position else "")
        done = self.run(
            conn,
            f"UPDATE {self.table('syncer_position')} SET {moved} WHERE site = %s AND token = %s",
            token,
            *(position or ()),
            self.place.site,
            before,
        )
        if done.rowcount != 1:
            raise TransientError(self.place.label, "publish", "another program published this site meanwhile")

    def apply(self, changes: Changes, before: str, token: str, at: str | None) -> tuple[int, int]:
        """Write and remove rows and, with `at`, move the position, all in one transaction.

        Returns how many rows of the copy differed and were written, and how many were removed.
        """
        with self.transaction() as conn:
            self._move(
                conn, before, token, None if at is None else (changes.mark, changes.seq, at)
            )  # first: it is the lock
            written = sum(self._upsert(conn, one, rows) for one, rows in changes.rows.items())
            removed = 0
            for one, keys in changes.gone.items():
                query = f'DELETE FROM {self.table(one.name)} WHERE site = %s AND "{one.key}" = ANY(%s::{one.key_kind.value}[])'
                removed += int(self.run(conn, query, self.place.site, list(keys)).rowcount)
        return written, removed

    # -- rows

    def _given(self, published: Published) -> str:
        """SQL: the rows that are passed as one array a column."""
        arrays = ", ".join(
            "%s::bigint[]" if kind is Kind.NUMBER else "%s::text[]" for kind in published.kinds
        )
        names = ", ".join(f'"{name}"' for name in published.columns)
        values = ", ".join(
            f'g."{name}"' + (f"::{kind.value}" if kind in (Kind.TIME, Kind.JSON) else "") + f' AS "{name}"'
            for name, kind in zip(published.columns, published.kinds, strict=True)
        )
        return f"SELECT {values} FROM unnest({arrays}) AS g ({names})"

    def _upsert(self, conn: Connection, published: Published, rows: Rows) -> int:
        if not rows:
            return 0
        names = ", ".join(f'"{name}"' for name in published.columns)
        others = [name for name in published.columns if name != published.key]
        moved = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
        there, given = (", ".join(f'{side}."{name}"' for name in others) for side in ("t", "excluded"))
        done = self.run(
            conn,
            f"INSERT INTO {self.table(published.name)} AS t (site, {names}) "
            f"SELECT %s, r.* FROM ({self._given(published)}) r "
            f'ON CONFLICT (site, "{published.key}") DO UPDATE SET {moved} '
            f"WHERE ({there}) IS DISTINCT FROM ({given})",
            self.place.site,
            *_arrays(rows),
        )
        return int(done.rowcount)

    def differing(self, published: Published, rows: Rows) -> set[Value]:
        """Keys of those of the rows that the copy lacks or has otherwise, as PostgreSQL itself compares them."""
        if not rows:
            return set()
        key = published.key
        there, given = (", ".join(f'{side}."{name}"' for name in published.columns) for side in ("t", "r"))
        query = (
            f'SELECT r."{key}" FROM ({self._given(published)}) r LEFT JOIN {self.table(published.name)} t '
            f'ON t.site = %s AND t."{key}" = r."{key}" WHERE ({there}) IS DISTINCT FROM ({given})'
        )
        with self.transaction() as conn:
            return set(self.run(conn, query, *_arrays(rows), self.place.site).scalars())

    # -- digests

    def _digest(self, published: Published) -> str:
        """SQL: the digest of a row, as `core/published` computes it."""
        texts = []
        for name, kind in zip(published.columns, published.kinds, strict=True):
            value = f't."{name}"::text'
            if kind is Kind.TIME:
                value = f"""to_char(t."{name}" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
            texts.append(f"COALESCE('{PRESENT}' || {value}, '{NULL}')")
        return f"sha256(convert_to(concat_ws(chr({ord(SEPARATOR)}), {', '.join(texts)}), 'UTF8'))"

    def _range(self, published: Published, after: Value, upto: Value) -> tuple[str, list[Value]]:
        key, where, values = self._ordered(published), "t.site = %s", list[Value]([self.place.site])
        for bound, sign in ((after, ">"), (upto, "<=")):
            if bound is not None:
                where += f" AND {key} {sign} %s"
                values.append(bound)
        return f"FROM {self.table(published.name)} t WHERE {where}", values

    def _ordered(self, published: Published) -> str:
        return f't."{published.key}"' + ("" if published.key_kind is Kind.NUMBER else ' COLLATE "C"')

    def digest(self, published: Published, after: Value, upto: Value) -> tuple[int, bytes]:
        """How many rows have a key after `after`, up to `upto` (None: no bound), and the digest of all of them."""
        rest, values = self._range(published, after, upto)
        query = (
            f"SELECT count(*), sha256(COALESCE(string_agg({self._digest(published)}, ''::bytea "
            f"ORDER BY {self._ordered(published)}), ''::bytea)) {rest}"
        )
        with self.transaction() as conn:
            count, found = self.run(conn, query, *values).one()
        return int(count), bytes(found)

    def digests(self, published: Published, after: Value, upto: Value) -> dict[Value, bytes]:
        """The digest of each of these rows, by key."""
        rest, values = self._range(published, after, upto)
        query = f't."{published.key}", {self._digest(published)} {rest}'
        with self.transaction() as conn:
            return {key: bytes(found) for key, found in self.run(conn, f"SELECT {query}", *values)}


def _arrays(rows: Sequence[tuple[Value, ...]]) -> Iterator[list[Value]]:
    """The rows as one list a column."""
    return (list(column) for column in zip(*rows, strict=True))
