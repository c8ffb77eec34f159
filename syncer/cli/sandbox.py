"""`syncer sandbox`: serves a sandbox of both vendors, and prints a config for it."""

from __future__ import annotations

import errno

import click

from syncer.cli.options import Integer, example
from syncer.cli.output import say
from syncer.errors import UsageError

#: A config for a sandbox at that address. The credentials are valid only there.
CONFIG = """\
[database]
url = "sqlite:///sandbox.db"

[telecmi.main]
base_url = "{url}"
app_id = 1111113
secret = "sandbox-secret"
user_id = "101_1111113"
password = "sandbox-password"
requests_per_second = 200.0
calls = {{ enabled = true }}
audio = {{ enabled = true }}

[smartflo.main]
base_url = "{url}"
token = "sandbox-token"
requests_per_second = 200.0
calls = {{ enabled = true }}
"""

counted = Integer(min=0)


@click.command(
    epilog=example("syncer sandbox --port 9999 > sandbox.toml", "syncer --config sandbox.toml sync")
)
@click.option("--port", type=Integer(0, 65535), default=0, help="0 (the default) takes any free port.")
@click.option("--contacts", type=counted, default=250, show_default=True, help="In TeleCMI's directory.")
@click.option("--voicemails", type=counted, default=60, show_default=True)
@click.option("--smartflo", type=counted, default=60, show_default=True, help="Contacts of Smartflo.")
@click.option("--user-contacts", type=counted, default=40, show_default=True, help="In the user's own list.")
@click.option(
    "--calls", type=counted, default=0, show_default=True, help="Calls of each vendor, over 20 days."
)
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed invents other people.")
def sandbox(
    port: int, contacts: int, voicemails: int, smartflo: int, user_contacts: int, calls: int, seed: int
) -> None:
    """Run a sandbox of TeleCMI and Smartflo on 127.0.0.1, until ctrl-c.

    It prints a config to stdout, and its address to stderr. All people in it are invented. The path /_sandbox/ shows
    its state and requests, and controls its faults: see docs/sandbox.md.
    """
    from syncer.sandbox import World, serve

    world = World()
    world.seed(contacts, voicemails, smartflo, user_contacts, seed)
    world.calls_seed(telecmi=calls, smartflo=calls)
    try:
        serve(port, world, on_ready=_announce)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise  # of the output
        raise UsageError(f"port {port} cannot be used: {error.strerror}; try another, or 0 for any") from None


def _announce(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    click.echo(CONFIG.format(url=url), nl=False)
    say(f"The sandbox listens on {url} (its state: {url}/_sandbox/state). Stop it with ctrl-c.", err=True)
