"""AWS clients, made at first use with the credentials of the AWS environment, and how an operation is called."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.parsers import ResponseParserError

from carillon import __version__
from carillon.aws_clients.errors import AwsCallFailed, FailureKind, translated
from carillon.aws_clients.pool import Client, ClientPool, Peer

AwsAnswer: TypeAlias = Mapping[str, Any]

_MOST_CLIENTS: Final = 100
_ALWAYS: Final = "ResponseMetadata"

# botocore's parsers trust the peer, and break on what is not UTF-8, not an object, not of the service's shape.
_UNPARSED: Final = (ResponseParserError, ValueError, LookupError, TypeError, AttributeError)


class ClientLimits(NamedTuple):
    """How long a client waits, and how much of it there is."""

    connect_seconds: float
    read_seconds: float
    connections: int
    """At the same time, of each client; more calls wait."""
    attempts: int = 1
    """Of each call; 1 where the room that calls tries again itself."""


class AwsClients:
    """One client for each peer, with a pool of connections each. Safe to share; close it at the end.

    Args:
        limits: those of every client.
        most: how many clients are kept; more only while more are in use.
        access_key: id and secret; None means what the AWS environment says.
        ca_bundle: file of the authorities to trust over https; None means those of AWS_CA_BUNDLE, or the usual ones.
        options: of botocore's `Config`, for what is particular to a service.
    """

    def __init__(
        self,
        limits: ClientLimits,
        *,
        most: int = _MOST_CLIENTS,
        access_key: tuple[str, str] | None = None,
        ca_bundle: Path | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self._ca_bundle = ca_bundle
        self._session = get_session()
        if access_key is not None:
            self._session.set_credentials(*access_key)
        self._config = AioConfig(
            connect_timeout=limits.connect_seconds,
            read_timeout=limits.read_seconds,
            retries={"total_max_attempts": limits.attempts, "mode": "standard"},
            max_pool_connections=limits.connections,
            user_agent_extra=f"carillon/{__version__}",
            warm_up_loader_caches=True,  # reads the service's model in a thread, not in the event loop
            **(options or {}),
        )
        self._pool = ClientPool(self._made, most)

    def __len__(self) -> int:
        return len(self._pool)

    async def aclose(self) -> None:
        """Close every connection, also while being canceled."""
        await self._pool.aclose()

    @asynccontextmanager
    async def use(self, peer: Peer) -> AsyncIterator[Client]:
        """Yield the client for a peer; it stays open at least until the block is left.

        Raises:
            AwsCallFailed: there are no credentials, or settings that make no client.
        """
        async with AsyncExitStack() as stack:
            with translated():
                await self._credentials()  # before: a client would remember that there were none
                try:
                    client = await stack.enter_async_context(self._pool.use(peer))
                except ValueError as error:
                    raise AwsCallFailed(FailureKind.REFUSED, "a bad endpoint", str(error)) from error
            yield client

    async def sign(self, method: str, url: str, headers: Mapping[str, str], peer: Peer) -> Mapping[str, str]:
        """Return the headers of a request with a body that is not hashed, signed for a peer.

        Raises:
            AwsCallFailed: there are no credentials to sign with, or they cannot be had now.
        """
        with translated():
            frozen = await (await self._credentials()).get_frozen_credentials()
        request = AWSRequest(method, url, headers={**headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        SigV4Auth(credentials, peer.service, peer.region).add_auth(request)
        return dict(request.headers.items())

    def trust(self) -> ssl.SSLContext:
        """Return by which authorities an https endpoint is trusted."""
        bundle = self._ca_bundle or self._session.get_config_variable("ca_bundle")
        return ssl.create_default_context(cafile=None if bundle is None else str(bundle))

    async def _credentials(self) -> Any:  # noqa: ANN401 - botocore has no types
        found = await self._session.get_credentials()
        if found is None:
            hint = "No AWS credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            raise AwsCallFailed(FailureKind.DENIED, "no credentials in the AWS environment", hint)
        return found

    @asynccontextmanager
    async def _made(self, peer: Peer) -> AsyncIterator[Client]:
        async with self._session.create_client(
            peer.service,
            region_name=peer.region,
            endpoint_url=peer.endpoint_url,
            verify=None if self._ca_bundle is None else str(self._ca_bundle),
            config=self._config,
        ) as client:
            yield client


async def call(client: Client, operation: str, parameters: Mapping[str, object], proof: str = _ALWAYS) -> AwsAnswer:
    """Call an operation and return its answer.

    Args:
        client: of the service, in use.
        operation: in botocore's spelling, `send_message`.
        parameters: in AWS's spelling, `QueueUrl`.
        proof: a member that every true answer has, `MessageId`: a wrong endpoint may well answer 200.

    Raises:
        AwsCallFailed: in every case but that of an answer.
    """
    with translated():
        try:
            answer: AwsAnswer = await getattr(client, operation)(**parameters)
            is_true = proof in answer
        except _UNPARSED as error:
            raise AwsCallFailed(FailureKind.UNINTELLIGIBLE, type(error).__name__) from error
    if not is_true:
        raise AwsCallFailed(FailureKind.UNINTELLIGIBLE, f"{proof} is missing")
    return answer
