"""SQS: `SendMessage`, the body is the envelope itself.

The queue's URL is made from its ARN: to ask for it would take a permission that the role in AWS's guide does not grant.
"""

from carillon.notifications.deliveries import SinkTarget
from carillon.notifications.events import Event
from carillon.notifications.sending import Sender
from carillon.notifications.settings import NotificationSettings
from carillon.notifications.sinks.aws import SinkClients, parsed


class _Queues:
    """Sends to queues by ARN."""

    def __init__(self, clients: SinkClients) -> None:
        self._clients = clients

    async def send(self, target: SinkTarget, event: Event) -> None:
        arn = parsed(target.arn)
        endpoint = await self._clients.endpoint("sqs", arn.region)
        await self._clients.call(
            "sqs",
            arn.region,
            "send_message",
            "MessageId",
            QueueUrl=f"{endpoint}/{arn.account}/{arn.resource}",
            MessageBody=event.to_json(),
        )


def connect(clients: SinkClients, settings: NotificationSettings) -> Sender:  # noqa: ARG001 - the same for every sink
    """Return a sender to SQS queues."""
    return _Queues(clients)
