"""Fetches the recordings of TeleCMI's voicemails, and lets the oldest go.

A recording is fetched into a file of another name, which is brought to the disk; its row says which file is about
to be there; then the file gets its name, and the row says that it is kept. Whatever the moment of a kill, the next run
finds either nothing, or the whole file with a row that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from syncer.core.audio import AudioState, Expiry, after_try, all_stay, expired, folder_of, path_of
from syncer.core.limits import low_disk
from syncer.errors import BadAnswerError, LowDiskError, RejectedError, RemoteError, TransientError
from syncer.remote.telecmi_play import NOT_PUBLISHED, PLAY
from syncer.store.db.connection import Connection
from syncer.store.write import audio
from syncer.store.write.audio import AudioFile, AudioRow
from syncer.sync import registry
from syncer.sync.recordings import Part, Recordings
from syncer.sync.run import Run
from syncer.sync.vendors import TelecmiSource

JOB = registry.AUDIO

#: No recording is larger, in bytes: a voicemail of hours.
LARGEST = 500_000_000

#: So many recordings in a row that do not come mean that the vendor fails, and not the recordings.
MOST_FAILURES = 5

LOST = "its file was lost or damaged, and is fetched again"
UNMEASURED = "the answer did not say how long it is: kept once it comes the same a second time"


@dataclass(slots=True)
class _Fetching:
    """One run, and what came of it so far."""

    run: Run
    source: TelecmiSource
    folder: Recordings
    due: int = 0  #: recordings that this run is to try
    kept: int = 0  #: bytes
    broken: list[str] = field(default_factory=list)  #: why a recording did not come, each
    in_a_row: int = 0
    given_up: int = 0

    @property
    def account(self) -> str:
        """The account's name."""
        return self.source.account.name


async def fetch_recordings(run: Run, source: TelecmiSource) -> None:
    """Fetch what is due, or with `run.person` everything that waits; with `run.full` what was given up, too."""
    now, store, config = run.env.now(), run.env.store, source.account.audio
    this = _Fetching(run, source, Recordings(run.env.settings.audio.path))
    if await store.read(audio.any_new, this.account):
        last: int | None = 0
        while last is not None:
            last = await store.apply(audio.enlist, this.account, run.at, last)
    if run.full:
        again = await store.read(audio.given_up, this.account)
        await _in_blocks(this, audio.wait_again, again, "asked for again by a person")
    if run.env.plan_only:
        waiting = await store.read(audio.due, this.account, now, everything=True)
        run.plan = [f"would fetch {_count(len(waiting))}"] if waiting else []
        return
    await run.env.in_thread(this.folder.clear_parts, this.account)
    await _check_files(this)
    await _expire(this)
    due = await store.read(audio.due, this.account, now, everything=run.person)
    this.due = len(due)
    if due and _is_out_of_patience(this):
        run.incomplete("not tried: the vendor fails, and this pass has waited long enough for it")
        return
    for row_id in due:
        row = await store.read(audio.waiting, row_id)
        if row is None:  # it expired, or was forgotten
            continue
        run.env.progress(JOB, this.account, run.seen, this.due)
        run.seen += 1
        await _fetch(this, row)
        if this.kept >= config.max_size:
            await _expire(this)
        if _vendor_fails(this):
            break
    _report(this)


def _count(number: int) -> str:
    return f"{number:,} recording{'' if number == 1 else 's'}"


def _vendor_fails(this: _Fetching) -> bool:
    return this.in_a_row >= MOST_FAILURES or (this.in_a_row > 0 and _is_out_of_patience(this))


def _is_out_of_patience(this: _Fetching) -> bool:
    """Whether failing calls of this account have held up a person's pass for as long as they may."""
    patience = this.run.client().patience
    return patience is not None and patience <= 0


def _report(this: _Fetching) -> None:
    if this.given_up:
        this.run.notice(
            f"{_count(this.given_up)} given up after three days: the vendor never published them, or never "
            "sent them whole; syncer sync telecmi-audio --full asks for them again"
        )
    if this.broken:
        this.run.incomplete(
            f"{len(this.broken)} of {_count(this.run.seen)} could not be fetched this time, to be tried again: "
            f"{this.broken[-1]}"
        )


async def _fetch(this: _Fetching, row: AudioRow) -> None:
    """One try at one recording. Raises what is about more than this one: refused credentials, no connection."""
    try:
        with this.folder.part(folder_of(this.account, row.received_at), row.id, partial(_step, this)) as part:
            await this.source.client.fetch_recording(row.voicename, part)
            if part.is_cut:
                raise _bad(this, "the recording is shorter than it says itself")
            await _keep(this, row, part)
    except (TransientError, RejectedError, BadAnswerError) as error:
        if isinstance(error, TransientError) and not error.sent:
            raise
        published = not (isinstance(error, RejectedError) and error.code == NOT_PUBLISHED)
        if published:
            this.broken.append(error.text)
            this.in_a_row += 1
        else:
            this.in_a_row = 0
        await _tried(this, row, error.text, published=published)
    else:
        this.in_a_row = 0


