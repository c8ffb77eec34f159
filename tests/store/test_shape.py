"""A table that was changed is reported with advice. What people add is ignored."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable

import pytest

from syncer.errors import SchemaError, StoreError
from syncer.store.db import integrity, migrations, schema_diff
from tests.store.conftest import Mirror

CONTACTS = "telecmi_contacts"


def rebuilt(pattern: str, by: str, table: str = CONTACTS) -> Callable[[Mirror], None]:
    """The table made again with another definition, as a tool does that copies it."""

    def change(mirror: Mirror) -> None:
        old = mirror.one("SELECT sql FROM sqlite_master WHERE name = ?", table)
        new = re.sub(pattern, by, old, count=1)
        assert new != old
        indexes = mirror.sql(
            "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type = 'index' AND sql <> ''", table
        )
        triggers = mirror.sql("SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type = 'trigger'", table)
        for statement in (f"DROP TABLE {table}", new, *(row[0] for row in (*indexes, *triggers))):
            mirror.sql(statement, pragmas=["legacy_alter_table = ON"])

    return change


def run(*statements: str) -> Callable[[Mirror], None]:
    def change(mirror: Mirror) -> None:
        for statement in statements:
            mirror.sql(statement)

    return change


#: What somebody did -> what is said about it.
BROKEN: dict[str, tuple[Callable[[Mirror], None], str]] = {
    "a renamed column": (
        run("ALTER TABLE telecmi_contacts RENAME COLUMN company TO firm"),
        r"the column company is missing.*`ALTER TABLE telecmi_contacts RENAME COLUMN firm TO company`",
    ),
    "a dropped column": (
        run(
            "DROP TRIGGER smartflo_contacts_read_only_update",
            "DROP VIEW contacts",
            "DROP VIEW voicemails",
            "ALTER TABLE smartflo_contacts DROP COLUMN address",
        ),
        "smartflo_contacts is not as syncer made it .the column address is missing.*restore a backup",
    ),
    "to_sql(if_exists='replace')": (
        run(
            "DROP TABLE telecmi_contacts",
            "CREATE TABLE telecmi_contacts (id BIGINT, account TEXT, phone_no TEXT)",
        ),
        r"the column id is BIGINT instead of INTEGER PRIMARY KEY NOT NULL.*the column contact_id is missing.*without STRICT",
    ),
    "another type": (
        rebuilt("first_name TEXT", "first_name BLOB"),
        "the column first_name is BLOB instead of TEXT",
    ),
    "a lost NOT NULL": (
        rebuilt("mobile TEXT NOT NULL", "mobile TEXT", "telecmi_user_contacts"),
        "the column mobile is TEXT instead of TEXT NOT NULL",
    ),
    "a lost default": (
        rebuilt("account TEXT DEFAULT ''", "account TEXT"),
        "account is TEXT instead of TEXT DEFAULT ''",
    ),
    "a lost key": (
        rebuilt("UNIQUE .account, contact_id.,?", "CHECK (1)"),
        r"telecmi_contacts is not .*without UNIQUE \(account, contact_id\)",
    ),
    "a lost check": (
        rebuilt(r"CHECK .state IN \([^)]*\).,?", "CHECK (1),", "change_queue"),
        r"change_queue is not .*without CHECK \(state IN",
    ),
    "a lost reference": (
        rebuilt(r"FOREIGN KEY\(contact_row\)", "CHECK (1), FOREIGN KEY(id)", "change_queue"),
        r"without FOREIGN KEY \(contact_row\) REFERENCES telecmi_contacts",
    ),
    "a lost STRICT": (rebuilt("STRICT", ""), "without STRICT"),
    "a lost AUTOINCREMENT": (rebuilt("AUTOINCREMENT", ""), "without AUTOINCREMENT"),
    "a lost table": (run("DROP TABLE absences"), "the table absences is missing: restore a backup"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_table_that_was_changed_is_named_with_what_to_do(mirror: Mirror, how: str) -> None:
    change, words = BROKEN[how]
    change(mirror)
    with mirror.db.read() as conn:
        found = integrity.guard_problems(conn)
        assert found == schema_diff.compare(conn).in_words()  # what `/healthz` says
    assert len(found) == 1 and re.search(words, found[0]), found
    with pytest.raises(SchemaError, match=words):  # the start of the daemon, `sync`, `db upgrade`
        migrations.upgrade(mirror.db)
    assert [one for one in integrity.integrity_problems(mirror.db) if re.search(words, one)]  # `db check`


@pytest.mark.parametrize(
    "change",
    [
        run("DROP INDEX telecmi_contacts_phone"),
        run(
            "DROP INDEX telecmi_contacts_phone",
            "CREATE INDEX telecmi_contacts_phone ON telecmi_contacts (company)",
        ),
        run("DROP INDEX held_open", "CREATE INDEX held_open ON held (job, account)"),
    ],
    ids=["missing", "of another column", "not unique"],
)
def test_an_index_is_put_back(mirror: Mirror, change: Callable[[Mirror], None]) -> None:
    change(mirror)
    with mirror.db.read() as conn:
        [finding] = integrity.guard_problems(conn)
    assert "indexes are missing or altered" in finding and "`syncer db upgrade` puts them back" in finding
    [done] = migrations.heal(mirror.db)
    assert done.startswith("put back: ")
    with mirror.db.read() as conn:
        assert schema_diff.compare(conn) == schema_diff.SchemaDifferences()


OWN = (
    "ALTER TABLE telecmi_contacts ADD COLUMN note TEXT",
    'ALTER TABLE telecmi_contacts ADD COLUMN "my score" INTEGER DEFAULT 0 CHECK ("my score" >= 0)',
    "CREATE INDEX mine ON telecmi_contacts (note)",
    "CREATE TABLE notes (contact INTEGER, text TEXT)",
    "CREATE VIEW shouting AS SELECT upper(first_name) AS name FROM telecmi_contacts",
    "CREATE TRIGGER noted AFTER UPDATE ON telecmi_contacts BEGIN INSERT INTO notes VALUES (NEW.id, NEW.company); END",
)


def test_what_people_add_is_fine_and_stays(mirror: Mirror) -> None:
    row = mirror.contact()
    for statement in OWN:
        mirror.sql(statement)
    with mirror.db.read() as conn:
        assert integrity.guard_problems(conn) == []
    assert integrity.integrity_problems(mirror.db) == []
    migrations.upgrade(mirror.db)
    assert migrations.upgrade(mirror.db) == []
    mirror.own("UPDATE telecmi_contacts SET company = 'Acme Example' WHERE id = ?", row)
    assert mirror.sql("SELECT * FROM notes") == [(row, "Acme Example")]
    for name in ("mine", "notes", "shouting", "noted"):
        assert mirror.one("SELECT count(*) FROM sqlite_master WHERE name = ?", name) == 1


@pytest.mark.parametrize("healed", [False, True], ids=["at once", "after a start"])
def test_a_column_of_a_persons_own_outlives_a_delete_and_a_bring_back(mirror: Mirror, healed: bool) -> None:
    rows = [mirror.contact(f"91920000000{n}", contact_id=f"c-{n}") for n in range(3)]
    mirror.sql('ALTER TABLE telecmi_contacts ADD COLUMN "my note" TEXT')
    mirror.sql('ALTER TABLE telecmi_contacts ADD COLUMN size INTEGER GENERATED ALWAYS AS (length("my note"))')
    if healed:
        migrations.heal(mirror.db)
        with mirror.db.read() as conn:
            assert integrity.guard_problems(conn) == []
    mirror.sql("UPDATE telecmi_contacts SET \"my note\" = 'kept ' || id")
    client = mirror.client()
    deleted = client.execute("DELETE FROM telecmi_contacts WHERE id <= ?", (rows[1],)).rowcount
    client.commit()
    client.close()
    assert deleted == (2 if healed else 0)
    assert mirror.queue() == [(row, "delete", "held") for row in rows[:2]]
    assert [entry[:2] for entry in mirror.log()] == [(row, "delete") for row in rows[:2]]
    assert mirror.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NOT NULL") == 2
    mirror.sql("UPDATE telecmi_contacts SET deleted_at = NULL")
    assert mirror.sql('SELECT "my note" FROM telecmi_contacts ORDER BY id') == [
        (f"kept {row}",) for row in rows
    ]
    assert mirror.guard() == 0


# -- a person's own triggers ---------------------------------------------------------------------------

#: What `sqlite-utils enable-fts --create-triggers` makes.
SEARCH = """
CREATE VIRTUAL TABLE found USING fts5 (first_name, company, content = 'telecmi_contacts', content_rowid = 'id');
CREATE TRIGGER found_ai AFTER INSERT ON telecmi_contacts BEGIN
  INSERT INTO found (rowid, first_name, company) VALUES (new.id, new.first_name, new.company);
