"""TeleCMI's call for a recording (page `play-record`): the one that answers with something else than JSON.

Its secret is in the URL, so the call is only ever named by its path. Where the bytes go is left to the sink.
"""

from __future__ import annotations

from syncer.errors import RejectedError
from syncer.remote import rows as read
from syncer.remote.response_errors import Judge, misshapen
from syncer.remote.wire import Answer, Call, NotJson, Sink

PLAY = "/v2/play"

#: What the vendor answers if it has no such file. Whether it will have it later is not known.
NOT_PUBLISHED = 502


def recording_call(app_id: object, secret: str, voicename: str, sink: Sink) -> Call:
    """The request for a recording. One that broke off is not repeated at once: the schedule does that."""
    return Call(
        PLAY,
        "GET",
        PLAY,
        params={"appid": str(app_id), "secret": secret, "file": voicename},
        headers={"Accept": "*/*", "Accept-Encoding": "identity"},
        unsure_once=True,
        sink=sink,
    )


def judge_recording(source: str, judge: Judge, sink: Sink) -> Judge:
    """Judge the answer: good once the sink took all of it, else an error of the vendor's, or none that we know."""

    def judge_it(call: Call, answer: Answer) -> None:
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
        judge(call, answer)
        raise misshapen(source, call, "an answer that is not a recording (JSON)")

    return judge_it
