"""The same edits through the real `sqlite3` program, as strict as it can be made."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from syncer.store.db.tables import metadata
from tests.store.conftest import Mirror

Shell = Callable[..., str]

STRICT = "PRAGMA trusted_schema = OFF;\nPRAGMA cell_size_check = ON;\n"


@pytest.mark.parametrize("options", [(), ("-safe",)])
@pytest.mark.parametrize(
    "first", ["", STRICT, "PRAGMA recursive_triggers = ON;\nPRAGMA foreign_keys = ON;\n"]
)
def test_a_day_of_edits(mirror: Mirror, shell: Shell, options: tuple[str, ...], first: str) -> None:
    row_id = mirror.contact()
    out = shell(
        first
        + """
        UPDATE telecmi_contacts SET company = 'Example Traders', phone_no = 9200000009 WHERE contact_id = 'c-1';
        INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES (9200000005, 'Asha', 'Devi');
        DELETE FROM telecmi_contacts WHERE contact_id = 'c-1';
        SELECT changes(), count(*) FROM telecmi_contacts WHERE deleted_at IS NULL;
        UPDATE telecmi_contacts SET deleted_at = NULL WHERE contact_id = 'c-1';
        SELECT name FROM contacts ORDER BY 1;
        SELECT count(*) FROM voicemails;
        SELECT count(*) FROM sync_health;
        SELECT active FROM sync_guard;
        """,
        *options,
    )
    assert out.split("\n") == ["1|1", "Asha Devi", "Asha Rao", "0", "0", "0", ""]
    assert mirror.queue() == [
        (row_id, "update", "discarded"),
        (2, "add", "queued"),
        (row_id, "delete", "discarded"),
        (row_id, "update", "queued"),
    ]


@pytest.mark.parametrize("options", [(), ("-safe",)])
def test_refusals_read_well(mirror: Mirror, shell: Shell, options: tuple[str, ...]) -> None:
    mirror.contact()
    for statement in (
        "UPDATE telecmi_contacts SET contact_id = 'x';",
        "REPLACE INTO telecmi_contacts (contact_id) VALUES ('c-1');",
        "DELETE FROM sync_guard;",
        "INSERT INTO telecmi_voicemails (account, voicename) VALUES ('main', 'x');",
    ):
        assert "read-only" in shell(statement, *options, fails=True)
    assert mirror.queue() == []


def test_an_import_of_a_sheet(mirror: Mirror, shell: Shell, tmp_path: object) -> None:
    shell(
        """
        CREATE TEMP TABLE sheet (a, b, c);
        INSERT INTO sheet VALUES (9200000005, 'Asha', 'Devi'), ('+91 92000 00006', NULL, 'Rao');
        INSERT INTO telecmi_contacts (phone_no, first_name, last_name) SELECT a, b, c FROM sheet;
        """
    )
    assert mirror.queue() == [(1, "add", "queued"), (2, "add", "queued")]


def test_a_dump_restores_into_a_file_that_checks_out(mirror: Mirror, shell: Shell) -> None:
    mirror.contact()
    assert "CREATE TRIGGER telecmi_contacts_after_update" in shell(".dump")
    assert shell("PRAGMA integrity_check;").strip() == "ok"
    assert set(shell(".tables").split()) >= set(metadata.tables)
