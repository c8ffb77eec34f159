"""Reads submitted forms, and limits their size, their fields and the characters in them."""

from __future__ import annotations

import unicodedata
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

#: Limits of a form, in bytes and fields. A contact form sends each value twice, and a letter takes up to 12 bytes.
LARGEST: Final = 256 * 1024
FIELDS: Final = 40

#: The most characters in a field.
LONGEST: Final = 1000


class FormError(Exception):
    """A form that the page cannot have sent. `status` is the HTTP status to respond with."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


async def read_form(request: Request) -> dict[str, str]:
    """The fields, trimmed. Raises FormError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST:
                raise FormError(413, "The form is too large.")
    except ClientDisconnect:
        raise FormError(400, "The form did not arrive completely.") from None
    if not body:
        return {}
    if kind != "application/x-www-form-urlencoded":
        raise FormError(415, "The form is of an unknown kind.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS
        )
    except ValueError:
        raise FormError(400, "The form cannot be read.") from None
    return {name: value.strip() for name, value in pairs}


def problem(value: str) -> str | None:
    """What is wrong with a value, as a sentence, or None."""
    if len(value) > LONGEST:
        return f"Write at most {LONGEST} characters."
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in value):
        return "Remove line breaks and control characters."
    return None
