"""One target's deliveries: their order, their pace, their retries. What happens here holds up no other target.

A lane that has just begun or has just failed is on trial: it sends one event, and only a success opens it to batches.
So a dead target costs one attempt now and then, however much waits for it. Each delivery has its own retry time, and
a trial takes the one that was tried least, so an event that a healthy target refuses steps aside for those behind it.
The price: the first event after an outage may overtake others of its task; consumers order by `time`, as AWS asks them.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import anyio
from anyio import CapacityLimiter, create_task_group, fail_after, get_cancelled_exc_class, move_on_after
from prometheus_client import Counter

from carillon.clock import Clock
from carillon.notifications.deliveries import DATABASE_TROUBLE, Deliveries, Delivery, Outcome, Result, SinkTarget
from carillon.notifications.ledger import Ledger
from carillon.notifications.sending import Jitter, Sender, SendFailed, pause
from carillon.notifications.settings import Settings
from carillon.telemetry import get_logger

log = get_logger()

_DAY_SECONDS: Final = 86_400.0
_LONG_SILENCE: Final = 3  # failures in a row after which a success makes everything that waits due at once
_SHORTEST_WAIT_SECONDS: Final = 0.01
_DELIVERIES: Final = Counter(
    "carillon_deliveries", "Attempts to deliver a notification, by kind of sink and result.", ["sink", "result"]
)


class Lane:
    """Delivers to one target until nothing is pending.

    Args:
        target: where to.
        sender: how; None if no sink of this kind is known, which counts as a failure like any other.
        limiter: deliveries at the same time over all lanes.
    """

    def __init__(
        self,
        target: SinkTarget,
        sender: Sender | None,
        deliveries: Deliveries,
        ledger: Ledger,
        limiter: CapacityLimiter,
        clock: Clock,
        settings: Settings,
        jitter: Jitter,
    ) -> None:
        self._target = target
        self._sender = sender
        self._deliveries = deliveries
        self._ledger = ledger
        self._limiters = (CapacityLimiter(settings.sends_per_target), limiter)
        self._clock = clock
        self._settings = settings
        self._jitter = jitter
        self._log = log.bind(sink=target.kind, target_arn=target.arn)
        self._posted = anyio.Event()
        self._on_trial = True
        self._failures = 0  # batches in a row without any success

    def wake(self) -> None:
        """Say that something new is pending."""
        self._posted.set()

    async def run(self) -> None:
        """Return when nothing is pending; between the last look and the return no other code runs."""
        while True:
            try:
                if not await self._step():
                    return
            except DATABASE_TROUBLE as error:
                self._log.warning("deliveries.not_read", reason=type(error).__name__)
                await anyio.sleep(self._settings.first_retry_seconds)

    async def _step(self) -> bool:
        """Deliver what is due, or wait until something is; return whether there is more to do."""
        self._posted = posted = anyio.Event()
        limit = 1 if self._on_trial else self._settings.batch
        batch = await self._deliveries.due(self._target, limit, least_tried=self._on_trial)
        if batch:
            await self._deliver(batch)
            return True
        due_at = await self._deliveries.next_due_at(self._target)
        if due_at is None:
            return posted.is_set()
        wait_seconds = (due_at - self._clock.now()).total_seconds()
        with move_on_after(max(wait_seconds, _SHORTEST_WAIT_SECONDS)):
            await posted.wait()
        return True

    async def _deliver(self, batch: Sequence[Delivery]) -> None:
        """Send a batch, note how it went, and pause if nothing got through."""
        outcomes: list[Outcome] = []
        in_order: dict[str, list[Delivery]] = {}
        for delivery in batch:
            in_order.setdefault(delivery.event.order_key, []).append(delivery)
        try:
            async with create_task_group() as group:
                for deliveries in in_order.values():
                    group.start_soon(self._deliver_in_order, deliveries, outcomes)
            await self._ledger.note(outcomes)
        except get_cancelled_exc_class():
            seconds = self._settings.commit_seconds
            with suppress(*DATABASE_TROUBLE), move_on_after(seconds, shield=True):  # else what arrived is sent again
                await self._deliveries.settle(outcomes)
            raise
        await self._judge(any(outcome.result is Result.DELIVERED for outcome in outcomes))

    async def _deliver_in_order(self, deliveries: Sequence[Delivery], outcomes: list[Outcome]) -> None:
        own, overall = self._limiters
        for delivery in deliveries:
            async with own, overall:
                if any(outcome.result is not Result.DELIVERED for outcome in outcomes):
                    return  # something is wrong: what has not been tried yet waits without a mark against it
                outcomes.append(await self._attempt(delivery))

    async def _attempt(self, delivery: Delivery) -> Outcome:
        reason = None
        try:
            with fail_after(self._settings.send_seconds):
                await self._send(delivery)
        except SendFailed as error:
            reason = str(error)
        except TimeoutError:
            reason = f"No answer within {self._settings.send_seconds} s."
        except Exception as error:  # a sink's own fault must not stop the deliveries to others
            self._log.exception("delivery.broke", event_id=delivery.event.id)
            reason = type(error).__name__
        outcome = Outcome(delivery.id, Result.DELIVERED) if reason is None else self._failure(delivery, reason)
        _DELIVERIES.labels(self._target.kind, outcome.result.value).inc()
        return outcome

    async def _send(self, delivery: Delivery) -> None:
        if self._sender is None:
            raise SendFailed(f"No sink of the kind {self._target.kind} is known. Remove it from the configuration.")
        await self._sender.send(self._target, delivery.event)

    def _failure(self, delivery: Delivery, reason: str) -> Outcome:
        now = self._clock.now()
        attempts = delivery.attempts + 1
        if (now - delivery.posted_at).total_seconds() >= self._settings.drop_after_days * _DAY_SECONDS:
            self._log.warning("delivery.dropped", event_id=delivery.event.id, attempts=attempts, reason=reason)
            return Outcome(delivery.id, Result.DROPPED, reason=reason)
        self._log.info("delivery.failed", event_id=delivery.event.id, attempts=attempts, reason=reason)
        return Outcome(delivery.id, Result.FAILED, now + pause(self._settings, attempts, self._jitter), reason)

    async def _judge(self, got_through: bool) -> None:
        self._on_trial = not got_through
        if got_through:
            was_silent, self._failures = self._failures >= _LONG_SILENCE, 0
            if was_silent:
                self._log.info("sink.answers_again")
                await self._deliveries.hurry(self._target)
            return
        self._failures += 1
        await anyio.sleep(pause(self._settings, self._failures, self._jitter).total_seconds())
