"""rest-json from botocore's service models: route, verify, parse, validate, call, serialize.

Knows the models and HTTP, and not one operation: what is specific to a resource lives in its own module beside this
folder, marked with `@operation`. Start reading at `operations.py` (what a handler looks like), then `app.py` (the life
of a request).
"""

from carillon.api.protocol.app import Api
from carillon.api.protocol.asgi import ClientGone
from carillon.api.protocol.exchange import PROVEN, RequestSettings
from carillon.api.protocol.liveness import Liveness, asks_for_liveness
from carillon.api.protocol.operations import RawCall, Service, caller, operation, reached_at, route
from carillon.api.protocol.sigv4 import SignatureVerifier

__all__ = [
    "PROVEN",
    "Api",
    "ClientGone",
    "Liveness",
    "RawCall",
    "RequestSettings",
    "Service",
    "SignatureVerifier",
    "asks_for_liveness",
    "caller",
    "operation",
    "reached_at",
    "route",
]
