"""`carillon calls`, `domains`, `profiles list`: what there is, read from the database while the server runs or not."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from carillon.arns import Arn
from carillon.clock import SystemClock
from carillon.config import Settings
from carillon.data_folder import opened
from carillon.pipelines import ACTIVE, Pipeline, find_kept
from carillon.profiles import Domain, Profile, Profiles
from carillon.tasks import Task, tasks_of
from carillon.terminal import Table, print_json

_PAGE: Final = 100


async def show_calls(settings: Settings, only_active: bool, as_json: bool) -> None:
    """Print every pipeline that can still be read, with its tasks, oldest first."""
    table = Table("began", "call", "call state", "stream", "task", "analysis", "task state", "message")
    async with opened(settings, must_exist=True) as data_folder:
        offset = 0
        while True:
            async with data_folder.database.reading() as connection:
                page = await find_kept(connection, offset, _PAGE)
                tasks = await tasks_of(connection, [pipeline.id for pipeline in page])
            for pipeline in page:
                if only_active and pipeline.state not in ACTIVE:
                    continue
                mine = [task for task in tasks if task.pipeline_id == pipeline.id]
                if as_json:
                    print_json(_call(pipeline, mine))
                    continue
                for row in _rows(pipeline, mine):
                    table.add_row(*row)
            if not as_json:
                table.print()
            offset += _PAGE
            if len(page) < _PAGE:
                return


async def show_domains(settings: Settings, as_json: bool) -> None:
    """Print every voice profile domain, with how many profiles it has."""
    table = Table("domain", "name", "profiles", "created")
    async with _profiles(settings) as profiles:
        after: str | None = None
        while page := await profiles.domains(after, _PAGE):
            for domain in page:
                count = await profiles.count_profiles(domain.id)
                if as_json:
                    print_json(_domain(domain, count))
                    continue
                table.add_row(domain.id, domain.name, str(count), _text(domain.created_at))
            after = page[-1].id
    if not as_json:
        table.print()


async def show_profiles(settings: Settings, domain: str, as_json: bool) -> None:
    """Print every voice profile of a domain.

    Raises:
        DomainNotFound, MalformedArn: there is no domain with this id or ARN.
    """
    domain_id = Arn.parse(domain).name if domain.startswith("arn:") else domain
    table = Table("voice profile", "created", "refreshed", "expires")
    async with _profiles(settings) as profiles:
        after: str | None = None
        while page := await profiles.profiles(domain_id, after, _PAGE):
            for profile in page:
                if as_json:
                    print_json(_profile(profile))
                    continue
                times = (profile.created_at, profile.updated_at, profile.expires_at)
                table.add_row(profile.id, *map(_text, times))
            after = page[-1].id
    if not as_json:
        table.print()


@asynccontextmanager
async def _profiles(settings: Settings) -> AsyncIterator[Profiles]:
    async with opened(settings, must_exist=True) as data_folder:
        account, clock = settings.account, SystemClock()
        async with Profiles(data_folder.database, data_folder.vault, account, clock, settings.profiles) as profiles:
            yield profiles


def _rows(pipeline: Pipeline, tasks: Sequence[Task]) -> Iterator[Sequence[str]]:
    call = (_text(pipeline.created_at), pipeline.id, _words(pipeline.state.value))
    for task in tasks:
        stream = f"{_stream(task.leg.stream_arn)}, channel {task.leg.channel_id}"
        yield (*call, stream, task.id, _words(task.kind.value), _words(task.state.value), task.message or "")
    if not tasks:
        yield (*call, ", ".join(_stream(source.stream_arn) for source in pipeline.sources), "", "", "", "")


def _call(pipeline: Pipeline, tasks: Sequence[Task]) -> Mapping[str, object]:
    return {
        "id": pipeline.id,
        "state": pipeline.state.value,
        "created_at": pipeline.created_at,
        "ended_at": pipeline.ended_at,
        "stream_arns": [source.stream_arn for source in pipeline.sources],
        "tasks": [
            {
                "id": task.id,
                "kind": task.kind.value,
                "state": task.state.value,
                "stream_arn": task.leg.stream_arn,
                "channel_id": task.leg.channel_id,
                "created_at": task.created_at,
                "message": task.message,
            }
            for task in tasks
        ],
    }


def _domain(domain: Domain, profiles: int) -> Mapping[str, object]:
    return {
        "id": domain.id,
        "arn": domain.arn,
        "name": domain.name,
        "description": domain.description,
        "profiles": profiles,
        "created_at": domain.created_at,
        "updated_at": domain.updated_at,
    }


def _profile(profile: Profile) -> Mapping[str, object]:
    return {
        "id": profile.id,
        "arn": profile.arn,
        "domain_id": profile.domain_id,
        "created_at": profile.created_at,
        "updated_at": profile.updated_at,
        "expires_at": profile.expires_at,
    }


def _stream(arn: str) -> str:
    return arn.split("/")[1]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
