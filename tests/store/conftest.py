"""A database file, and other connections with their own defaults, as people use it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncer.store.db import migrations
from syncer.store.db.connection import Database
from syncer.store.write import runs
from tests.rows import OpenDatabase, insert

#: Any moment; what is stamped with it was there before the test.
BEFORE = "2026-11-20T08:00:00.000Z"

FIELDS = ("phone_no", "first_name", "last_name", "email_id", "company", "job_title")


class Mirror(OpenDatabase):
    """A syncer database, and any SQLite client on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = Database(path, busy_timeout=0.2)
        self.db.pragma("PRAGMA synchronous = OFF")  # a test's file need not survive a power failure

    def accounts(self, *accounts: tuple[str, bool, bool]) -> None:
        """Set the TeleCMI accounts: (name, mirrors its directory, push.deletes)."""
        self.write(runs.register, [], accounts)

    # -- ours

    def own(self, statement: str, *values: object) -> int:
        """One statement of the program itself. Returns the new row's id."""
        with self.db.write() as conn:
            return int(conn.exec_driver_sql(statement, values).lastrowid or 0)

    def insert(self, table: str, **columns: object) -> int:
        """A row as the program would store it. Returns its id."""
        return self.write(insert, table, **columns)

    def contact(
        self,
        phone: str = "919200000001",
        *,
        account: str = "main",
        contact_id: str | None = "c-1",
        source: str | None = "directory",
        deleted_at: str | None = None,
        **fields: str,
    ) -> int:
        """A contact that both sides agreed on. Returns its row id."""
        values = {"phone_no": phone, "first_name": "Asha", "last_name": "Rao", **fields}
        row = {
            "account": account, "contact_id": contact_id, "phone_e164": f"+{phone}", "raw": "{}",
            "first_seen_at": BEFORE, "last_changed_at": BEFORE, "deleted_at": deleted_at, **values,
        }  # fmt: skip
        row_id = self.insert("telecmi_contacts", **row)
        if source is not None:
            base = {
                "row_id": row_id, "account": account, "source": source, "contact_id": contact_id,
                "phone_e164": f"+{phone}", **values,
            }  # fmt: skip
            self.insert("contact_base", **base)
        return row_id

    def change(self, row_id: int, operation: str, state: str, **more: object) -> int:
        """A change of the queue, as the program would store it."""
        row = {
            "account": "main", "contact_row": row_id, "operation": operation, "state": state,
            "created_at": BEFORE, **more,
        }  # fmt: skip
        return self.insert("change_queue", **row)

    # -- theirs

    def client(self, *pragmas: str, timeout: float = 5.0) -> sqlite3.Connection:
        """Another connection, with the module's defaults except these PRAGMAs."""
        conn = sqlite3.connect(self.path, timeout=timeout)
        for pragma in ("synchronous = OFF", *pragmas):
            conn.execute(f"PRAGMA {pragma}")
        return conn

    def sql(self, statement: str, *values: object, pragmas: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """Run and commit what a person types."""
        with closing(self.client(*pragmas)) as conn, conn:
            return conn.execute(statement, values).fetchall()

    def refused(self, statement: str, *values: object, pragmas: Sequence[str] = ()) -> str:
        """The message of a refused statement, which must not change anything."""
        before = self.everything()
        with pytest.raises(sqlite3.IntegrityError) as caught:
            self.sql(statement, *values, pragmas=pragmas)
        assert self.everything() == before, "a refused statement left something behind"
        return str(caught.value)

    def one(self, statement: str, *values: object) -> Any:
        """The first column of the first row, or None."""
        rows = self.sql(statement, *values)
        return rows[0][0] if rows else None

    def row(self, row_id: int, table: str = "telecmi_contacts") -> dict[str, Any]:
        """One row by its id, or {}."""
        with closing(self.client()) as conn:
            conn.row_factory = sqlite3.Row
            return dict(conn.execute(f"SELECT * FROM {table} WHERE id = ?", (row_id,)).fetchone() or {})

    def queue(self) -> list[tuple[Any, ...]]:
        """(contact_row, operation, state) of every change, in order."""
        return self.sql("SELECT contact_row, operation, state FROM change_queue ORDER BY id")

    def log(self) -> list[tuple[Any, ...]]:
        """(row_id, kind, field, old, new, origin) of every entry, in order."""
        return self.sql("SELECT row_id, kind, field, old, new, origin FROM change_log ORDER BY seq")

    def guard(self) -> int:
        """The guard, as others see it."""
        return int(self.one("SELECT active FROM sync_guard"))

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        tables = self.sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        with closing(self.client()) as conn:
            conn.text_factory = bytes
            return {name: conn.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for (name,) in tables}


@pytest.fixture(scope="session")
def fresh_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of this version, which tests copy."""
    path = tmp_path_factory.mktemp("fresh") / "mirror.db"
    with Database(path) as db:
        migrations.upgrade(db)
    return path


MakeMirror = Callable[..., Mirror]


@pytest.fixture
def make_mirror(tmp_path: Path, fresh_file: Path) -> Iterator[MakeMirror]:
    """Databases of one test, which are closed at its end."""
    made: list[Mirror] = []

    def make(*accounts: tuple[str, bool, bool]) -> Mirror:
        path = tmp_path / f"mirror{len(made)}.db"
        shutil.copy(fresh_file, path)
        made.append(Mirror(path))
        made[-1].accounts(*accounts)
        return made[-1]

    yield make
    for one in made:
        one.db.close()


@pytest.fixture
def mirror(make_mirror: MakeMirror) -> Mirror:
    """A database with one account, whose deletes wait for a person."""
    return make_mirror(("main", True, False))


@pytest.fixture
def shell(mirror: Mirror) -> Callable[..., str]:
    """The real `sqlite3` program on the mirror's file: its output, or AssertionError with what it said."""
    program = shutil.which("sqlite3")
    if program is None:
        pytest.skip("the sqlite3 shell is not installed")
    import subprocess

    def run(script: str, *options: str, fails: bool = False) -> str:
        done = subprocess.run(
            [program, "-bail", *options, str(mirror.path)],
            input=script.encode(),
            capture_output=True,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stderr.decode()
        return (done.stderr if fails else done.stdout).decode(errors="replace")

    return run
