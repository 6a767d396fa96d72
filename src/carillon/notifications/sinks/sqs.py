"""SQS: `SendMessage`, the body is the envelope itself."""

from typing import Final

from carillon.arns import Arn
from carillon.notifications.deliveries import SinkTarget
from carillon.notifications.events import Event
from carillon.notifications.sending import Sender
from carillon.notifications.settings import Settings
from carillon.notifications.sinks.aws import AwsClients, Refused, parsed

_MOST_URLS: Final = 1_000  # queues come and go with configurations; asking again costs one call


class _Queues:
    """Sends to queues by ARN; each queue's URL is asked for once."""

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients
        self._urls: dict[str, str] = {}

    async def send(self, target: SinkTarget, event: Event) -> None:
        arn = parsed(target.arn)
        url = self._urls.get(target.arn) or await self._ask_url(arn)
        try:
            await self._clients.call(
                "sqs", arn.region, "send_message", "MessageId", QueueUrl=url, MessageBody=event.to_json()
            )
        except Refused:
            self._urls.pop(target.arn, None)  # perhaps it was deleted and made again elsewhere
            raise
        if len(self._urls) >= _MOST_URLS:
            self._urls.clear()
        self._urls[target.arn] = url

    async def _ask_url(self, arn: Arn) -> str:
        found = await self._clients.call(
            "sqs",
            arn.region,
            "get_queue_url",
            "QueueUrl",
            QueueName=arn.resource,
            QueueOwnerAWSAccountId=arn.account,
        )
        return str(found["QueueUrl"])


def connect(clients: AwsClients, settings: Settings) -> Sender:  # noqa: ARG001 - the same for every sink
    """Return a sender to SQS queues."""
    return _Queues(clients)
