"""The life of a chunk: decode, push, conclude, commit. One worker for one task.

It awaits only where the outside world is: the next fragment, the model's thread, the index, the commit. A chunk is a
whole fragment, so after each there is a place to resume.
"""

from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from anyio import CapacityLimiter, fail_after, sleep, to_thread

from carillon.audio import Pcm
from carillon.concurrency import backoff_seconds
from carillon.errors import CarillonError, Transient
from carillon.media import ChannelDecoder, ChannelSource, Chunk, Fragment, OtherChannel
from carillon.notifications import Event
from carillon.pipelines import Pipeline
from carillon.storage import CommitUnconfirmed
from carillon.tasks.lag import Lag
from carillon.tasks.leases import Lease, LeaseLost
from carillon.tasks.lifecycle import Lifecycle
from carillon.tasks.model import Checkpoint, Task, TaskState
from carillon.tasks.results import PublishedResult
from carillon.tasks.settings import TaskSettings
from carillon.tasks.store import TaskOutcome, TaskStore
from carillon.tasks.subscription import LastFragment
from carillon.tasks.timeline import Timeline
from carillon.telemetry import get_logger

log = get_logger()

_Finding = TypeVar("_Finding")
_Result = TypeVar("_Result")

INTERNAL_ERROR: Final = "An internal error ended the analysis."
_TRIES: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.05
_LAST_PAUSE_SECONDS: Final = 1.0


class Analysis(Protocol[_Finding]):
    """One kind of analysis: `SpeakerSearch` or `VoiceTone`."""

    @property
    def state(self) -> bytes:
        """Return all that the analysis remembers."""
        ...

    @property
    def hears_other(self) -> bool:
        """Return whether `push` needs the other participant's channel too."""
        ...

    async def prepare(self) -> None:
        """Get ready before the first chunk, so that no answer has to wait for it."""
        ...

    def interrupt(self, rate_hz: int) -> Sequence[_Finding]:
        """Mark a gap: the samples that come next do not adjoin those that came, or have another rate."""
        ...

    def push(self, samples: Pcm, other: Pcm | None = None, /) -> Sequence[_Finding]:
        """Analyze samples, and with them the other channel's; may take a while, so it is called in a thread."""
        ...

    def end(self) -> Sequence[_Finding]:
        """Return what is left to publish when no more audio comes."""
        ...

    async def conclude(
        self, findings: Sequence[_Finding], timeline: Timeline | None, reason: str | None = None
    ) -> TaskOutcome:
        """Decide what findings mean; `reason` says why the audio ended early."""
        ...

    def committed(self) -> None:
        """Confirm that what was last concluded is committed."""
        ...

    def failures(self, reason: str) -> tuple[PublishedResult, ...]:
        """Return the results that tell that the analysis cannot go on."""
        ...


