"""`syncer demo`: shows the whole program against a sandbox, step by step, in a folder that stays.

It does what a person would do: it writes a config file, runs commands, and edits rows with plain SQL.
"""

from __future__ import annotations

import contextlib
import io
import json
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from syncer.cli.app import App, new_file, pass_app
from syncer.cli.options import example
from syncer.cli.output import say, show_table
from syncer.cli.sandbox import CONFIG
from syncer.errors import UsageError

#: How long the sandbox may take to start, in seconds.
PATIENCE = 30.0

#: Talks to loopback, whatever proxy the environment names.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@click.command(epilog=example("syncer demo"))
@pass_app
def demo(app: App) -> None:
    """Show the whole program against a sandbox of both vendors.

    Takes less than a minute and needs no network and no config. The mirror stays for you to explore.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the sandbox is stopped
    folder = Path(tempfile.mkdtemp(prefix="syncer-demo-"))
    with _sandbox() as url:
        config = folder / "syncer.toml"
        # Notifications go to a program that appends them to a file.
        receive = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
        command = [sys.executable, "-c", receive, str(folder / "notifications.jsonl")]
        text = CONFIG.format(url=url).replace("sandbox.db", "mirror.db")
        text += f'\n[notify.desk]\non = ["missed-call"]\ncommand = {json.dumps(command)}\n'
        with new_file(config) as file:
            file.write(text.encode())
        say(f"A sandbox of TeleCMI and Smartflo is listening on {url}. Its people are invented.")
        _Demo(app.log_level, url, config).run()
    _farewell(config)


@contextlib.contextmanager
def _sandbox() -> Iterator[str]:
    """Run a sandbox in its own process. Yields its base URL."""
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
    """The demo, step by step. Each step checks that what it shows is true."""

    log_level: str | None
    url: str
    config: Path
    step: int = 0

    @property
    def path(self) -> Path:
        """The mirror."""
        return self.config.with_name("mirror.db")

    def run(self) -> None:
        """All steps."""
        self.title("The first sync: everything both vendors have comes into one SQLite file")
        self.command("sync")
        self.title("A second sync finds nothing new, and writes nothing")
        self.again()
        self.title("The view contacts shows the contacts of both vendors")
        query = (
            "SELECT provider, name, phone_e164, company FROM contacts WHERE name LIKE 'A%' "
            "AND company <> '' ORDER BY name, provider LIMIT 6"
        )
        self.show_query(query, ("provider", "name", "phone", "company"))
        self.title("Any SQLite client can edit telecmi_contacts; the edit goes upstream automatically")
        row = self.edit()
        self.title("Both sides change the same field: both values are kept, and you decide")
        self.conflict(row)
        self.title("A delete is held until you approve it (unless push.deletes is on)")
        self.delete()
        self.title("Voicemails show the caller's name, whichever vendor knows it")
        self.callers()
        self.title("Recordings are kept as files, so that they stay when the vendor clears them away")
        self.recordings()
        self.title("A missed call waits until somebody calls back, through either vendor")
        self.callbacks()
        self.title("Notifications report voicemails, missed calls, and what waits for you")
        self.notifications()

    def again(self) -> None:
        """A second sync has nothing to do."""
        runs, entries = self.sql("SELECT max(id), (SELECT max(seq) FROM change_log) FROM sync_runs")[0]
        self.command("sync", show=False)
        totals = "SELECT sum(requests), sum(seen), sum(added + changed + removed) FROM sync_runs WHERE id > ?"
        requests, seen, written = self.sql(totals, runs)[0]
        new = self.sql("SELECT max(seq) FROM change_log")[0][0] - entries
        say(f"{requests} requests, {seen} rows compared, {written} written; {new} new entries in change_log.")
        self.expect(written == 0 and new == 0, "a second sync wrote something")

    def edit(self) -> int:
        """An edit by any SQLite client goes upstream."""
        row = self.pick(0)
        after = max((one["n"] for one in self.ask("requests?after=0")), default=0)
        self.by_hand("UPDATE telecmi_contacts SET company = 'Acme Example' WHERE id = ?", row)
        self.command("queue list")
        self.command("sync telecmi-push", show=False)
        sent = [one for one in self.ask(f"requests?after={after}") if one["path"] == "/v3/contact/update"]
        self.expect(len(sent) == 1, "the push did not send one update")
        say("The sandbox received (tokens left out):")
        say(f"  POST {sent[0]['path']} {json.dumps(sent[0]['body'], ensure_ascii=False)}")
        self.expect_upstream(row, "company", "Acme Example")
        return row

    def conflict(self, row: int) -> None:
        """Both sides change the same field."""
        contact_id = self.sql("SELECT contact_id FROM telecmi_contacts WHERE id = ?", row)[0][0]
        self.by_hand("UPDATE telecmi_contacts SET job_title = 'Head of Sales' WHERE id = ?", row)
        say("  meanwhile, in TeleCMI: job_title = 'Chief Buyer'")
        self.ask("edit", {"op": "contact.update", "contact_id": contact_id, "job_title": "Chief Buyer"})
        self.command("sync telecmi-contacts telecmi-push", show=False)
        number = self.waiting(row, "conflict")
        self.command(f"queue show {number}")
        self.command(f"queue resolve {number} --keep local")
        self.command("sync telecmi-push", show=False)
        self.expect_upstream(row, "job_title", "Head of Sales")

    def delete(self) -> None:
        """A delete waits for a person."""
        row = self.pick(1)
        self.by_hand("DELETE FROM telecmi_contacts WHERE id = ?", row)
        self.command("sync telecmi-contacts telecmi-push", show=False)
        number = self.waiting(row, "held")
        self.expect(bool(self.upstream(row)), "a delete went upstream without approval")
        say(f"The row is a tombstone, change {number} is held, and upstream still has the contact.")
        self.command(f"queue approve {number}")
        self.command("sync telecmi-push", show=False)
        self.expect(not self.upstream(row), "the delete did not arrive")
        say("After the next push it is gone upstream.")

    def callers(self) -> None:
        """Voicemails, with and without names."""
        query = (
            "SELECT substr(received_at, 1, 16) || 'Z', phone_e164, caller_name, caller_company "
            "FROM voicemails WHERE caller_name IS NOT NULL ORDER BY received_at DESC LIMIT 5"
        )
        self.show_query(query, ("received", "from", "caller", "company"))
        say("Unknown callers, by number of voicemails:")
        query = (
            "SELECT COALESCE(phone_e164, from_number), count(*) FROM voicemails WHERE caller_name IS NULL "
            "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5"
        )
        self.show_query(query, ("from", "voicemails"))

    def recordings(self) -> None:
        """A recording is a file, and is fetched again if it was lost."""
        query = "SELECT voicemail, state, bytes, path FROM voicemail_audio LIMIT 1"
        self.show_query(query, ("voicemail", "state", "bytes", "path"))
        path = self.config.with_name("audio") / self.sql(query)[0][3]
        self.expect(path.is_file(), "a recording that is kept has no file")
        path.unlink()
        self.command("sync telecmi-audio", show=False)
        self.expect(path.is_file(), "a recording that was lost was not fetched again")
        say(
            "Its file was deleted by hand, and the next run fetched it again. `syncer voicemails play N` plays one."
        )

    def callbacks(self) -> None:
        """A missed call waits until somebody calls back."""
        phone = self.sql("SELECT phone_e164 FROM contacts WHERE provider = 'telecmi' ORDER BY name LIMIT 1")[
            0
        ][0]
        query = (
            "SELECT phone_e164, caller_name, missed, substr(first_at, 1, 16) || 'Z', state, closed_by FROM callbacks "
            "ORDER BY COALESCE(first_at, closed_at) DESC LIMIT 1"
        )
        headers = ("number", "caller", "missed", "since", "state", "closed by")
        missed = int((datetime.now(UTC) - timedelta(minutes=10)).timestamp() * 1000)
        say(f"  meanwhile, {phone} calls through TeleCMI, and nobody answers")
        self.ask("edit", {"op": "call.insert", "kind": "missed", "phone": phone, "time": missed})
        self.command("sync telecmi-calls", show=False)
        self.show_query(query, headers)
        self.expect(self.sql(query)[0][4] == "open", "a missed call does not wait for a call back")
        say("  meanwhile, somebody calls back through Smartflo")
        call = {"op": "smartflo_call.insert", "phone": phone, "direction": "outbound", "status": "answered"}
        self.ask("edit", call)
        self.command("sync smartflo-calls", show=False)
        self.show_query(query, headers)
        self.expect(self.sql(query)[0][4] == "done", "a call back did not close it")
        say("`syncer callbacks list` shows who waits; `syncer callbacks done PHONE` closes one by hand.")

    def notifications(self) -> None:
        """A target receives the missed call of the step before."""
        self.command("sync notify", show=False)
        told = [
            json.loads(line) for line in self.config.with_name("notifications.jsonl").read_text().splitlines()
        ]
        self.expect(any(one["type"] == "missed-call" for one in told), "the missed call was not reported")
        say(f"The target [notify.desk] of this demo is a program that got: {json.dumps(told[-1])}")
        say("It can also be a signed webhook, or any service that Apprise knows. The daemon sends at once.")

    # -- tools -----------------------------------------------------------------------------------------

    def title(self, text: str) -> None:
        """Begin a step."""
        self.step += 1
        say()
        say(f"{self.step}. {text}")

    def command(self, text: str, *, show: bool = True) -> None:
        """Run a command, with its output if `show`."""
        from syncer.cli.main import cli

        say(f"  $ syncer {text}")
        # Without the environment: credentials in it belong to real accounts.
        app = App(log_level=self.log_level, environ={})
        args = ["--config", str(self.config), *shlex.split(text)]
        args[:0] = ["--log-level", self.log_level] if self.log_level else []
        out = contextlib.nullcontext() if show else contextlib.redirect_stdout(io.StringIO())
        with out:
            code = cli.main(args, prog_name="syncer", standalone_mode=False, obj=app)
        self.expect(not code, f"`syncer {text}` ended with exit code {code}")

    def expect(self, holds: bool, otherwise: str) -> None:
        """Stop with an error unless what is shown is true."""
        if not holds:
            raise UsageError(f"the demo failed: {otherwise}; the mirror is {self.path}")

    def expect_upstream(self, row: int, name: str, value: str) -> None:
        """Show what upstream has in a field, and check it."""
        there = self.upstream(row).get(name)
        say(f"Upstream now has {name} = {there!r}.")
        self.expect(there == value, f"the {name} did not arrive")

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement as any SQLite client would."""
        from syncer.store.write.edits import as_any_client

        return as_any_client(self.path, statement, *values)

    def by_hand(self, statement: str, row: int) -> None:
        """Show an edit, and make it as any SQLite client would."""
        say(f"  sqlite> {statement.replace('?', str(row))};")
        self.sql(statement, row)

    def show_query(self, query: str, headers: Sequence[str]) -> None:
        """Show a query and its rows."""
        for n, line in enumerate(textwrap.wrap(f"{query};", 96)):
            say(f"     ...> {line}" if n else f"  sqlite> {line}")
        show_table(headers, self.sql(query))

    def pick(self, nth: int) -> int:
        """The row id of a contact that the directory has, with a company and a job title."""
        found = self.sql(
            "SELECT id FROM telecmi_contacts WHERE contact_id IS NOT NULL AND company <> '' "
            "AND job_title <> '' AND deleted_at IS NULL ORDER BY id LIMIT 1 OFFSET ?",
            nth,
        )
        self.expect(bool(found), "the sandbox has no such contact")
        return int(found[0][0])

    def waiting(self, row: int, state: str) -> int:
        """The number of the row's change in that state."""
        found = self.sql("SELECT id FROM change_queue WHERE contact_row = ? AND state = ?", row, state)
        self.expect(len(found) == 1, f"there is no change in state {state}")
        return int(found[0][0])

    def ask(self, path: str, body: object = None) -> Any:
        """Call the sandbox's control path."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", data=data)  # noqa: S310 - our own loopback
        with _OPENER.open(request, timeout=10) as answer:
            return json.load(answer)

    def upstream(self, row: int) -> dict[str, Any]:
        """A contact of the mirror as upstream has it, or {}."""
        contact_id = self.sql("SELECT contact_id FROM telecmi_contacts WHERE id = ?", row)[0][0]
        directory = self.ask("state")["telecmi"]["1111113"]["contacts"]
        return next((one for one in directory if one["contact_id"] == contact_id), {})


def _farewell(config: Path) -> None:
    mirror = config.with_name("mirror.db")
    syncer = _itself()
    say()
    say("That was all. The sandbox is stopped, and the mirror stays:")
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
    say(f"Remove it with: rm -r {config.parent}")


def _itself() -> str:
    """How to call this program again, also if it is not on the PATH."""
    if shutil.which("syncer"):
        return "syncer"
    if Path(sys.argv[0]).name == "syncer":
        return sys.argv[0]
    return f"{sys.executable} -m syncer"