async def _tried(this: _Fetching, row: AudioRow, why: str, *, published: bool) -> None:
    retry = after_try(row.attempts + 1, row.first_tried_at, this.run.env.now(), published=published)
    this.given_up += retry.state is not AudioState.WAITING
    await this.run.env.store.write(audio.tried, row.id, retry, why)
    this.run.env.step("audio: tried")


def _bad(this: _Fetching, text: str) -> RemoteError:
    return BadAnswerError(this.source.account.label, PLAY, text)


def _step(this: _Fetching, size: int) -> None:
    """Now and then while a recording comes in: a sign of life, and whether there is still room."""
    most = min(LARGEST, this.source.account.audio.max_size)
    if size > most:
        raise _bad(this, f"the recording is larger than {most // 10**6} MB")
    total, free = this.run.env.disk(this.folder.root)
    if reason := low_disk(free, total, "the recordings"):
        raise LowDiskError(reason)
    this.run.env.progress(JOB, this.account, this.run.seen, this.due)


async def _keep(this: _Fetching, row: AudioRow, part: Part) -> None:
    store, run, folder = this.run.env.store, this.run, this.folder
    assert part.media is not None
    _step(this, part.size)
    await run.env.in_thread(part.finish)
    run.env.step("audio: fetched")
    path = path_of(folder_of(this.account, row.received_at), row.id, row.voicename, part.media)
    if not await store.write(audio.intend, row.id, path, part.size, part.sha256, part.media):
        return  # forgotten meanwhile
    if not part.measured and part.sha256 != row.sha256:
        await _tried(this, row, UNMEASURED, published=True)
        return
    run.env.step("audio: intended")

    def keep(conn: Connection) -> bool:
        """The name and the row in one transaction: `forget` comes before both or after both."""
        if not audio.keep(conn, row.id, run.env.stamp()):
            return False
        folder.publish(part, path)
        run.env.step("audio: published")
        return True

    if await store.write(keep):
        run.added += 1
        this.kept += part.size


async def _check_files(this: _Fetching) -> None:
    """Make rows and files agree: fetch lost files again, and take over those that are whole.

    A killed run left them, or their disk was away for a while and the vendor no longer has them.
    """
    store, after = this.run.env.store, 0
    while files := await store.read(audio.files, this.account, after):
        after = files[-1].id
        lost, whole = await this.run.env.in_thread(_compare, this, files)
        if lost:
            await store.write(audio.wait_again, [file.id for file in lost], LOST)
            await this.run.env.in_thread(this.folder.remove, [file.path for file in lost])
        for file in whole:
            await store.write(audio.keep, file.id, this.run.env.stamp())


def _compare(this: _Fetching, files: list[AudioFile]) -> tuple[list[AudioFile], list[AudioFile]]:
    """Which files that should be there are not, or are damaged; and which are whole though no row says so yet."""
    lost, whole = list[AudioFile](), list[AudioFile]()
    for file in files:
        if file.state is AudioState.EXPIRED:
            continue
        is_kept = file.state is AudioState.KEPT
        # The checksum of all that is kept takes too long for every run: a person may ask for it.
        sha256 = file.sha256 if this.run.full or not is_kept else None
        is_whole = this.folder.is_whole(file.path, file.bytes, sha256)
        if is_whole != is_kept:
            (whole if is_whole else lost).append(file)
    return lost, whole


async def _expire(this: _Fetching) -> None:
    """Let go what is too old or too much.

    What is old is judged by the vendor's clock as well: ours may be years ahead, and what is removed is lost.
    """
    env, config = this.run.env, this.source.account.audio
    theirs = this.run.client().server_date
    now = None if theirs is None else min(theirs, env.now())

    def decide(conn: Connection) -> Expiry:
        oldest, kept = audio.extent(conn, this.account)
        if all_stay(oldest, kept, now, config.keep, config.max_size):
            return Expiry([], kept)
        return expired(audio.recordings(conn, this.account), now, config.keep, config.max_size)

    found = await env.store.read(decide)
    this.kept = found.kept
    await _in_blocks(this, audio.expire, found.gone)
    env.step("audio: expired")
    while left := await env.store.read(audio.left_over, this.account):
        await env.in_thread(this.folder.remove, [file.path for file in left])
        await env.store.write(audio.removed, [file.id for file in left])
        this.run.removed += len(left)


async def _in_blocks(this: _Fetching, write: Callable[..., None], ids: Sequence[int], *more: object) -> None:
    """Write to many rows, without holding up who edits meanwhile."""
    for begin in range(0, len(ids), audio.BLOCK):
        await this.run.env.store.write(write, ids[begin : begin + audio.BLOCK], *more)
