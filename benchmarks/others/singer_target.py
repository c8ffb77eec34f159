"""A Singer target for SQLite: the SDK's SQL target with an upsert by key. The published one no longer starts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

import sqlalchemy
from singer_sdk import typing as th
from singer_sdk.sql import SQLConnector, SQLSink, SQLTarget
from sqlalchemy.dialects.sqlite import insert

from benchmarks.usage import whole_process


class Connector(SQLConnector):
    """A SQLite file."""

    allow_merge_upsert = True

    def get_sqlalchemy_url(self, config: dict[str, Any]) -> str:
        """The URL of the file."""
        return f"sqlite:///{config['path']}"


class Sink(SQLSink[Connector]):
    """Writes a batch as one upsert."""

    connector_class = Connector

    def bulk_insert_records(
        self, full_table_name: Any, schema: dict[str, Any], records: Iterable[dict[str, Any]]
    ) -> int | None:
        """Insert, or update by key."""
        del schema
        rows = list(records)
        table = self.connector.get_table(full_table_name)
        statement = insert(table)
        taken = {name: statement.excluded[name] for name in rows[0] if name not in self.key_properties}
        with self.connector._connect() as conn, conn.begin():
            conn.execute(statement.on_conflict_do_update(self.key_properties, set_=taken), rows)
        return len(rows)


class TargetSqlite(SQLTarget):
    """A target for one file."""

    name = "target-sqlite"
    default_sink_class = Sink
    config_jsonschema = th.PropertiesList(th.Property("path", th.StringType)).to_dict()


if __name__ == "__main__":
    path = sys.argv[1]
    TargetSqlite(config={"path": path, "add_record_metadata": False}).listen()
    with sqlalchemy.create_engine(f"sqlite:///{path}").connect() as conn:
        rows = conn.execute(sqlalchemy.text("SELECT count(*) FROM contacts")).scalar()
    print(json.dumps({**whole_process(), "rows": rows}))
