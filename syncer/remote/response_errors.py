"""Errors from HTTP statuses, for reads and for writes.

Each vendor's adapter checks the envelope inside a 2xx, with the functions of this module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from syncer.errors import (
    AuthError,
    BadAnswerError,
    OutcomeUnknownError,
    RejectedError,
    RemoteError,
    TransientError,
)
from syncer.remote.error_text import named_field, with_vendor_text
from syncer.remote.wire import Answer, Call, NotJson

#: Raises a RemoteError if the answer is not a success.
AnswerCheck: TypeAlias = Callable[[Call, Answer], None]


def broken(
    source: str, call: Call, text: str, retry_after: float | None = None, code: int | None = None
) -> RemoteError:
    """The error for a failed answer (5xx, cut, none): a read may be repeated, a write may have been applied.

    `code` is the vendor's own number for the failure.
    """
    if call.write:
        return _unknown(source, call, text, code)
    return TransientError(source, call.name, text, retry_after=retry_after, sent=True)


def misshapen(source: str, call: Call, text: str) -> RemoteError:
    """The error for an answer of an unknown shape. It proves nothing, not even about a write."""
    return _unknown(source, call, text) if call.write else BadAnswerError(source, call.name, text)


def overloaded(source: str, call: Call, answer: Answer) -> TransientError:
    """The error for a call that was refused because of load. It was not processed."""
    return TransientError(source, call.name, "too many requests", retry_after=answer.retry_after)


def _unknown(source: str, call: Call, text: str, code: int | None = None) -> OutcomeUnknownError:
    return OutcomeUnknownError(source, call.name, f"{text}; it may or may not have been applied", code=code)


def raise_for_status(source: str, call: Call, answer: Answer) -> None:
    """Raise unless the answer is a 2xx with JSON."""
    status, body = answer.status, answer.body
    if status == 429:
        raise overloaded(source, call, answer)
    if status >= 500 or status in (408, 425):
        raise broken(source, call, f"the server failed (HTTP {status})", answer.retry_after)
    if status in (401, 403):
        raise AuthError(source, call.name, f"the credentials were refused (HTTP {status})", code=status)
    if not answer.ok and (status < 400 or isinstance(body, NotJson)):
        raise misshapen(source, call, f"an answer with HTTP status {status} that the vendor does not use")
    if not answer.ok:
        message = (body.get("message") or body.get("msg")) if isinstance(body, dict) else None
        text = with_vendor_text(f"the vendor refused the request (HTTP {status})", message)
        raise RejectedError(source, call.name, text, code=status, field=named_field(message))
    if isinstance(body, NotJson):
        if body.refused:
            raise misshapen(source, call, f"{body.kind} (HTTP {status})")
        text = f"an answer that cannot be read as JSON ({body.kind}, HTTP {status})"
        raise broken(source, call, text) if body.cut else misshapen(source, call, text)
