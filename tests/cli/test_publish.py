"""`syncer publish`, `verify --target`, and what `status`, `doctor` and the metrics say of a published copy."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Syncer
from tests.postgres import Server


@pytest.fixture
def published(syncer: Syncer, server: Server, request: pytest.FixtureRequest) -> Syncer:
    """A mirror with a published copy in a schema of its own."""
    schema = "".join(letter for letter in request.node.name.lower() if letter.isalnum())[:60]
    syncer.config.write_text(
        f'{syncer.config.read_text()}\n[publish.central]\nurl = "{server.url()}"\nschema = "{schema}"\n'
    )
    with server.connect() as conn:
        conn.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    return syncer


def test_publish_verify_and_status(published: Syncer, server: Server) -> None:
    syncer = published
    assert (
        "note     publish.central: takes the login; nothing of the site main was published yet"
        in syncer("doctor").out
    )
    assert (found := syncer("verify", "--target", "central")).code == 1
    assert "nothing was published to publish.central yet" in found.err
    assert "nothing was published yet (`syncer publish central`)" in syncer("status").out
    first = syncer("publish")
    assert (first.code, first.err) == (0, "") and "rows written, 0 removed" in first.out
    assert syncer("publish", "central").out == "publish.central: up to date\n"
    copy = syncer("status", "--json").json["publish"]["central"]
    assert copy["seq"] > 0 and (copy["lag_s"], copy["error"]) == (0, None)
    assert (
        "ok       publish.central: takes the login; the site main is published there" in syncer("doctor").out
    )
    same = syncer("verify", "--target", "central", "--json")
    assert same.code == 0 and same.json["same"]
    with server.connect() as conn:
        schema = syncer.config.read_text().rpartition('schema = "')[2].partition('"')[0]
        conn.execute(f"UPDATE {schema}.telecmi_contacts SET company = 'Wrong' WHERE id = 1")
        conn.execute(f"DELETE FROM {schema}.telecmi_contacts WHERE id = 2")
    differs = syncer("verify", "--target", "central")
    assert differs.code == 1
    assert "  telecmi_contacts: 1 row missing: 2\n  telecmi_contacts: 1 row different: 1\n" in differs.out
    assert "Wrong" not in differs.out
    assert syncer("publish", "--full").out == "publish.central: 2 rows written, 0 removed\n"
    assert syncer("verify", "--target", "publish.central").code == 0


def test_what_cannot_be_done_is_said(published: Syncer, syncer: Syncer) -> None:
    unknown = syncer("publish", "elsewhere")
    assert (unknown.code, unknown.err) == (
        1,
        "syncer: there is no published copy 'elsewhere'; the config has central\n",
    )
    assert syncer("verify", "telecmi-contacts", "--target", "central").code == 2
    text = syncer.config.read_text().replace("postgresql+psycopg://syncer@", "postgresql+psycopg://nobody@")
    syncer.config.write_text(text)
    refused = syncer("publish")
    assert refused.code == 77 and "the login was refused" in refused.err and "Traceback" not in refused.err
    assert syncer("doctor").code == 77
    assert syncer("verify", "--target", "central").code == 77
    syncer.config.write_text(text.partition("[publish.central]")[0])
    none = syncer("publish")
    assert none.code == 1 and "the config has no published copy" in none.err
