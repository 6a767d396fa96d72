"""How many requests may be at work on one resource: as many as there are, or as many as AWS lets."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from carillon.errors import StateConflict


class RequestInProgress(StateConflict):
    """Another request about the same resource is still being answered."""

    def __init__(self, resource: str) -> None:
        super().__init__(f"Another request about {resource} is being answered. Ask again in a moment.")


class RequestCounter:
    """Counts the requests of this process that are changing a resource.

    AWS: 1 for each voice profile domain, voice profile, speaker search task and voice tone analysis task. Heeded where
    the operation declares a conflict, which is where something changes.

    Args:
        most: at the same time, about one resource; 0 means as many as come.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._now: Counter[str] = Counter()

    @contextmanager
    def about(self, *resources: str) -> Iterator[None]:
        """Count a request while it is being answered.

        Raises:
            RequestInProgress: there are as many as may be about one of these resources.
        """
        if self._most <= 0:
            yield
            return
        busy = next((resource for resource in resources if self._now[resource] >= self._most), None)
        if busy is not None:
            raise RequestInProgress(busy)
        self._now.update(resources)
        try:
            yield
        finally:
            self._now.subtract(resources)
            self._now += Counter()  # forgets those that are at zero
