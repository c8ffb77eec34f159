"""TeleCMI's call for a recording (page `play-record`), the only one whose answer is not JSON.

Its URL contains the secret, so the call is only named by its path.
"""

from __future__ import annotations

from syncer.errors import RejectedError
from syncer.remote import rows as read
from syncer.remote.response_errors import AnswerCheck, misshapen
from syncer.remote.wire import Answer, Call, NotJson, Sink

PLAY = "/v2/play"

#: The vendor's answer if it does not have the file, perhaps not yet.
NOT_PUBLISHED = 502


def recording_call(app_id: object, secret: str, voicename: str, sink: Sink) -> Call:
    """The request for a recording. If it breaks off, the job's schedule repeats it, not the client."""
    return Call(
        PLAY,
        "GET",
        PLAY,
        params={"appid": str(app_id), "secret": secret, "file": voicename},
        headers={"Accept": "*/*", "Accept-Encoding": "identity"},
        unsure_once=True,
        sink=sink,
    )


def check_recording(source: str, check: AnswerCheck, sink: Sink) -> AnswerCheck:
    """A check that accepts the answer if the sink took it. Otherwise the answer is an error of the vendor, or unknown."""

    def check_it(call: Call, answer: Answer) -> None:
        if sink.taken:
            return
        body = answer.body
        if isinstance(body, dict) and read.integer(body.get("code")) == NOT_PUBLISHED:
            text = "the vendor has not published the recording (502)"
            raise RejectedError(source, call.name, text, code=NOT_PUBLISHED)
        if isinstance(body, NotJson) and answer.ok:
            raise misshapen(
                source, call, f"an answer that is not a recording ({body.kind}, HTTP {answer.status})"
            )
        check(call, answer)
        raise misshapen(source, call, "an answer that is not a recording (JSON)")

    return check_it
