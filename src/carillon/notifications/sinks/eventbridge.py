"""EventBridge: `PutEvents`. The bus makes its own envelope, with an id of its own, around type and detail."""

import msgspec

from carillon.aws_clients import AwsAnswer
from carillon.notifications.deliveries import SinkTarget
from carillon.notifications.events import Event
from carillon.notifications.sending import Sender
from carillon.notifications.settings import NotificationSettings
from carillon.notifications.sinks.aws import SinkClients, parsed, refusal


class _Buses:
    """Puts events on buses by ARN, under a source that may be set: who is not AWS may not use `aws.chime`."""

    def __init__(self, clients: SinkClients, source: str) -> None:
        self._clients = clients
        self._source = source

    async def send(self, target: SinkTarget, event: Event) -> None:
        entry = {
            "Time": event.at,
            "Source": self._source,
            "Resources": [],
            "DetailType": event.detail_type,
            "Detail": msgspec.json.encode(event.body["detail"]).decode(),
            "EventBusName": target.arn,
        }
        answer = await self._clients.call("events", parsed(target.arn).region, "put_events", "Entries", Entries=[entry])
        result: AwsAnswer = next(filter(None, answer["Entries"]), {})
        if answer.get("FailedEntryCount") or "EventId" not in result:
            raise refusal("put_events", result.get("ErrorCode"), result.get("ErrorMessage"))


def connect(clients: SinkClients, settings: NotificationSettings) -> Sender:
    """Return a sender to EventBridge buses."""
    return _Buses(clients, settings.event_source)
