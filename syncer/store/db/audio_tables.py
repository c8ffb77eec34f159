"""The table of recordings: the state of each, and where its file is."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer

from syncer.core.audio import AudioState
from syncer.store.db.column_types import int_, one_of, table, text_

#: One row per voicemail of an account that keeps recordings.
voicemail_audio = table(
    "voicemail_audio",
    Column("voicemail", Integer, ForeignKey("telecmi_voicemails.id"), primary_key=True),
    text_("state", null=False),
    text_("path"),  # relative to the audio folder; unless the state is `kept`, a file that may exist
    int_("bytes"),
    text_("sha256"),
    text_("media_type"),
    text_("fetched_at"),
    int_("attempts", null=False, default="0"),
    text_("first_tried_at"),
    text_("next_attempt_at"),
    text_("last_error"),
    one_of("state", *(one.value for one in AudioState)),
    CheckConstraint("state <> 'kept' OR (path IS NOT NULL AND bytes IS NOT NULL AND sha256 IS NOT NULL)"),
    Index("voicemail_audio_state", "state", "next_attempt_at"),
    autoincrement=False,
)
