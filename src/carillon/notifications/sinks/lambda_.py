"""Lambda: asynchronous `Invoke`; the event that the function's handler gets is the envelope itself."""

from carillon.notifications.deliveries import SinkTarget
from carillon.notifications.events import Event
from carillon.notifications.sending import Sender
from carillon.notifications.settings import NotificationSettings
from carillon.notifications.sinks.aws import SinkClients, parsed


class _Functions:
    def __init__(self, clients: SinkClients) -> None:
        self._clients = clients

    async def send(self, target: SinkTarget, event: Event) -> None:
        answer = await self._clients.call(
            "lambda",
            parsed(target.arn).region,
            "invoke",
            "Payload",
            FunctionName=target.arn,
            InvocationType="Event",
            Payload=event.to_json().encode(),
        )
        answer["Payload"].close()  # an answer nobody reads would keep its connection


def connect(clients: SinkClients, settings: NotificationSettings) -> Sender:  # noqa: ARG001 - the same for every sink
    """Return a sender to Lambda functions."""
    return _Functions(clients)
