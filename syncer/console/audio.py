"""`/voicemails/ID/audio`: streams a recording, or the requested range of it."""

from __future__ import annotations

import asyncio
import os
import re
from functools import partial

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from syncer import files
from syncer.console.visit import NotFoundError, PageRoute, Visit
from syncer.core.console import Span, asked_span
from syncer.errors import FolderError
from syncer.store.read import page_queries
from syncer.sync.recordings import Recordings

#: Bytes that are read and sent at a time.
_PIECE = 64 * 1024

_MEDIA = re.compile(r"audio/[\w.+-]{1,60}", re.ASCII)


class RecordingResponse(Response):
    """Sends an open file, or a range of it, and closes it, also if the client disconnects."""

    def __init__(self, handle: int, span: Span | None, size: int, media_type: str, etag: str) -> None:
        self._handle = handle
        self._span = span or Span(0, size - 1)
        super().__init__(status_code=200 if span is None else 206)
        length = self._span.last - self._span.first + 1
        self.headers["Content-Length"] = str(length)
        self.headers["Content-Type"] = media_type
        self.headers["Content-Disposition"] = "inline"
        self.headers["Accept-Ranges"] = "bytes"
        self.headers["ETag"] = etag
        if span is not None:
            self.headers["Content-Range"] = f"bytes {span.first}-{span.last}/{size}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send the response."""
        try:
            head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(head)
            at, end = self._span.first, self._span.last + 1
            while scope["method"] != "HEAD" and at < end:
                piece = await asyncio.to_thread(os.pread, self._handle, min(_PIECE, end - at), at)
                if not piece:
                    raise OSError("a recording became shorter while it was sent")
                at += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": at < end})
            if scope["method"] == "HEAD" or self._span.first >= end:
                await send({"type": "http.response.body", "body": b""})
        finally:
            os.close(self._handle)


async def play(visit: Visit) -> Response:
    """The recording of a voicemail, if it is kept."""
    found = await visit.work.read(partial(page_queries.kept_audio, voicemail=visit.row_id()))
    if found is None:
        raise NotFoundError("There is no recording of this voicemail.")
    try:
        path = Recordings(visit.settings.audio.path).file(found["path"])
        handle = await asyncio.to_thread(files.open_plain, path, os.O_RDONLY)
    except (FolderError, OSError):
        raise NotFoundError("The recording is not in its place. The next run fetches it again.") from None
    size, etag = os.fstat(handle).st_size, f'"{found["sha256"]}"'
    headers = visit.request.headers
    wanted = headers.get("range") if headers.get("if-range", etag) == etag else None
    try:
        span = asked_span(wanted, size)
    except ValueError:
        os.close(handle)
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    media = found["media_type"] or ""
    kind = media if _MEDIA.fullmatch(media) else "application/octet-stream"
    return RecordingResponse(handle, span, size, kind, etag)


PAGES = (PageRoute("GET", "/voicemails/{id}/audio", play, redirects=False),)
