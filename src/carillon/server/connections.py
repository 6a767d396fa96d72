"""Who is connected: clients that have proven a key, and strangers, of whom there may be only so many.

A connection costs a descriptor, and a process has only so many. Whoever has no key could use them all up by connecting
and saying nothing, and then nobody who has one would get in. So strangers are counted, by address and all together;
where there are too many, the one that has been a stranger for longest has to go. A client is a stranger from its
connecting until its first good signature, which is milliseconds; it is never the one that has waited for longest.
"""

import resource
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Gauge

from carillon.clock import Clock, SystemClock
from carillon.telemetry import get_logger

log = get_logger()

_TOLD_EVERY_SECONDS: Final = 10.0
_MOST_DESCRIPTORS: Final = 65_536  # as many as we ask for; some systems would allow a billion
_RESERVED: Final = 64  # descriptors for database, segments and the like, however few there are
_STRANGERS: Final = Gauge("carillon_connections_strangers", "Connections whose client has not proven a key yet")
_KNOWN: Final = Gauge("carillon_connections_known", "Connections whose client has proven a key")
_DROPPED: Final = Counter("carillon_connections_dropped", "Strangers whose connections were closed", ["reason"])


def raise_descriptor_limit() -> int:
    """Raise this process's limit of open files as far as it may; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft if soft != resource.RLIM_INFINITY else _MOST_DESCRIPTORS


class Connections:
    """Counts connections and makes room for new ones.

    Args:
        most_strangers: of all addresses together.
        most_of_one_address: strangers.
        clock: times how often it is logged.
    """

    def __init__(self, most_strangers: int, most_of_one_address: int, clock: Clock | None = None) -> None:
        self._most = most_strangers
        self._most_of_one = most_of_one_address
        self._clock = clock or SystemClock()
        self._strangers: OrderedDict[object, tuple[str, Callable[[], None]]] = OrderedDict()  # the first came first
        self._by_address: dict[str, OrderedDict[object, None]] = {}
        self._known: set[object] = set()
        self._untold = 0
        self._tell_at = 0.0

    def admit(self, connection: object, address: str, close: Callable[[], None]) -> None:
        """Count a new connection, a stranger's; where that makes too many, close the one that is oldest.

        Args:
            connection: anything that is the same when it leaves.
            address: of the peer, without its port.
            close: ends it at once.
        """
        mine = self._by_address.setdefault(address, OrderedDict())
        if len(mine) >= self._most_of_one:
            self._drop(next(iter(mine)), "address", address)
        elif len(self._strangers) >= self._most:
            self.make_room("total")
        self._strangers[connection] = (address, close)
        self._by_address.setdefault(address, mine)[connection] = None
        self._count()

    def make_room(self, reason: str) -> bool:
        """Close the stranger that has been here for longest; tell whether there was one."""
        if not self._strangers:
            return False
        oldest, (address, _) = next(iter(self._strangers.items()))
        self._drop(oldest, reason, address)
        return True

    def prove(self, connection: object) -> None:
        """Count a connection as a client's from now on."""
        if self._forget_stranger(connection):
            self._known.add(connection)
            self._count()

    def leave(self, connection: object) -> None:
        """Count a connection no more."""
        self._forget_stranger(connection)
        self._known.discard(connection)
        self._count()

    def _drop(self, connection: object, reason: str, address: str) -> None:
        _, close = self._strangers[connection]
        self._forget_stranger(connection)
        close()
        _DROPPED.labels(reason).inc()
        self._untold += 1
        now = self._clock.monotonic()
        if now >= self._tell_at:
            log.warning("connections.strangers_dropped", count=self._untold, reason=reason, last_address=address)
            self._untold, self._tell_at = 0, now + _TOLD_EVERY_SECONDS

    def _forget_stranger(self, connection: object) -> bool:
        found = self._strangers.pop(connection, None)
        if found is None:
            return False
        address = found[0]
        mine = self._by_address[address]
        del mine[connection]
        if not mine:
            del self._by_address[address]
        return True

    def _count(self) -> None:
        _STRANGERS.set(len(self._strangers))
        _KNOWN.set(len(self._known))


def connections_for(descriptors: int, most_of_one_address: int) -> Connections:
    """Return a count that leaves three of four descriptors to clients that have proven a key, and to files."""
    return Connections(max(16, (descriptors - _RESERVED) // 4), most_of_one_address)
