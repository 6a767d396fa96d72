"""SNS: `Publish`, the message is the envelope itself; no subject, no attributes."""

from carillon.notifications.deliveries import SinkTarget
from carillon.notifications.events import Event
from carillon.notifications.sending import Sender
from carillon.notifications.settings import NotificationSettings
from carillon.notifications.sinks.aws import SinkClients, parsed


class _Topics:
    def __init__(self, clients: SinkClients) -> None:
        self._clients = clients

    async def send(self, target: SinkTarget, event: Event) -> None:
        region = parsed(target.arn).region
        await self._clients.call("sns", region, "publish", "MessageId", TopicArn=target.arn, Message=event.to_json())


def connect(clients: SinkClients, settings: NotificationSettings) -> Sender:  # noqa: ARG001 - the same for every sink
    """Return a sender to SNS topics."""
    return _Topics(clients)
