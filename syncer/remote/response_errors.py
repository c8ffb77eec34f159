"""What an answer's HTTP status alone says, and the error it becomes for a read or for a write.

The envelope inside a 2xx is judged by each vendor's adapter, with the words given here.
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

#: Raises a RemoteError when the answer is no success.
Judge: TypeAlias = Callable[[Call, Answer], None]


def broken(
    source: str, call: Call, text: str, retry_after: float | None = None, code: int | None = None
) -> RemoteError:
    """The error of an answer that failed on the way (5xx, cut, none): a read is worth another try,
    a write may or may not have been applied. `code` is what the vendor itself said of its failure."""
    if call.write:
        return _unknown(source, call, text, code)
    return TransientError(source, call.name, text, retry_after=retry_after, sent=True)


def misshapen(source: str, call: Call, text: str) -> RemoteError:
    """The error of an answer of an unknown shape: it proves nothing, neither of a write."""
    return _unknown(source, call, text) if call.write else BadAnswerError(source, call.name, text)


def overloaded(source: str, call: Call, answer: Answer) -> TransientError:
    """The error of a call that was turned away for load; nothing of it was done."""
    return TransientError(source, call.name, "too many requests", retry_after=answer.retry_after)


def _unknown(source: str, call: Call, text: str, code: int | None = None) -> OutcomeUnknownError:
    return OutcomeUnknownError(source, call.name, f"{text}; it may or may not have been applied", code=code)


def judge_status(source: str, call: Call, answer: Answer) -> None:
    """Raise for all that is no 2xx with JSON."""
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
