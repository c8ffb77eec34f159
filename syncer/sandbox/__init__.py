"""A stand-in for TeleCMI and Smartflo on loopback: their documented APIs, with settings and faults.

It imports nothing else of this program, so it cannot share its errors.
"""

from syncer.sandbox.app import create_app
from syncer.sandbox.faults import Dropped, Fault
from syncer.sandbox.server import running, serve
from syncer.sandbox.world import World

__all__ = ["Dropped", "Fault", "World", "create_app", "running", "serve"]
