"""Fetches the recordings of TeleCMI's voicemails, and removes the oldest ones.

A recording is fetched into a temporary file and synced to disk. Then its row names the file that is about to exist, the
file is renamed, and the row is marked as kept. Whenever a run is killed, the next one finds either nothing or a complete
file that a row names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncer.core.audio import AudioState, Expiry, after_try, all_stay, expired, folder_of, path_of
from syncer.core.limits import low_disk
from syncer.core.wording import count
from syncer.errors import BadAnswerError, LowDiskError, RejectedError, TransientError
from syncer.remote.telecmi_play import NOT_PUBLISHED, PLAY
from syncer.store.db.connection import Connection
from syncer.store.db.read_only import chunks
from syncer.store.write import audio
from syncer.store.write.audio import AudioFile, AudioRow
from syncer.sync.recordings import Part, Recordings
from syncer.sync.run import Run
from syncer.sync.vendors import TelecmiSource

#: The largest recording, in bytes: a voicemail of hours.
LARGEST = 500_000_000

#: After this many failures in a row, the vendor is at fault and not the recordings.
MOST_FAILURES = 5

LOST = "its file was lost or damaged, and is fetched again"
UNMEASURED = "the answer did not say how long it is: kept once it comes the same a second time"


async def fetch_recordings(run: Run, source: TelecmiSource) -> None:
    """Fetch what is due, or with `run.person` everything that waits. `run.full` also retries what was given up."""
    fetcher = _Fetcher(run, source)
    await fetcher.enlist()
    if run.env.plan_only:
        await fetcher.plan()
    else:
        await fetcher.fetch_all()


class _Fetcher:
    """One run for one account."""

    def __init__(self, run: Run, source: TelecmiSource) -> None:
        self.run = run
        self.env = run.env
        self.store = run.env.store
        self.source = source
        self.account = source.account.name
        self.config = source.account.audio
        self.folder = Recordings(run.env.settings.audio.path)
        self.due = 0  #: recordings that this run tries
        self.kept = 0  #: bytes of the recordings that are kept
        self.problems: list[str] = []  #: why recordings could not be fetched
        self.failures = 0  #: in a row
        self.given_up = 0

    async def enlist(self) -> None:
        """Queue the recordings of new voicemails, and with `run.full` those that were given up."""
        if await self.store.read(audio.any_new, self.account):
            last: int | None = 0
            while last is not None:
                last = await self.store.apply(audio.enlist, self.account, self.run.at, last)
        if self.run.full:
            given_up = await self.store.read(audio.given_up, self.account)
            await self._write_in_blocks(audio.wait_again, given_up, "asked for again by a person")

    async def plan(self) -> None:
        """Say what would be fetched."""
        waiting = await self.store.read(audio.due, self.account, self.env.now(), everything=True)
        self.run.plan = [f"would fetch {count(len(waiting), 'recording')}"] if waiting else []

    async def fetch_all(self) -> None:
        """Fetch what is due, within the limits of age and size."""
        run = self.run
        now = self.env.now()
        await self.env.in_thread(self.folder.clear_parts, self.account)
        await self._check_files()
        await self._expire()
        due = await self.store.read(audio.due, self.account, now, everything=run.person)
        self.due = len(due)
        if due and self._is_out_of_patience():
            run.incomplete("not tried: the vendor fails, and this pass has waited long enough for it")
            return
        for row_id in due:
            row = await self.store.read(audio.waiting, row_id)
            if row is None:  # it expired, or was forgotten
                continue
            self._show_progress()
            run.seen += 1
            await self._fetch(row)
            if self.kept >= self.config.max_size:
                await self._expire()
            if self.failures >= MOST_FAILURES or (self.failures and self._is_out_of_patience()):
                break
        self._report()

    def _is_out_of_patience(self) -> bool:
        """Whether failing calls of this account have delayed a person's pass for as long as they may."""
        return self.run.client().patience <= 0

    def _show_progress(self) -> None:
        self.env.progress(self.run.job, self.account, self.run.seen, self.due)

    def _report(self) -> None:
        if self.given_up:
            self.run.notice(
                f"{count(self.given_up, 'recording')} given up after three days: the vendor never published them, or never "
                "sent them whole; syncer sync telecmi-audio --full asks for them again"
            )
        if self.problems:
            self.run.incomplete(
                f"{len(self.problems)} of {count(self.run.seen, 'recording')} could not be fetched this time, to be tried again: "
                f"{self.problems[-1]}"
            )

    # -- one recording

    async def _fetch(self, row: AudioRow) -> None:
        """Try one recording. Raises errors that are not about this one: refused credentials, no connection."""
        try:
            with self.folder.part(folder_of(self.account, row.received_at), row.id, self._step) as part:
                await self.source.client.fetch_recording(row.voicename, part)
                if part.is_cut:
                    raise self._bad("the recording is shorter than it says itself")
                await self._keep(row, part)
        except (TransientError, RejectedError, BadAnswerError) as error:
            if not error.sent:
                raise
            published = not (isinstance(error, RejectedError) and error.code == NOT_PUBLISHED)
            if published:
                self.problems.append(error.text)
                self.failures += 1
            else:
                self.failures = 0
            await self._retry_later(row, error.text, published=published)
        else:
            self.failures = 0

    async def _retry_later(self, row: AudioRow, why: str, *, published: bool) -> None:
        retry = after_try(row.attempts + 1, row.first_tried_at, self.env.now(), published=published)
        self.given_up += retry.state is not AudioState.WAITING
        await self.store.write(audio.tried, row.id, retry, why)
        self.env.step("audio: tried")

    def _bad(self, text: str) -> BadAnswerError:
        return BadAnswerError(self.source.account.label, PLAY, text)

    def _step(self, size: int) -> None:
        """Called while a recording arrives: report progress, and raise if it is too large or the disk is full."""
        most = min(LARGEST, self.config.max_size)
        if size > most:
            raise self._bad(f"the recording is larger than {most // 10**6} MB")
        total, free = self.env.disk(self.folder.root)
        if reason := low_disk(free, total, "the recordings"):
            raise LowDiskError(reason)
        self._show_progress()

    async def _keep(self, row: AudioRow, part: Part) -> None:
        assert part.media is not None
        self._step(part.size)
        await self.env.in_thread(part.finish)
        self.env.step("audio: fetched")
        path = path_of(folder_of(self.account, row.received_at), row.id, row.voicename, part.media)
        if not await self.store.write(audio.intend, row.id, path, part.size, part.sha256, part.media):
            return  # forgotten meanwhile
        if not part.measured and part.sha256 != row.sha256:
            await self._retry_later(row, UNMEASURED, published=True)
            return
        self.env.step("audio: intended")

        def keep(conn: Connection) -> bool:
            """Rename the file and mark the row in one transaction: `forget` runs before both or after both."""
            if not audio.keep(conn, row.id, self.env.stamp()):
                return False
            self.folder.publish(part, path)
            self.env.step("audio: published")
            return True

        if await self.store.write(keep):
            self.run.added += 1
            self.kept += part.size

    # -- all recordings

    async def _check_files(self) -> None:
        """Make rows and files agree: fetch lost files again, and keep complete files that no row says are kept.

        Those were left by a killed run, or their disk was away for a while and the vendor no longer has them.
        """
        after = 0
        while files := await self.store.read(audio.files, self.account, after):
            after = files[-1].id
            lost, whole = await self.env.in_thread(self._compare, files)
            if lost:
                await self.store.write(audio.wait_again, [file.id for file in lost], LOST)
                await self.env.in_thread(self.folder.remove, [file.path for file in lost])
            for file in whole:
                await self.store.write(audio.keep, file.id, self.env.stamp())

    def _compare(self, files: list[AudioFile]) -> tuple[list[AudioFile], list[AudioFile]]:
        """The files that should exist and are missing or damaged, and the complete ones that no row says are kept."""
        lost, whole = list[AudioFile](), list[AudioFile]()
        for file in files:
            if file.state is AudioState.EXPIRED:
                continue
            is_kept = file.state is AudioState.KEPT
            # Checksums of everything that is kept take too long for every run: a person may ask for them.
            sha256 = file.sha256 if self.run.full or not is_kept else None
            is_whole = self.folder.is_whole(file.path, file.bytes, sha256)
            if is_whole != is_kept:
                (whole if is_whole else lost).append(file)
        return lost, whole

    async def _expire(self) -> None:
        """Remove what is too old, or exceeds the size limit.

        The age is also measured by the vendor's clock: ours may be years ahead, and what is removed is lost.
        """
        config, theirs = self.config, self.run.client().server_date
        now = None if theirs is None else min(theirs, self.env.now())

        def decide(conn: Connection) -> Expiry:
            oldest, kept = audio.extent(conn, self.account)
            if all_stay(oldest, kept, now, config.keep, config.max_size):
                return Expiry([], kept)
            return expired(audio.recordings(conn, self.account), now, config.keep, config.max_size)

        found = await self.store.read(decide)
        self.kept = found.kept
        await self._write_in_blocks(audio.expire, found.gone)
        self.env.step("audio: expired")
        while left := await self.store.read(audio.left_over, self.account):
            await self.env.in_thread(self.folder.remove, [file.path for file in left])
            await self.store.write(audio.removed, [file.id for file in left])
            self.run.removed += len(left)

    async def _write_in_blocks(self, write: Callable[..., None], ids: Sequence[int], *more: object) -> None:
        """Write to many rows in short transactions, so people can edit in between."""
        for block in chunks(ids, audio.BLOCK):
            await self.store.write(write, block, *more)
