"""The ASGI application of the AWS edge: takes a request through its stages, in `Api._answer`."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from carillon.access import AccessKeys, Auditor, PolicyAuthorizer
from carillon.api.errors import INTERNAL
from carillon.api.protocol.asgi import ClientGone, Receive, Scope, Send
from carillon.api.protocol.endpoints import Endpoint, RawRoute, add_service
from carillon.api.protocol.exchange import Exchange, RequestSettings, UntilKeyEnds, check_head, tell_proven
from carillon.api.protocol.faults import describe
from carillon.api.protocol.operations import RawCall, Service, never, set_caller
from carillon.api.protocol.routing import Router
from carillon.api.protocol.sigv4 import SignatureVerifier
from carillon.api.protocol.stages import (
    Claimed,
    Parsed,
    Received,
    answer,
    authenticate,
    claim,
    format_of,
    operation_of,
    parse,
    read_head,
    route,
    select,
)
from carillon.concurrency import unwrapped
from carillon.errors import Transient
from carillon.telemetry import get_logger

log = get_logger()


class Api:
    """Serves AWS APIs as an ASGI 3 application.

    Args:
        services: each at most once; their models are compiled here, so that mistakes show at start.
        verifier: judges signatures. None lets everybody in as `anonymous`: for benchmarks, never for a network.
        settings: limits of one request.
        guard: judges what callers may do. None lets every caller do everything.
        auditor: keeps a record of every response.
        keys: end what goes on for long once its key ends. None lets it go on.

    Raises:
        ValueError: a handler is marked for an operation that its service does not have, or two for the same one.
    """

    def __init__(
        self,
        *,
        services: Sequence[Service],
        verifier: SignatureVerifier | None,
        settings: RequestSettings | None = None,
        guard: PolicyAuthorizer | None = None,
        auditor: Auditor | None = None,
        keys: AccessKeys | None = None,
    ) -> None:
        if len({service.name for service in services}) < len(services):
            raise ValueError("A service is given twice; give all its handlers to one Service.")
        self._verifier = verifier
        self._guard = guard
        self._auditor = auditor
        self._keys = keys
        self._settings = settings or RequestSettings()
        self._router: Router[Endpoint] = Router()
        self.covered: Final[Mapping[str, tuple[str, ...]]] = {
            service.name: add_service(self._router, service) for service in services
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the lifespan of the server."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        stage: Received = read_head(scope)
        exchange = Exchange(stage, receive, send, self._settings, self._auditor)
        try:
            check_head(stage, self._settings)
            stage = route(stage, self._router)
            stage = claim(stage, self._verifier)
            stage = authenticate(stage, None if isinstance(stage.endpoint, RawRoute) else await exchange.read_body())
            if stage.is_proven:
                tell_proven(scope)
            stage = select(stage)
            stage = parse(stage)
            await self._admit(stage)
            if isinstance(stage.endpoint, RawRoute):
                await self._hand_over(stage, stage.endpoint, exchange)
            else:
                operation = stage.endpoint
                stage = await answer(stage, operation)
                await exchange.respond(stage, operation.write(stage.answer), key_ended=self._key_ended(stage))
        except ClientGone:
            pass  # Nobody is left to answer.
        except Exception as error:
            await _fail(exchange, stage, unwrapped(error))

    async def _admit(self, stage: Parsed) -> None:
        """Let the policy of the key decide, and set what handlers may ask of whoever is calling."""
        set_caller(stage.caller, stage.reached_at)
        if stage.claim is not None and self._guard is not None:
            await self._guard.admit(stage.claim.access_key_id, stage.endpoint.action, stage.request)

    async def _hand_over(self, stage: Parsed, route: RawRoute, exchange: Exchange) -> None:
        send, key_ended = exchange.sender(stage), self._key_ended(stage)
        await route.handler(RawCall(stage.request_id, stage.caller, stage.headers, exchange.receive, send, key_ended))
        if not exchange.started:
            raise RuntimeError(f"The handler of {route.name} returned without an answer.")

    def _key_ended(self, stage: Claimed) -> UntilKeyEnds:
        if stage.claim is None or self._keys is None:
            return never
        return partial(self._keys.until_ended, stage.claim.access_key_id)


async def _fail(exchange: Exchange, stage: Received, error: Exception) -> None:
    """Answer with an error; after the answer has begun, leave it incomplete, upon which the server closes."""
    error_format = format_of(stage)
    named = error_format.name(error)
    ours = named.shape == INTERNAL[error_format.family]
    told = {"request_id": stage.request_id, "operation": operation_of(stage)}
    if ours or exchange.started:
        log.error("api.failed", **told, **describe(error))
    elif isinstance(error, Transient):
        log.warning("api.unavailable", **told, **describe(error))
    if not exchange.started:
        await exchange.respond(stage, error_format.render(named, stage.request_id), named.shape)


async def _live(receive: Receive, send: Send) -> None:
    """Agree to start and to stop: whatever must be opened and closed is the affair of who made the Api."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
