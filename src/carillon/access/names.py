"""The ARNs of what requests call by a name, asked of the rooms that know."""

from carillon.errors import NotFound
from carillon.pipelines import Configurations
from carillon.streams import Streams
from carillon.tasks import TaskStore


class StoredNames:
    """Looks names up where the resources are kept."""

    def __init__(self, streams: Streams, configurations: Configurations, tasks: TaskStore) -> None:
        self._streams = streams
        self._configurations = configurations
        self._tasks = tasks

    async def stream_arn(self, name: str) -> str | None:
        """Return the ARN of a stream, None if there is none."""
        try:
            return (await self._streams.catalog.find(name)).arn
        except NotFound:
            return None

    async def configuration_arn(self, identifier: str) -> str | None:
        """Return the ARN of a configuration by name or id, None if there is none."""
        try:
            return (await self._configurations.find(identifier)).arn
        except NotFound:
            return None

    async def domain_of_task(self, task_id: str) -> str | None:
        """Return the id of the domain that a speaker search looks into, None if there is no such search."""
        try:
            return (await self._tasks.current(task_id)).domain_id
        except NotFound:
            return None
