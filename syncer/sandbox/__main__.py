"""`python -m syncer.sandbox`: serves a seeded world and prints its base URL when it is ready."""

from __future__ import annotations

import argparse
import sys

from syncer.sandbox.server import serve
from syncer.sandbox.world import World


def main() -> int:
    """Fill a world as the arguments say, and serve it until a signal."""
    parser = argparse.ArgumentParser(
        prog="python -m syncer.sandbox", description="A stand-in for TeleCMI and Smartflo on 127.0.0.1."
    )
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes any free one")
    parser.add_argument("--contacts", type=int, default=250, help="contacts of the directory")
    parser.add_argument("--voicemails", type=int, default=60)
    parser.add_argument("--smartflo", type=int, default=60, help="contacts of Smartflo")
    parser.add_argument("--user-contacts", type=int, default=40, help="contacts of the user's list")
    parser.add_argument("--calls", type=int, default=0, help="call records of TeleCMI")
    parser.add_argument("--smartflo-calls", type=int, default=0, help="call records of Smartflo")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    world = World()
    sizes = (args.contacts, args.voicemails, args.smartflo, args.user_contacts)
    world.seed(*sizes, args.seed, args.calls, args.smartflo_calls)
    try:
        serve(args.port, world, on_ready=_announce)
    except OSError as problem:
        sys.stderr.write(f"port {args.port} cannot be used: {problem.strerror}\n")
        return 1
    return 0


def _announce(port: int) -> None:
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
