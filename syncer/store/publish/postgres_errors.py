"""Maps errors of SQLAlchemy and PostgreSQL to our own. No message quotes a value of a row."""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from syncer.errors import (
    AuthError,
    PermissionDeniedError,
    RejectedError,
    RemoteError,
    SyncerError,
    TransientError,
)

#: Messages of a refused login. libpq does not pass on their SQLSTATE.
_LOGIN: Final = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|authentication failed"
    r'|role "[^"]*" (?:does not exist|is not permitted to log in)|SCRAM|certificate (?:authentication|verify) failed for user',
    re.IGNORECASE,
)
_NO_DATABASE: Final = re.compile(r'database "([^"]*)" does not exist')
#: Message of libpq when a connection fails -> our reason.
_REASONS: Final = (
    (re.compile(r"invalid (?:connection option|URI|\w+ value)|bad value for|missing \"=\"", re.IGNORECASE), "its url has a setting that libpq does not take"),
    (re.compile(r"could not translate host name|name or service not known|resolve", re.IGNORECASE), "its host name is not known"),
    (re.compile(r"connection refused", re.IGNORECASE), "the connection was refused: no server listens there"),
    (re.compile(r"no such file or directory", re.IGNORECASE), "there is no such socket: no server listens there"),
    (re.compile(r"timeout expired|timed out|timeout", re.IGNORECASE), "it did not answer in time"),
    (re.compile(r"too many (?:clients|connections)|connection slots", re.IGNORECASE), "it has no free connection"),
    (re.compile(r"starting up|shutting down|recovery", re.IGNORECASE), "the server is starting or stopping"),
    (re.compile(r"server does not support SSL|SSL|certificate", re.IGNORECASE), "TLS failed: see sslmode and sslrootcert in its url"),
)  # fmt: skip

#: SQLSTATE or its class -> our reason.
_STATES: Final = {
    "57014": "a statement took too long",
    "55P03": "somebody holds a lock on its tables",
    "40": "the server ended a transaction (deadlock or serialization)",
    "53": "the server is out of room, memory or connections",
    "57": "the server was stopped",
    "08": "the connection was lost",
    "25": "the server takes no writes: it is a replica, or the transaction is read-only",
}

#: SQLSTATEs that our own tables cannot cause: no such table or column, another type, a constraint.
_CHANGED: Final = ("42P01", "42703", "42804", "42809", "23")


def of(error: BaseException, label: str, call: str) -> SyncerError | None:
    """Our error for an exception, or None if it has nothing to do with PostgreSQL."""
    if isinstance(error, SyncerError):
        return error
    if isinstance(error, DBAPIError):
        return _of_driver(error, label, call)
    if isinstance(error, SQLAlchemyError):
        return TransientError(label, call, f"it could not be used ({type(error).__name__})")
    if isinstance(error, ImportError):
        return RejectedError(
            label, call, "psycopg cannot be loaded: pip install 'syncer[postgres]'", code=501
        )
    if isinstance(error, UnicodeError) and call == "connect":  # from Python's own resolver
        return RejectedError(label, call, "its url has a host name that cannot exist", code=400)
    return None


def _of_driver(error: DBAPIError, label: str, call: str) -> RemoteError:
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return _of_connection(str(error.orig), label, call)
    if state[:2] == "28":
        return _refused(label, call)
    if state == "3D000":
        return _no_database(label, call)
    if state == "42501":
        named = str(error.orig).strip().splitlines()[0]  # the first line names the object, and no value
        text = f"its user has no right to do this there: see the GRANTs in docs/publish.md ({named})"
        return PermissionDeniedError(label, call, text)
    for known, text in _STATES.items():
        if state.startswith(known):
            return TransientError(label, call, text)
    if state.startswith(_CHANGED):
        text = f"somebody changed its tables there (SQLSTATE {state}): undo that, or drop its schema and publish again"
        return RejectedError(label, call, text, code=400)
    return RejectedError(label, call, f"PostgreSQL refused a statement (SQLSTATE {state})", code=400)


def _refused(label: str, call: str) -> AuthError:
    return AuthError(label, call, "the login was refused: check the user in its url, and its password")


def _no_database(label: str, call: str) -> RejectedError:
    return RejectedError(label, call, "there is no such database on that server: correct its url", code=404)


def _of_connection(text: str, label: str, call: str) -> RemoteError:
    if _LOGIN.search(text):
        return _refused(label, call)
    if _NO_DATABASE.search(text):
        return _no_database(label, call)
    for pattern, reason in _REASONS:
        if pattern.search(text):
            return TransientError(label, call, reason)
    return TransientError(label, call, "the connection was lost")
