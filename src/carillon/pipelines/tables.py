"""Rows of configurations and pipelines, and how they become values."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from carillon.pipelines.elements import Elements
from carillon.pipelines.model import Pipeline, StreamSource
from carillon.pipelines.states import PipelineState
from carillon.storage import Timestamp, WrappedKey, metadata

configurations: Final = sa.Table(
    "insights_configurations",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("arn", sa.String(1024), nullable=False),
    sa.Column("role_arn", sa.String(1024), nullable=False),
    sa.Column("elements", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
)

pipelines: Final = sa.Table(
    "insights_pipelines",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("arn", sa.String(1024), nullable=False),
    sa.Column("configuration_arn", sa.String(1024), nullable=False, index=True),
    sa.Column("elements", sa.LargeBinary, nullable=False),
    sa.Column("sources", sa.LargeBinary, nullable=False),
    sa.Column("rate_hz", sa.Integer, nullable=False),
    sa.Column("runtime_metadata", sa.LargeBinary, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("data_key", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.Column("ended_at", Timestamp),
    sa.Column("deleted_at", Timestamp),
    sa.Column("recording", sa.LargeBinary),
)


def is_visible(pipeline_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return the condition that an id is of the pipeline that `:identifier` names, by id or ARN, and is still shown.

    `:shown_since` is bound to `Pipelines.shown_since`. So a room that keeps rows of pipelines needs one query, not two.
    """
    identifier = sa.bindparam("identifier", type_=sa.String)
    since = sa.bindparam("shown_since", type_=Timestamp)
    return sa.exists().where(
        pipelines.c.id == pipeline_id,
        sa.or_(pipelines.c.id == identifier, pipelines.c.arn == identifier),
        pipelines.c.deleted_at.is_(None),
        sa.or_(pipelines.c.ended_at.is_(None), pipelines.c.ended_at > since),
    )


def dump(value: object) -> bytes:
    """Encode a value made of dataclasses, enums and JSON for a column."""
    return msgspec.json.encode(value)


def dump_recording(recording: Mapping[str, Any]) -> bytes | None:
    """Encode what a request says of recording, times included; None if it says nothing."""
    return msgspec.msgpack.encode(recording) if recording else None


def load_elements(data: bytes) -> Elements:
    """Decode the elements of a configuration."""
    return msgspec.json.decode(data, type=Elements)


def pipeline_from(row: sa.Row[Any]) -> Pipeline:
    """Turn a row of `insights_pipelines` into a pipeline."""
    return Pipeline(
        id=row.id,
        arn=row.arn,
        configuration_arn=row.configuration_arn,
        elements=load_elements(row.elements),
        sources=msgspec.json.decode(row.sources, type=tuple[StreamSource, ...]),
        rate_hz=row.rate_hz,
        metadata=msgspec.json.decode(row.runtime_metadata, type=dict[str, str]),
        document=msgspec.json.decode(row.document, type=dict[str, Any]),
        recording={} if row.recording is None else msgspec.msgpack.decode(row.recording, type=dict[str, Any]),
        state=PipelineState(row.state),
        created_at=row.created_at,
        updated_at=row.updated_at,
        ended_at=row.ended_at,
        key=WrappedKey(row.data_key),
    )
