"""One target's deliveries: their order, their pace, their retries. What happens here holds up no other target.

A queue that has just begun or has just failed is on trial: it sends one event, and only an answer opens it to batches.
A trial takes the event that was tried least, and each delivery has its own retry time. So one that fails steps aside
for those behind it, and only when a second one fails, too, is it the target that does not answer: then the queue
pauses, for longer each time, and costs one attempt now and then, however much waits. Something new ends a pause early,
though not at once. An event that the target will never take is set aside: no retry would change that.

The price: the first event after an outage may overtake others of its task; consumers order by `time`, as AWS asks them.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

import anyio
from anyio import CapacityLimiter, create_task_group, fail_after, get_cancelled_exc_class, move_on_after
from prometheus_client import Counter

from carillon.clock import Clock
from carillon.notifications.deliveries import (
    DATABASE_TROUBLE,
    Deliveries,
    Delivery,
    DeliveryOutcome,
    DeliveryResult,
    SinkTarget,
)
from carillon.notifications.outcome_writer import OutcomeWriter
from carillon.notifications.sending import EventRefused, Jitter, Sender, SendFailed, pause
from carillon.notifications.settings import NotificationSettings
from carillon.telemetry import get_logger

log = get_logger()

_SHORTEST_WAIT_SECONDS: Final = 0.01
_DELIVERIES: Final = Counter(
    "carillon_deliveries", "Attempts to deliver a notification, by kind of sink and result.", ["sink", "result"]
)


class TargetQueue:
    """Delivers to one target until nothing is pending.

    Args:
        target: where to.
        sender: how; None if no sink of this kind is known, which counts as a failure like any other.
        limiter: deliveries at the same time over all queues.
    """

    def __init__(
        self,
        *,
        target: SinkTarget,
        sender: Sender | None,
        deliveries: Deliveries,
        outcome_writer: OutcomeWriter,
        limiter: CapacityLimiter,
        clock: Clock,
        settings: NotificationSettings,
        jitter: Jitter,
    ) -> None:
        self._target = target
        self._sender = sender
        self._deliveries = deliveries
        self._outcome_writer = outcome_writer
        self._limiters = (CapacityLimiter(settings.sends_per_target), limiter)
        self._clock = clock
        self._settings = settings
        self._jitter = jitter
        self._log = log.bind(sink=target.kind, target_arn=target.arn)
        self._posted = anyio.Event()
        self._on_trial = True
        self._has_answered = False
        self._is_silent = False  # and that was logged
        self._suspects: set[int] = set()  # up to two deliveries that have failed since the last answer
        self._failures = 0  # trials in a row since the target is taken to be silent

    def wake(self) -> None:
        """Wake the queue: something new is pending."""
        self._posted.set()

    async def run(self) -> None:
        """Return when nothing is pending; between the last look and the return no other code runs."""
        while True:
            try:
                if not await self._step():
                    return
            except DATABASE_TROUBLE as error:
                self._log.warning("deliveries.not_read", reason=type(error).__name__)
                await self._clock.sleep(self._settings.first_retry_seconds)

    async def _step(self) -> bool:
        """Deliver what is due, or wait until something is; return whether there is more to do."""
        self._posted = posted = anyio.Event()
        limit = 1 if self._on_trial else self._settings.batch
        batch = await self._deliveries.due(self._target, limit, least_tried=self._on_trial)
        if batch:
            await self._deliver(batch)
            return True
        due_in = await self._deliveries.next_due_in(self._target)
        if due_in is None:
            return posted.is_set()
        with self._clock.move_on_after(max(due_in.total_seconds(), _SHORTEST_WAIT_SECONDS)):
            await posted.wait()
        return True

    async def _deliver(self, batch: Sequence[Delivery]) -> None:
        """Send a batch, record how it went, and pause if nothing got through."""
        outcomes: list[DeliveryOutcome] = []
        in_order: dict[str, list[Delivery]] = {}
        for delivery in batch:
            in_order.setdefault(delivery.event.order_key, []).append(delivery)
        try:
            async with create_task_group() as group:
                for deliveries in in_order.values():
                    group.start_soon(self._deliver_in_order, deliveries, outcomes)
            await self._outcome_writer.note(outcomes)
        except get_cancelled_exc_class():
            seconds = self._settings.commit_seconds
            with suppress(*DATABASE_TROUBLE), move_on_after(seconds, shield=True):  # else what arrived is sent again
                await self._deliveries.record(outcomes)
            raise
        if any(outcome.result is not DeliveryResult.FAILED for outcome in outcomes):
            await self._answered()
        else:
            tried = {outcome.delivery_id for outcome in outcomes}
            await self._failed(outcomes, is_new=any(one.attempts == 0 and one.id in tried for one in batch))

    async def _deliver_in_order(self, deliveries: Sequence[Delivery], outcomes: list[DeliveryOutcome]) -> None:
        own, overall = self._limiters
        for delivery in deliveries:
            async with own, overall:
                if any(outcome.result is DeliveryResult.FAILED for outcome in outcomes):
                    return  # something is wrong: what has not been tried yet waits without a mark against it
                outcomes.append(await self._attempt(delivery))

    async def _attempt(self, delivery: Delivery) -> DeliveryOutcome:
        outcome = await self._tried(delivery)
        _DELIVERIES.labels(self._target.kind, outcome.result.value).inc()
        if outcome.result is not DeliveryResult.DELIVERED:
            attempts, about = delivery.attempts + 1, {"event_id": delivery.event.id, "reason": outcome.reason}
            if outcome.result is DeliveryResult.SET_ASIDE:
                self._log.warning("delivery.set_aside", attempts=attempts, **about)
            else:
                self._log.info("delivery.failed", attempts=attempts, **about)
        return outcome

    async def _tried(self, delivery: Delivery) -> DeliveryOutcome:
        try:
            with fail_after(self._settings.send_seconds):
                await self._send(delivery)
        except EventRefused as error:
            return DeliveryOutcome(delivery.id, DeliveryResult.SET_ASIDE, reason=str(error))
        except SendFailed as error:
            return self._failure(delivery, str(error))
        except TimeoutError:
            return self._failure(delivery, f"No answer within {self._settings.send_seconds} s.")
        except Exception as error:  # a sink's own fault must not stop the deliveries to others
            self._log.exception("delivery.broke", event_id=delivery.event.id)
            return self._failure(delivery, type(error).__name__)
        return DeliveryOutcome(delivery.id, DeliveryResult.DELIVERED)

    async def _send(self, delivery: Delivery) -> None:
        if self._sender is None:
            raise SendFailed(f"No sink of the kind {self._target.kind} is known. Remove it from the configuration.")
        await self._sender.send(self._target, delivery.event)

    def _failure(self, delivery: Delivery, reason: str) -> DeliveryOutcome:
        retry_at = self._clock.now() + self._pause(delivery.attempts + 1)
        return DeliveryOutcome(delivery.id, DeliveryResult.FAILED, retry_at, reason)

    async def _answered(self) -> None:
        """End the trial: what waits because of the target's silence is due at once."""
        was_silent, self._is_silent = self._is_silent, False
        self._has_answered, self._on_trial, self._failures = True, False, 0
        self._suspects.clear()
        if was_silent:
            self._log.warning("sink.answers_again")
            await self._deliveries.make_due(self._target)

    async def _failed(self, outcomes: Sequence[DeliveryOutcome], *, is_new: bool) -> None:
        """Put the queue on trial, and pause it if it is not about one event alone.

        Args:
            outcomes: all failed.
            is_new: one of them was a first attempt; later ones of the same event say nothing new of the target.
        """
        self._on_trial = True
        self._suspects = set(sorted(self._suspects | {outcome.delivery_id for outcome in outcomes})[:2])
        is_silent = len(self._suspects) > 1
        if not self._is_silent and (is_silent or is_new or not self._has_answered):
            self._is_silent = True
            self._log.warning("sink.fails", reason=outcomes[0].reason)
        if is_silent:
            self._failures += 1
            with self._clock.move_on_after(self._pause(self._failures).total_seconds()):
                await self._clock.sleep(self._settings.first_retry_seconds)
                await self._posted.wait()

    def _pause(self, failures: int) -> timedelta:
        return pause(self._settings, failures, self._jitter)
