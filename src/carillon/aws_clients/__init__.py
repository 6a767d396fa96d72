"""Clients of AWS, and of whatever speaks like it: one pool of them, one way to call, one translation of errors.

Start at `clients.py`. What an error means for a stream, a sink or a bucket, and what is done about it, is decided by
the room that calls; here it is only said what kind of failure it was (`errors.py`).
"""

from carillon.aws_clients.clients import AwsAnswer, AwsClients, ClientLimits, call
from carillon.aws_clients.errors import AwsCallFailed, FailureKind, answered, translated
from carillon.aws_clients.pool import Client, ClientPool, Peer

__all__ = [
    "AwsAnswer",
    "AwsCallFailed",
    "AwsClients",
    "Client",
    "ClientLimits",
    "ClientPool",
    "FailureKind",
    "Peer",
    "answered",
    "call",
    "translated",
]
