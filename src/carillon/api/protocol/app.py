"""The ASGI application: authentication, JSON, shape, handler, answer, in that order."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from carillon.access import AccessKeys, Auditor, PolicyAuthorizer
from carillon.api.errors import INTERNAL, AwsError
from carillon.api.protocol.asgi import AsgiApplication, ClientGone, Receive, Scope, Send
from carillon.api.protocol.endpoints import Endpoint, NotImplementedOperation, Operation, RawRoute, add_service, choose
from carillon.api.protocol.exchange import Exchange, RequestSettings
from carillon.api.protocol.faults import describe
from carillon.api.protocol.operations import RawCall, Service, set_caller
from carillon.api.protocol.parsing import Query, parse_document, parse_query
from carillon.api.protocol.routing import RouteMatch, Router
from carillon.api.protocol.serialization import Response
from carillon.api.protocol.sigv4 import SignatureClaim, SignatureVerifier
from carillon.concurrency import unwrapped
from carillon.errors import Transient
from carillon.telemetry import get_logger

_LIVENESS_PATHS: Final = frozenset({b"/", b"/health"})
_ALIVE: Final = Response(200, ((b"content-type", b"application/json"),), b'{"status":"ok"}')
_ANONYMOUS: Final = "anonymous"

log = get_logger()


class Api:
    """Serves AWS APIs as an ASGI 3 application.

    Args:
        services: each at most once; their models are compiled here, so that mistakes show at start.
        verifier: judges signatures. None lets everybody in as `anonymous`: for benchmarks, never for a network.
        settings: limits of one request.
        guard: judges what callers may do. None lets every caller do everything.
        auditor: keeps a record of every response but those about liveness.
        websockets: serves them. None refuses all.
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
        websockets: AsgiApplication | None = None,
        keys: AccessKeys | None = None,
    ) -> None:
        if len({service.name for service in services}) < len(services):
            raise ValueError("A service is given twice; give all its handlers to one Service.")
        self._verifier = verifier
        self._guard = guard
        self._auditor = auditor
        self._websockets = websockets
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
        elif self._websockets is not None:
            await self._websockets(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("raw_path") in _LIVENESS_PATHS and scope["method"] in {"GET", "HEAD"}:
            await Exchange(scope, receive, send, self._settings).respond(_ALIVE)
            return
        exchange = Exchange(scope, receive, send, self._settings, self._auditor)
        try:
            await self._serve(exchange)
        except ClientGone:
            pass  # Nobody is left to answer.
        except Exception as error:
            await _fail(exchange, unwrapped(error))

    async def _serve(self, exchange: Exchange) -> None:
        exchange.check_head()
        query = parse_query(exchange.head.raw_query)
        match = self._router.find(exchange.head.method, exchange.head.raw_path, query)
        if match is None:
            raise AwsError("UnknownOperationException", "Nothing is served at this method and path.")
        endpoint = match.endpoints[0]  # Where there are several, they share a signing name.
        exchange.bind(endpoint.name, endpoint.error_format)
        claim = None
        if self._verifier is not None:
            claim = self._verifier.claim(exchange.head, endpoint.error_format.family.value)
            exchange.caller = claim.access_key_id
            if self._keys is not None:
                exchange.key_ended = partial(self._keys.until_ended, claim.access_key_id)
        set_caller(claim.access_key_id if claim else _ANONYMOUS, exchange.base_url)
        if isinstance(endpoint, RawRoute):
            await self._serve_raw(exchange, endpoint, claim)
        else:
            await self._serve_modeled(exchange, match, query, claim)

    async def _serve_modeled(
        self, exchange: Exchange, match: RouteMatch[Endpoint], query: Query, claim: SignatureClaim | None
    ) -> None:
        body = await exchange.read_body()
        if claim is not None:
            claim.verify_body(body)
            exchange.prove()
        document = parse_document(body)
        endpoint = choose(match, query, document)
        exchange.bind(endpoint.name, endpoint.error_format)
        if isinstance(endpoint, NotImplementedOperation):
            raise endpoint.refusal()
        assert isinstance(endpoint, Operation), "a raw route shares its path with a modeled operation"
        request = endpoint.reader.read(match.decoded_labels(), query, exchange.headers, document)
        exchange.request = request
        await self._admit(claim, endpoint, request)
        answer = await endpoint.handler(request)
        exchange.answer = answer
        await exchange.respond(endpoint.write(answer))

    async def _serve_raw(self, exchange: Exchange, endpoint: RawRoute, claim: SignatureClaim | None) -> None:
        if claim is not None:
            claim.verify_unread()
            exchange.prove()
        headers = exchange.headers
        request = {member: headers[name] for name, member in endpoint.parameters.items() if name in headers}
        exchange.request = request
        await self._admit(claim, endpoint, request)
        caller = claim.access_key_id if claim else _ANONYMOUS
        await endpoint.handler(
            RawCall(exchange.request_id, caller, headers, exchange.receive, exchange.send, exchange.key_ended)
        )
        if not exchange.started:
            raise RuntimeError(f"The handler of {endpoint.name} returned without an answer.")

    async def _admit(
        self, claim: SignatureClaim | None, endpoint: Operation | RawRoute, request: Mapping[str, Any]
    ) -> None:
        if claim is not None and self._guard is not None:
            await self._guard.admit(claim.access_key_id, endpoint.action, request)


async def _fail(exchange: Exchange, error: Exception) -> None:
    """Answer with an error; after the answer has begun, leave it incomplete, upon which the server closes."""
    named = exchange.error_format.name(error)
    exchange.error = named.shape
    ours = named.shape == INTERNAL[exchange.error_format.family]
    if ours or exchange.started:
        log.error("api.failed", request_id=exchange.request_id, operation=exchange.operation, **describe(error))
    elif isinstance(error, Transient):
        log.warning("api.unavailable", request_id=exchange.request_id, operation=exchange.operation, **describe(error))
    if not exchange.started:
        await exchange.respond(exchange.error_format.render(named, exchange.request_id))


async def _live(receive: Receive, send: Send) -> None:
    """Agree to start and to stop: whatever must be opened and closed is the affair of who made the Api."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
