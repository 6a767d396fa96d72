"""Kinesis Data Streams: one `PutRecord` an event. A task's events share a partition key, so they stay in order."""

from carillon.notifications.deliveries import SinkTarget
from carillon.notifications.events import Event
from carillon.notifications.sending import Sender
from carillon.notifications.settings import NotificationSettings
from carillon.notifications.sinks.aws import SinkClients, parsed


class _DataStreams:
    def __init__(self, clients: SinkClients) -> None:
        self._clients = clients

    async def send(self, target: SinkTarget, event: Event) -> None:
        await self._clients.call(
            "kinesis",
            parsed(target.arn).region,
            "put_record",
            "SequenceNumber",
            StreamARN=target.arn,
            Data=event.to_json().encode(),
            PartitionKey=event.order_key,
        )


def connect(clients: SinkClients, settings: NotificationSettings) -> Sender:  # noqa: ARG001 - the same for every sink
    """Return a sender to Kinesis data streams."""
    return _DataStreams(clients)
