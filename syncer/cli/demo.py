"""`syncer demo`: the whole job against a sandbox of its own, narrated, in a folder that stays.

It uses the program as a person would: a config file, `sync`, plain SQL from another client, `queue`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncer.cli.common import App, example, new_file, pass_app, say
from syncer.cli.sandbox import CONFIG
from syncer.cli.tables import show_table
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.sync.run import Run

#: How long the sandbox may take to start, in seconds.
PATIENCE = 30.0

#: Talks to loopback, whatever proxy the environment names.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@click.command(epilog=example("syncer demo"))
@pass_app
def demo(app: App) -> None:
    """Show the whole job against a stand-in for both vendors.

    Takes less than a minute, needs no network and no config. The mirror stays for you to look at.
    """
    from syncer.config import load_settings
    from syncer.logs import set_up_logs

    set_up_logs(app.log_level or "error", app.environ)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the sandbox is stopped
    folder = Path(tempfile.mkdtemp(prefix="syncer-demo-"))
    with _sandbox() as url:
        config = folder / "syncer.toml"
        with os.fdopen(new_file(config), "w", encoding="utf-8") as file:
            file.write(CONFIG.format(url=url).replace("sandbox.db", "mirror.db"))
        say(f"A stand-in for TeleCMI and Smartflo is listening on {url}; its people are invented.")
        # Without the environment: credentials in it belong to real accounts.
        _Demo(app, url, load_settings(config, {})).tell()
    _farewell(config)


@contextlib.contextmanager
def _sandbox() -> Iterator[str]:
    """A sandbox in a process of its own, for as long as the block runs; its base URL."""
    command = [sys.executable, "-m", "syncer.sandbox", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        url = process.stdout.readline().strip() if ready else ""
        if not url:
            raise UsageError("the sandbox did not start: try `syncer sandbox` by itself to see why")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@dataclass(slots=True)
class _Demo:
    """The story, told step by step."""

    app: App
    url: str
    settings: Settings
    step: int = 0

    @property
    def path(self) -> Path:
        """The mirror."""
        return self.settings.database.path

    def tell(self) -> None:
        """All of it."""
        self.fill()
        self.again()
        self.look()
        row = self.edit()
        self.conflict(row)
        self.delete()
        self.callers()

    # -- the steps -------------------------------------------------------------------------------------

    def fill(self) -> None:
        """The first sync."""
        self.title("The first sync: everything both vendors have comes into one SQLite file")
        self.command("sync")
        from syncer.cli.sync import durations, show_runs

        runs = self.sync()
        show_runs(runs, durations(self.settings, runs))

    def again(self) -> None:
        """A second one, which has nothing to do."""
        self.title("A second sync finds nothing new, and writes nothing")
        before = self.sql("SELECT max(seq) FROM change_log")
        runs = self.sync()
        written = sum(run.added + run.changed + run.removed for run in runs)
        entries = self.sql("SELECT max(seq) FROM change_log")[0][0] - before[0][0]
        seen, requests = sum(run.seen for run in runs), sum(run.requests for run in runs)
        say(
            f"It made {requests} requests, compared {seen} rows, wrote {written}; new entries in change_log: {entries}."
        )
        self.expect(written == 0 and entries == 0, "a second sync wrote something")

    def look(self) -> None:
        """What is there."""
        self.title("Contacts of both vendors stand side by side in the view contacts")
        query = (
            "SELECT provider, name, phone_e164, company FROM contacts WHERE name LIKE 'A%' "
            "AND company <> '' ORDER BY name, provider LIMIT 10"
        )
        self.show_query(query, ("provider", "name", "phone", "company"))

    def edit(self) -> int:
        """An edit by any SQLite client goes upstream."""
        self.title("Any SQLite client may edit telecmi_contacts; the edit goes upstream by itself")
        row = int(self.pick(0)[0])
        after = self.newest_request()
        self.by_hand("UPDATE telecmi_contacts SET company = 'Acme Example' WHERE id = ?", row)
        state = self.sql("SELECT id, operation, state FROM change_queue WHERE contact_row = ?", row)[0]
        say(f"A trigger caught it: change {state[0]}, {state[1]}, {state[2]}. Now the push:")
        self.command("sync telecmi-push")
        self.sync("telecmi-push")
        sent = [one for one in self.requests(after) if one["path"] == "/v3/contact/update"]
        self.expect(len(sent) == 1, "the push did not send one update")
        say("What went over the wire, as the sandbox's journal has it (tokens left out):")
        say(f"  POST {sent[0]['path']} {json.dumps(sent[0]['body'], ensure_ascii=False)}")
        company = self.upstream(row).get("company")
        say(f"And upstream now says: company = {company!r}.")
        self.expect(company == "Acme Example", "the edit did not arrive")
        return row

    def conflict(self, row: int) -> None:
        """Both sides change one field."""
        self.title("Both sides change the same field: nobody's value is lost, you decide")
        contact_id = self.sql("SELECT contact_id FROM telecmi_contacts WHERE id = ?", row)[0][0]
        self.by_hand("UPDATE telecmi_contacts SET job_title = 'Head of Sales' WHERE id = ?", row)
        say("  meanwhile, in TeleCMI: job_title = 'Chief Buyer'")
        self.control({"op": "contact.update", "contact_id": contact_id, "job_title": "Chief Buyer"})
        self.sync("telecmi-contacts", "telecmi-push")
        number = self.waiting(row, "conflict")
        self.command(f"queue show {number}")
        clash = self.clashes(number)
        show_table(("field", "agreed on before", "here", "upstream"), clash)
        self.command(f"queue resolve {number} --keep local")
        from syncer.store.write import decisions

        self.decide(lambda conn, at: decisions.resolve(conn, number, "local", at, "IN"))
        self.sync("telecmi-push")
        title = self.upstream(row).get("job_title")
        say(f"And upstream now says: job_title = {title!r}.")
        self.expect(title == "Head of Sales", "the resolved value did not arrive")

    def delete(self) -> None:
        """A delete waits for a person."""
        self.title("A delete is held until you let it go (unless push.deletes is on)")
        row = int(self.pick(1)[0])
        known = self.upstream(row).get("contact_id")
        self.by_hand("DELETE FROM telecmi_contacts WHERE id = ?", row)
        self.sync("telecmi-contacts", "telecmi-push")
        number = self.waiting(row, "held")
        there = any(one["contact_id"] == known for one in self.directory())
        self.expect(there, "a delete went upstream unasked")
        say(f"After a sync it is a tombstone here, change {number} is held, and upstream has it still.")
        self.command(f"queue approve {number}")
        from syncer.store.write import decisions

        self.decide(lambda conn, at: decisions.approve(conn, number, at))
        self.sync("telecmi-push")
        gone = not any(one["contact_id"] == known for one in self.directory())
        self.expect(gone, "the delete did not arrive")
        say("After the next push it is gone upstream.")

    def callers(self) -> None:
        """Voicemails, with and without names."""
        self.title("Voicemails bear the caller's name, whichever vendor knows it")
        query = (
            "SELECT substr(received_at, 1, 16) || 'Z', phone_e164, caller_name, caller_company "
            "FROM voicemails WHERE caller_name IS NOT NULL ORDER BY received_at DESC LIMIT 5"
        )
        self.show_query(query, ("received", "from", "caller", "company"))
        say("Those whom nobody knows, most voicemails first:")
        query = (
            "SELECT COALESCE(phone_e164, from_number), count(*) FROM voicemails WHERE caller_name IS NULL "
            "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5"
        )
        self.show_query(query, ("from", "voicemails"))

    # -- tools -----------------------------------------------------------------------------------------

    def title(self, text: str) -> None:
        """Begin a step."""
        self.step += 1
        say()
        say(f"{self.step}. {text}")

    def command(self, text: str) -> None:
        """Say which command does this."""
        say(f"  $ syncer {text}")

    def expect(self, holds: bool, otherwise: str) -> None:
        """The story has to be true."""
        if not holds:
            raise UsageError(f"the demo did not go as it should: {otherwise}; the mirror is {self.path}")

    def sync(self, *names: str) -> list[Run]:
        """One pass, as `syncer sync` makes it."""
        from syncer.sync import jobs

        chosen = jobs.select(jobs.specs(self.settings), names, None)
        runs = asyncio.run(jobs.sync(self.settings, chosen, who="syncer demo"))
        for run in runs:
            self.expect(run.outcome == "ok", f"{run.job} is {run.outcome}: {run.problem}")
        return runs

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """A statement by a client that knows nothing of syncer."""
        from syncer.store.write.edits import as_any_client

        return as_any_client(self.path, statement, *values)

    def by_hand(self, statement: str, row: int) -> None:
        """An edit by such a client, shown."""
        say(f"  sqlite> {statement.replace('?', str(row))};")
        self.sql(statement, row)

    def show_query(self, query: str, headers: Sequence[str]) -> None:
        """A query and its rows."""
        for n, line in enumerate(textwrap.wrap(f"{query};", 96)):
            say(f"     ...> {line}" if n else f"  sqlite> {line}")
        show_table(headers, self.sql(query))

    def pick(self, nth: int) -> tuple[Any, ...]:
        """A contact that the directory knows, with a company and a job title."""
        found = self.sql(
            "SELECT id, contact_id FROM telecmi_contacts WHERE contact_id IS NOT NULL AND company <> '' "
            "AND job_title <> '' AND deleted_at IS NULL ORDER BY id LIMIT 1 OFFSET ?",
            nth,
        )
        self.expect(bool(found), "the sandbox has no fitting contact")
        return found[0]

    def waiting(self, row: int, state: str) -> int:
        """The number of the row's change in that state."""
        found = self.sql("SELECT id FROM change_queue WHERE contact_row = ? AND state = ?", row, state)
        self.expect(len(found) == 1, f"there is no change in state {state}")
        return int(found[0][0])

    def clashes(self, number: int) -> list[tuple[str, str, str, str]]:
        """The three sides of a conflict."""
        from syncer.store.db.connection import Database
        from syncer.store.read import status_queries

        with Database(self.path, create=False) as db, db.read() as conn:
            change = status_queries.load_change(conn, number)
        assert change is not None
        return [(n, s["base"], s["local"], s["remote"]) for n, s in status_queries.clashes_of(change).items()]

    def decide(self, decision: Any) -> None:
        """What a person says to a change."""
        from syncer.store.db.connection import Database

        with Database(self.path, create=False) as db, db.write() as conn:
            sentence = decision(conn, self.app.stamp())
        say(f"  {sentence[:1].upper()}{sentence[1:]}.")

    def ask(self, path: str, body: object = None) -> Any:
        """The sandbox's control path."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", data=data)  # noqa: S310 - our own loopback
        with _OPENER.open(request, timeout=10) as answer:
            return json.load(answer)

    def control(self, operation: dict[str, Any]) -> None:
        """Do something upstream by hand."""
        self.ask("edit", operation)

    def requests(self, after: int) -> list[dict[str, Any]]:
        """The sandbox's journal from behind an entry."""
        found: list[dict[str, Any]] = self.ask(f"requests?after={after}")
        return found

    def newest_request(self) -> int:
        """The number of the journal's last entry."""
        return max((one["n"] for one in self.requests(0)), default=0)

    def directory(self) -> list[dict[str, Any]]:
        """What upstream's directory holds."""
        found: list[dict[str, Any]] = self.ask("state")["telecmi"]["1111113"]["contacts"]
        return found

    def upstream(self, row: int) -> dict[str, Any]:
        """What upstream says about a contact of the mirror; {} when it lacks it."""
        contact_id = self.sql("SELECT contact_id FROM telecmi_contacts WHERE id = ?", row)[0][0]
        return next((one for one in self.directory() if one["contact_id"] == contact_id), {})


def _farewell(config: Path) -> None:
    mirror = config.with_name("mirror.db")
    syncer = _itself()
    say()
    say("That was all; the stand-in is stopped, the mirror stays:")
    say(f"  {mirror}")
    say("Queries to try, with the sqlite3 shell:")
    for query in (
        "SELECT * FROM contacts WHERE name LIKE '%rao%'",
        "SELECT received_at, phone_e164, caller_name FROM voicemails ORDER BY received_at DESC LIMIT 10",
        "SELECT seq, at, table_name, row_id, kind, field, old, new, origin FROM change_log ORDER BY seq DESC LIMIT 10",
        "SELECT id, operation, state, fields FROM change_queue",
        "SELECT * FROM sync_health",
    ):
        say(f'  sqlite3 {mirror} "{query}"')
    say("And commands:")
    say(f"  {syncer} --config {config} status")
    say(f"  {syncer} --config {config} contacts list --search rao")
    say(f"Throw it away with: rm -r {config.parent}")


def _itself() -> str:
    """How this program can be called again: it need not be on the PATH."""
    if shutil.which("syncer"):
        return "syncer"
    if Path(sys.argv[0]).name == "syncer":
        return sys.argv[0]
    return f"{sys.executable} -m syncer"