class Worker(Generic[_Finding]):
    """Runs one task from its next fragment to its last event."""

    def __init__(
        self,
        *,
        task: Task,
        pipeline: Pipeline,
        lease: Lease,
        analysis: Analysis[_Finding],
        checkpoint: Checkpoint | None,
        store: TaskStore,
        lifecycle: Lifecycle,
        limiter: CapacityLimiter,
        lag: Lag,
        settings: TaskSettings,
    ) -> None:
        self._task = task
        self._pipeline = pipeline
        self._lease = lease
        self._analysis = analysis
        self._checkpoint = checkpoint
        self._store = store
        self._lifecycle = lifecycle
        self._limiter = limiter
        self._lag = lag
        self._settings = settings
        source = ChannelSource(task.leg.channel_count, task.leg.channel_index, task.leg.rate_hz)
        tolerance = settings.timecode_tolerance_seconds
        self._decoder = ChannelDecoder(
            source,
            checkpoint.decoder_state if checkpoint else None,
            is_lenient=settings.rate_mismatch == "lenient",
            tolerance_seconds=tolerance,
        )
        self._other: OtherChannel | None = None
        if analysis.hears_other:
            self._other = OtherChannel(
                source, checkpoint.other_decoder_state if checkpoint else None, tolerance_seconds=tolerance
            )
        self._timeline = _timeline(task, checkpoint)
        self._committed_ms = self._timeline.heard_ms if self._timeline else 0
        self._last_status = ""  # of the notification that was posted last
        self._log = log.bind(task_id=task.id, pipeline_id=pipeline.id, kind=task.kind.value)

    @property
    def last_fragment(self) -> LastFragment | None:
        """Return the last fragment that the checkpoint has in it."""
        at = self._checkpoint
        return None if at is None else LastFragment(int(at.fragment_number), at.fragment_at)

    async def run(self, fragments: AsyncIterable[Fragment], why_ended: Callable[[], Awaitable[str | None]]) -> None:
        """Work until the task's work is done or its fragments end, and end the task.

        Args:
            fragments: the stream's fragments; older ones than the checkpoint may come again and are skipped.
            why_ended: tells, when the fragments have ended, why they did; raises what made them end.

        Raises:
            Transient: the database cannot keep up. Nothing is lost: another worker may go on from the checkpoint.
            LeaseLost: another process runs the pipeline, and goes on from the checkpoint.
        """
        try:
            await _persistently(self._analysis.prepare)
            with self._lag.counted(self._task.id):
                is_over = await self._hear_all(fragments)
            if not is_over:
                await self._finish(await _persistently(why_ended))
        except (Transient, LeaseLost):
            raise
        except CarillonError as error:
            await self.fail(str(error))
        except Exception as error:  # a task's failure is its own: the others go on
            self._log.error("task.crashed", error=type(error).__name__, exc_info=True)
            await self.fail(INTERNAL_ERROR)

    async def fail(self, message: str) -> None:
        """End the task as failed, and publish the failure of everything that it has not published yet.

        Raises:
            Transient: the database cannot keep up.
        """
        self._log.warning("task.failed", reason=message)
        await self._commit(TaskOutcome(self._analysis.failures(message)), TaskState.FAILED, message)

    async def _hear_all(self, fragments: AsyncIterable[Fragment]) -> bool:
        """Return whether the task finished its work before its fragments ended."""
        async for fragment in fragments:
            if self._checkpoint is not None and int(fragment.number) <= int(self._checkpoint.fragment_number):
                continue  # a reading that went back in the middle of a delivery may deliver twice
            with self._lag.analyzing(self._task.id, fragment):
                if await self._analyze_next(fragment):
                    return True
        return False

    async def _analyze_next(self, fragment: Fragment) -> bool:
        """Take a fragment through all five steps; return whether the task has finished its work."""
        chunk, findings = await to_thread.run_sync(self._analyze, fragment, limiter=self._limiter)
        if self._timeline is None:
            await _persistently(partial(self._lifecycle.hearing, self._task, fragment, self._lease))
            self._log.info("task.receiving", fragment_number=fragment.number)
        self._timeline = self._timeline.advanced(chunk) if self._timeline else Timeline.begun(chunk)
        outcome = await _persistently(partial(self._analysis.conclude, findings, self._timeline))
        previous, self._checkpoint = self._checkpoint, self._place_to_resume(fragment)
        if outcome or previous is None or self._is_checkpoint_due():
            await self._commit(outcome)
        return outcome.is_final

    def _analyze(self, fragment: Fragment) -> tuple[Chunk, Sequence[_Finding]]:
        """Take a leg's samples out of a fragment and analyze them, in a thread: compressed audio takes a while too."""
        chunk = self._decoder.decode(fragment)
        other = self._other.beside(fragment, chunk) if self._other else None
        before = self._analysis.interrupt(chunk.rate_hz) if chunk.is_apart else ()
        return chunk, [*before, *self._analysis.push(chunk.samples, other)]

    async def _finish(self, reason: str | None) -> None:
        findings = await to_thread.run_sync(self._analysis.end, limiter=self._limiter)
        outcome = await _persistently(partial(self._analysis.conclude, findings, self._timeline, reason))
        if reason is not None and not self._settings.failure_events_on_stop:
            outcome = replace(outcome, results=tuple(told for told in outcome.results if not told.event.is_failure))
        await self._commit(replace(outcome, is_final=True))

    async def _commit(self, outcome: TaskOutcome, ends_as: TaskState | None = None, message: str | None = None) -> None:
        if outcome.is_final:
            ends_as = TaskState.STOPPED
        checkpoint = None
        if ends_as is None and self._checkpoint is not None:
            checkpoint = replace(self._checkpoint, analyzer_state=self._analysis.state)
            self._committed_ms = checkpoint.heard_ms

        async def commit() -> bool:
            try:
                with fail_after(self._settings.commit_seconds, shield=True):  # a stop must not tear a commit
                    return await self._store.commit(
                        self._pipeline, self._task, outcome, checkpoint, self._lease, ends_as=ends_as, message=message
                    )
            except TimeoutError as error:
                raise CommitUnconfirmed from error  # the checkpoint that is there will tell

        if await _persistently(commit):
            self._analysis.committed()
            self._log_posted(outcome.events)
            if ends_as is TaskState.STOPPED:
                self._log.info("task.stopped")

    def _log_posted(self, events: Sequence[Event]) -> None:
        for event in events:  # a report that follows its like, every 5 s of each call, would drown the rest
            say = self._log.debug if event.status == self._last_status else self._log.info
            self._last_status = event.status
            say("notification.posted", event_id=event.id, status=event.status)

    def _place_to_resume(self, fragment: Fragment) -> Checkpoint:
        assert self._timeline is not None
        return Checkpoint(
            fragment_number=fragment.number,
            fragment_at=fragment.server_at,
            heard_samples=self._timeline.heard_samples,
            heard_ms=self._timeline.heard_ms,
            heard_until=self._timeline.heard_until,
            first_at=self._timeline.first_at,
            analyzer_state=b"",
            decoder_state=self._decoder.state,
            other_decoder_state=self._other.state if self._other else None,
            anchors=self._timeline.anchors[1:],
        )

    def _is_checkpoint_due(self) -> bool:
        assert self._timeline is not None
        return self._timeline.heard_ms - self._committed_ms >= self._settings.checkpoint_seconds * 1000


def _timeline(task: Task, checkpoint: Checkpoint | None) -> Timeline | None:
    if checkpoint is None:
        return None
    rate_hz = checkpoint.decoder_state.rate_hz or task.leg.rate_hz
    return Timeline.resumed(checkpoint, task.start_fragment or checkpoint.fragment_number, rate_hz)


async def _persistently(act: Callable[[], Awaitable[_Result]]) -> _Result:
    """Do something again when the database was only busy.

    Raises:
        Transient: it still is; or nobody knows whether it was done, so it must not be done again.
    """
    for attempt in range(_TRIES - 1):
        try:
            return await act()
        except CommitUnconfirmed:
            raise
        except Transient:
            await sleep(backoff_seconds(_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS, attempt + 1))
    return await act()
