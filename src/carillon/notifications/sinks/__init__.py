"""Where notifications go: one file for each technology, one entry in `SINKS`.

A sink hands one envelope to one target over the real AWS wire protocol and says when that failed; waiting, order and
retries are the dispatcher's. Endpoints and credentials are those of the process (`AWS_ENDPOINT_URL_SQS`,
`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, profiles, roles): botocore reads them. The Region is that of the target's ARN.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from carillon.notifications.sending import Sender
from carillon.notifications.settings import NotificationSettings
from carillon.notifications.sinks import eventbridge, kinesis, lambda_, sns, sqs
from carillon.notifications.sinks.aws import SinkClients

SINKS: Final[Mapping[str, Callable[[SinkClients, NotificationSettings], Sender]]] = {
    "EventBridge": eventbridge.connect,
    "KinesisDataStreamSink": kinesis.connect,
    "LambdaFunctionSink": lambda_.connect,
    "SnsTopicSink": sns.connect,
    "SqsQueueSink": sqs.connect,
}
"""Every kind of target; those of pipelines are named as in a pipeline configuration."""


@asynccontextmanager
async def open_senders(settings: NotificationSettings) -> AsyncIterator[Mapping[str, Sender]]:
    """Yield a sender for every kind of target; connections are made at first use and closed at the end."""
    async with SinkClients(settings) as clients:
        yield {kind: connect(clients, settings) for kind, connect in SINKS.items()}


__all__ = ["SINKS", "open_senders"]
