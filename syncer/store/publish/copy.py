"""The connection to a published copy: its position, the rows written to it, and digests of its rows.

Statements are PostgreSQL's own SQL. Callers decide what is sent, and `postgres_errors` maps the errors.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from syncer.core.model import Value
from syncer.core.published import NULL, PRESENT, SEPARATOR, Kind
from syncer.errors import TransientError
from syncer.store.publish import postgres_errors, schema
from syncer.store.publish.reading import Changes, Rows
from syncer.store.publish.tables import Published

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

#: Time limits of a statement, a wait for a lock and an idle transaction, in milliseconds.
_LIMITS: Final = (("statement_timeout", 120_000), ("lock_timeout", 20_000), ("idle_in_transaction_session_timeout", 300_000))  # fmt: skip

#: Settings of libpq unless the url has its own, in seconds (the last one in milliseconds).
_OPTIONS: Final = {
    "application_name": "syncer", "connect_timeout": "10", "keepalives_idle": "10", "keepalives_interval": "5",
    "keepalives_count": "3", "tcp_user_timeout": "20000",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CopyAddress:
    """Where a copy is, and which site in it is ours."""

    label: str  #: `publish.central`
    url: str
    password: str | None
    schema: str
    site: str


@dataclass(frozen=True, slots=True)
class Position:
    """How far a copy is, as it records itself."""

    source: str  #: identifies the published database
    token: str  #: identifies the state that the last pass left behind
    mark: int | None  #: None if it was never complete
    seq: int


def address_of(place: CopyAddress) -> URL:
    """The URL with the password, and our settings unless it has its own."""
    from sqlalchemy.engine import make_url

    url = make_url(place.url).set(drivername="postgresql+psycopg")
    if place.password is not None:
        url = url.set(password=place.password)
    options = {name: value for name, value in _OPTIONS.items() if name not in url.query}
    # Overrides the url, PGCLIENTENCODING and the database: no other encoding can represent every name.
    return url.update_query_dict(options | {"client_encoding": "utf8"})


class Copy:
    """A published copy. Used by one thread at a time; `abort` may be called from any."""

    def __init__(self, place: CopyAddress) -> None:
        self.place = place
        self.last_answer = time.monotonic()  #: when it last answered, on the monotonic clock
        self._engine: Engine | None = None
        self._conn: Connection | None = None
        self._aborted = ""

    # -- the connection

    def open(self, *, make: bool = True) -> Position | None:
        """Connect if needed, and create or migrate the schema (unless `make` is off). Returns the position, if any."""
        self._aborted = ""
        self.last_answer = time.monotonic()
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
        # Behind a pooler each transaction may get another session, which lacks the statements prepared earlier.
        options = {"prepare_threshold": None}
        self._engine = create_engine(
            url, poolclass=NullPool, connect_args=options, hide_parameters=True, pool_reset_on_return=None
        )
        return self._engine.connect()

    def close(self) -> None:
        """Close the connection. `open` opens it again."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(Exception):  # it may be broken, which is why it is closed
                conn.close()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def abort(self, why: str) -> None:
        """Shut the socket down, so that the thread waiting on it gets an error with this reason."""
        self._aborted = why
        conn = self._conn
        if conn is None or conn.closed:
            return
        with contextlib.suppress(OSError, AttributeError):  # it was closed meanwhile
            handle = os.dup(conn.connection.driver_connection.pgconn.socket)  # type: ignore[union-attr]
            with socket.socket(fileno=handle) as sock:
                sock.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _mapped(self, call: str) -> Iterator[None]:
        """Map errors of SQLAlchemy and PostgreSQL to our own."""
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
        """A transaction that is committed at the end of the block."""
        conn = self._conn
        assert conn is not None
        with self._mapped("publish"), conn.begin():
            limits = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _LIMITS)
            conn.exec_driver_sql(f"SELECT {limits}")
            self.last_answer = time.monotonic()
            yield conn
        self.last_answer = time.monotonic()

    def run(self, conn: Connection, statement: str, *values: object) -> Any:
        """Run a statement within `transaction`."""
        done = conn.exec_driver_sql(statement, values)
        self.last_answer = time.monotonic()
        return done

    def table(self, name: str) -> str:
        """The qualified name of a table."""
        return f'"{self.place.schema}"."{name}"'

    # -- the position

    def position(self) -> Position | None:
        """The position of the site."""
        query = f"SELECT source, token, mark, seq FROM {self.table('syncer_position')} WHERE site = %s"
        with self.transaction() as conn:
            row = self.run(conn, query, self.place.site).fetchone()
        return None if row is None else Position(*row)

    def begin_whole(self, source: str, token: str) -> None:
        """Record that all rows are being compared. Until that is done, the site has no mark, also if we are killed."""
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
        """Lock and move the position of the site. Raises TransientError if somebody else has moved it."""
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

        Returns the number of rows that differed and were written, and the number of removed ones.
        """
        with self.transaction() as conn:
            # First, because it locks the site.
            self._move(conn, before, token, None if at is None else (changes.mark, changes.seq, at))
            written = sum(self._upsert(conn, one, rows) for one, rows in changes.rows.items())
            removed = 0
            for one, keys in changes.gone.items():
                query = f'DELETE FROM {self.table(one.name)} WHERE site = %s AND "{one.key}" = ANY(%s::{one.key_kind.value}[])'
                removed += int(self.run(conn, query, self.place.site, list(keys)).rowcount)
        return written, removed

    # -- rows

    def _given(self, published: Published) -> str:
        """SQL for the rows that are passed as one array per column."""
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
        """The keys of rows that are missing or different in the copy, as compared by PostgreSQL."""
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
        """SQL for the digest of a row, as computed by `core/published`."""
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
        """The number of rows with keys after `after` and up to `upto` (None: no bound), and their common digest."""
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
    """The rows as one list per column."""
    return (list(column) for column in zip(*rows, strict=True))
