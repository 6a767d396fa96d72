"""Takes events out of the outbox to every target: at least once, each target at its own pace.

It keeps nothing that a restart would miss: what is pending, how often it was tried and when it is due again are rows.
Delivered is noted after the other side has it, so a crash in between delivers again, under the same event id.
"""

import math
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from anyio import TASK_STATUS_IGNORED, CapacityLimiter, create_task_group, current_time
from anyio.abc import TaskGroup, TaskStatus
from anyio.from_thread import BlockingPortal
from prometheus_client import Gauge

from carillon.clock import Clock
from carillon.notifications.deliveries import DATABASE_TROUBLE, SinkTarget
from carillon.notifications.following import FollowCursor
from carillon.notifications.outbox import Outbox
from carillon.notifications.outcome_writer import OutcomeWriter
from carillon.notifications.sending import Jitter, Sender, any_jitter
from carillon.notifications.settings import NotificationSettings
from carillon.notifications.sinks import open_senders
from carillon.notifications.target_queue import TargetQueue
from carillon.telemetry import get_logger

log = get_logger()

_LOOK_AT_ALL_SECONDS: Final = 30.0
_SCRAPE_SECONDS: Final = 5.0
_OLDEST: Final = Gauge("carillon_outbox_oldest_seconds", "Age of the oldest notification that is still on its way.")


class Dispatcher:
    """Delivers while `run` runs.

    Args:
        outbox: where events come from.
        clock: tells when a retry is due.
        settings: pace and patience.
        senders: by kind of target; the real sinks if none are given.
        jitter: spreads retries.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        settings: NotificationSettings | None = None,
        senders: Mapping[str, Sender] | None = None,
        jitter: Jitter = any_jitter,
    ) -> None:
        self._outbox = outbox
        self._deliveries = outbox.deliveries
        self._clock = clock
        self._settings = settings or NotificationSettings()
        self._senders = senders
        self._jitter = jitter
        self._outcome_writer = OutcomeWriter(self._deliveries, clock, self._settings)
        self._limiter = CapacityLimiter(self._settings.sends)
        self._queues: dict[SinkTarget, TargetQueue] = {}

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Deliver until canceled. A delivery that is cut off then is made again by the next run."""
        async with AsyncExitStack() as stack:
            senders = self._senders
            if senders is None:
                senders = await stack.enter_async_context(open_senders(self._settings))
            self._queues.clear()
            await stack.enter_async_context(self._reporting_age())
            async with create_task_group() as group:
                group.start_soon(self._outcome_writer.run)
                task_status.started()
                await self._watch(group, senders)

    async def _watch(self, group: TaskGroup, senders: Mapping[str, Sender]) -> None:
        """Start a queue for every target that something is pending for."""
        cursor: FollowCursor | None = None
        look_at_all_at = 0.0
        while True:
            posted = self._outbox.next_post()
            try:
                if cursor is None:
                    await self._deliveries.make_due()  # whatever was wrong before the restart may be mended now
                    cursor = FollowCursor(await self._deliveries.newest())
                targets: Iterable[SinkTarget]
                if current_time() >= look_at_all_at:
                    look_at_all_at = current_time() + _LOOK_AT_ALL_SECONDS
                    targets = await self._deliveries.pending_targets()
                else:
                    targets, cursor = await self._deliveries.new_targets(cursor)
            except DATABASE_TROUBLE as error:
                log.warning("outbox.not_read", reason=type(error).__name__)
                await self._clock.sleep(self._settings.first_retry_seconds)
                continue
            for target in targets:
                self._serve(group, target, senders)
            with self._clock.move_on_after(self._settings.poll_seconds):
                await posted.wait()

    def _serve(self, group: TaskGroup, target: SinkTarget, senders: Mapping[str, Sender]) -> None:
        queue = self._queues.get(target)
        if queue is not None:
            queue.wake()
            return
        queue = TargetQueue(
            target=target,
            sender=senders.get(target.kind),
            deliveries=self._deliveries,
            outcome_writer=self._outcome_writer,
            limiter=self._limiter,
            clock=self._clock,
            settings=self._settings,
            jitter=self._jitter,
        )
        self._queues[target] = queue
        group.start_soon(self._run_queue, target, queue)

    async def _run_queue(self, target: SinkTarget, queue: TargetQueue) -> None:
        await queue.run()
        del self._queues[target]  # nothing runs between the queue's last look and this, so no wake is lost

    @asynccontextmanager
    async def _reporting_age(self) -> AsyncIterator[None]:
        """Compute the metric when it is scraped, from another thread."""
        async with BlockingPortal() as portal:

            def age() -> float:
                try:
                    return portal.start_task_soon(self._oldest_seconds).result(_SCRAPE_SECONDS)
                except (RuntimeError, TimeoutError, CancelledError, *DATABASE_TROUBLE):  # busy, or about to end
                    return math.nan

            _OLDEST.set_function(age)
            try:
                yield
            finally:
                _OLDEST.set_function(lambda: math.nan)

    async def _oldest_seconds(self) -> float:
        oldest = await self._deliveries.oldest_posted_at()
        return 0.0 if oldest is None else (self._clock.now() - oldest).total_seconds()