END;
CREATE TRIGGER found_ad AFTER DELETE ON telecmi_contacts BEGIN
  INSERT INTO found (found, rowid, first_name, company) VALUES ('delete', old.id, old.first_name, old.company);
END;
CREATE TRIGGER found_au AFTER UPDATE ON telecmi_contacts BEGIN
  INSERT INTO found (found, rowid, first_name, company) VALUES ('delete', old.id, old.first_name, old.company);
  INSERT INTO found (rowid, first_name, company) VALUES (new.id, new.first_name, new.company);
END;
"""


def test_a_search_index_with_triggers_works(mirror: Mirror) -> None:
    with sqlite3.connect(mirror.path) as client:
        client.executescript(SEARCH)
    client.close()
    row = mirror.contact(company="Acme Example")
    mirror.own("UPDATE telecmi_contacts SET company = 'Sample Press' WHERE id = ?", row)
    with mirror.db.edit() as conn:
        conn.exec_driver_sql("UPDATE telecmi_contacts SET first_name = 'Mira' WHERE id = ?", (row,))
    assert mirror.sql("SELECT rowid FROM found WHERE found MATCH 'press AND mira'") == [(row,)]
    assert mirror.sql("SELECT rowid FROM found WHERE found MATCH 'acme'") == []
    assert integrity.integrity_problems(mirror.db) == []


FAILING = {
    "AFTER INSERT": "INSERT INTO gone VALUES (NEW.id)",
    "AFTER UPDATE": "UPDATE gone SET x = 1",
    "BEFORE DELETE": "DELETE FROM gone",
    "BEFORE INSERT": "SELECT RAISE(ABORT, 'Asha says no')",
}


@pytest.mark.parametrize("table", ["telecmi_contacts", "smartflo_contacts", "sync_runs"])
@pytest.mark.parametrize("when", FAILING)
def test_a_trigger_that_makes_our_writes_fail_is_named(mirror: Mirror, table: str, when: str) -> None:
    mirror.sql("CREATE TABLE gone (x)")
    mirror.sql(f"CREATE TRIGGER harmless AFTER INSERT ON {table} BEGIN SELECT 1; END")
    mirror.sql(f"CREATE TRIGGER mine {when} ON {table} BEGIN {FAILING[when]}; END")
    if "gone" in FAILING[when]:
        mirror.sql("DROP TABLE gone")
    before = mirror.everything()
    [finding] = integrity.own_trigger_problems(mirror.db)
    assert finding.startswith(
        f"the trigger mine on {table}, not one of syncer's, makes what syncer writes fail"
    )
    assert ("no such table: main.gone" in finding) == ("gone" in FAILING[when]) and "Asha" not in finding
    assert mirror.everything() == before and integrity.integrity_problems(mirror.db) == [finding]


def test_sqlite_s_own_reason_is_in_the_error(mirror: Mirror) -> None:
    mirror.sql("CREATE UNIQUE INDEX mine ON telecmi_contacts (company)")
    mirror.contact(company="Acme Example")
    with pytest.raises(
        StoreError, match=r"SQLITE_CONSTRAINT_UNIQUE: UNIQUE constraint failed: telecmi_contacts\.company"
    ):
        mirror.contact("919200000002", contact_id="c-2", company="Acme Example")
    with mirror.db.read() as conn:
        assert schema_diff.compare(conn).unique == ("mine on telecmi_contacts",)
