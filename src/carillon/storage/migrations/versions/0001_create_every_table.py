"""Create every table."""

import sqlalchemy as sa
from alembic import op

from carillon.storage.database import Timestamp

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "idempotency_tokens",
        sa.Column("scope", sa.String(length=200), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("scope", "token", name=op.f("pk_idempotency_tokens")),
    )
    with op.batch_alter_table("idempotency_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_tokens_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "insights_configurations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("arn", sa.String(length=1024), nullable=False),
        sa.Column("role_arn", sa.String(length=1024), nullable=False),
        sa.Column("elements", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_insights_configurations")),
        sa.UniqueConstraint("name", name=op.f("uq_insights_configurations_name")),
    )
    op.create_table(
        "insights_pipelines",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("arn", sa.String(length=1024), nullable=False),
        sa.Column("configuration_arn", sa.String(length=1024), nullable=False),
        sa.Column("elements", sa.LargeBinary(), nullable=False),
        sa.Column("sources", sa.LargeBinary(), nullable=False),
        sa.Column("rate_hz", sa.Integer(), nullable=False),
        sa.Column("runtime_metadata", sa.LargeBinary(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("data_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("ended_at", Timestamp, nullable=True),
        sa.Column("deleted_at", Timestamp, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_insights_pipelines")),
    )
    with op.batch_alter_table("insights_pipelines", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_insights_pipelines_configuration_arn"), ["configuration_arn"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_insights_pipelines_state"), ["state"], unique=False)

    op.create_table(
        "notification_events",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("detail_type", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=64), nullable=True),
        sa.Column("pipeline_id", sa.String(length=64), nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.Column("posted_at", Timestamp, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_notification_events")),
        sa.UniqueConstraint("event_id", name=op.f("uq_notification_events_event_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("notification_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notification_events_posted_at"), ["posted_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_notification_events_task_id"), ["task_id"], unique=False)

    op.create_table(
        "streams",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("arn", sa.String(length=1024), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("retention_hours", sa.Integer(), nullable=False),
        sa.Column("device_name", sa.String(length=128), nullable=True),
        sa.Column("media_type", sa.String(length=128), nullable=True),
        sa.Column("kms_key_id", sa.String(length=2048), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("data_key", sa.LargeBinary(), nullable=False),
        sa.Column("reserved_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_streams")),
        sa.UniqueConstraint("arn", name=op.f("uq_streams_arn")),
        sa.UniqueConstraint("name", name=op.f("uq_streams_name")),
    )
    op.create_table(
        "resource_tags",
        sa.Column("arn", sa.String(length=1024), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("arn", "key", name=op.f("pk_resource_tags")),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("pipeline_id", sa.String(length=36), nullable=False),
        sa.Column("stream_arn", sa.String(length=1024), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("leg", sa.LargeBinary(), nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("start_fragment", sa.String(length=128), nullable=True),
        sa.Column("message", sa.String(length=1024), nullable=True),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("ended_at", Timestamp, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tasks_domain_id"), ["domain_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tasks_pipeline_id"), ["pipeline_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tasks_state"), ["state"], unique=False)

    op.create_table(
        "voice_profile_domains",
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("description", sa.String(length=1024), nullable=True),
        sa.Column("kms_key_arn", sa.String(length=1024), nullable=False),
        sa.Column("data_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("compacted_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("domain_id", name=op.f("pk_voice_profile_domains")),
    )
    op.create_table(
        "fragments",
        sa.Column("stream_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.String(length=47), nullable=False),
        sa.Column("server_at", Timestamp, nullable=False),
        sa.Column("producer_at", Timestamp, nullable=False),
        sa.Column("received_at", Timestamp, nullable=False),
        sa.Column("timecode_ms", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("head_bytes", sa.Integer(), nullable=False),
        sa.Column("segment", sa.String(length=47), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["streams.id"], name=op.f("fk_fragments_stream_id_streams"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("stream_id", "number", name=op.f("pk_fragments")),
    )
    with op.batch_alter_table("fragments", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_fragments_stream_id_fragments_producer_at"), ["stream_id", "producer_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_fragments_stream_id_fragments_segment"), ["stream_id", "segment"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_fragments_stream_id_fragments_server_at"), ["stream_id", "server_at"], unique=False
        )

    op.create_table(
        "notification_deliveries",
        sa.Column(
            "delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("target_arn", sa.String(length=1024), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", Timestamp, nullable=False),
        sa.Column("finished_at", Timestamp, nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.String(length=512), nullable=True),
        sa.ForeignKeyConstraint(
            ["sequence"],
            ["notification_events.sequence"],
            name=op.f("fk_notification_deliveries_sequence_notification_events"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_notification_deliveries")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("notification_deliveries", schema=None) as batch_op:
        batch_op.create_index(
            "ix_notification_deliveries_pending",
            ["kind", "target_arn", "delivery_id"],
            unique=False,
            sqlite_where=sa.text("finished_at IS NULL"),
            postgresql_where=sa.text("finished_at IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_notification_deliveries_sequence"), ["sequence"], unique=False)

    op.create_table(
        "removed_voice_profiles",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["voice_profile_domains.domain_id"],
            name=op.f("fk_removed_voice_profiles_domain_id_voice_profile_domains"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_removed_voice_profiles")),
    )
    with op.batch_alter_table("removed_voice_profiles", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_removed_voice_profiles_domain_id"), ["domain_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_removed_voice_profiles_removed_at"), ["removed_at"], unique=False)

    op.create_table(
        "voice_profiles",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("profile_id", sa.String(length=64), nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("enrolled_task_id", sa.String(length=256), nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("model_id", sa.String(length=128), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["voice_profile_domains.domain_id"],
            name=op.f("fk_voice_profiles_domain_id_voice_profile_domains"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_voice_profiles")),
        sa.UniqueConstraint("enrolled_task_id", name=op.f("uq_voice_profiles_enrolled_task_id")),
        sa.UniqueConstraint("profile_id", name=op.f("uq_voice_profiles_profile_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("voice_profiles", schema=None) as batch_op:
        batch_op.create_index("ix_voice_profiles_domain_id_profile_id", ["domain_id", "profile_id"], unique=False)
        batch_op.create_index("ix_voice_profiles_domain_id_revision", ["domain_id", "revision", "number"], unique=False)
        batch_op.create_index(
            "ix_voice_profiles_expires_at",
            ["expires_at"],
            unique=False,
            sqlite_where=sa.text("embedding IS NOT NULL"),
            postgresql_where=sa.text("embedding IS NOT NULL"),
        )

    op.create_table(
        "voiceprints",
        sa.Column("task_id", sa.String(length=256), nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("made_at", Timestamp, nullable=False),
        sa.Column("call_ended_at", Timestamp, nullable=True),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.Column("enrolled_profile_id", sa.String(length=64), nullable=True),
        sa.Column("refreshed_profile_id", sa.String(length=64), nullable=True),
        sa.Column("model_id", sa.String(length=128), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("speech", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["voice_profile_domains.domain_id"],
            name=op.f("fk_voiceprints_domain_id_voice_profile_domains"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_voiceprints")),
    )
    with op.batch_alter_table("voiceprints", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_voiceprints_domain_id"), ["domain_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_voiceprints_enrolled_profile_id"), ["enrolled_profile_id"], unique=False)
        batch_op.create_index("ix_voiceprints_expires_at", ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_voiceprints_refreshed_profile_id"), ["refreshed_profile_id"], unique=False)
        batch_op.create_index(
            "ix_voiceprints_to_wipe",
            ["expires_at"],
            unique=False,
            sqlite_where=sa.text("embedding IS NOT NULL"),
            postgresql_where=sa.text("embedding IS NOT NULL"),
        )

    op.create_table(
        "enrollment_speech",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("speech", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["number"],
            ["voice_profiles.number"],
            name=op.f("fk_enrollment_speech_number_voice_profiles"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_enrollment_speech")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("enrollment_speech")
    with op.batch_alter_table("voiceprints", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_voiceprints_to_wipe",
            sqlite_where=sa.text("embedding IS NOT NULL"),
            postgresql_where=sa.text("embedding IS NOT NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_voiceprints_refreshed_profile_id"))
        batch_op.drop_index("ix_voiceprints_expires_at")
        batch_op.drop_index(batch_op.f("ix_voiceprints_enrolled_profile_id"))
        batch_op.drop_index(batch_op.f("ix_voiceprints_domain_id"))

    op.drop_table("voiceprints")
    with op.batch_alter_table("voice_profiles", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_voice_profiles_expires_at",
            sqlite_where=sa.text("embedding IS NOT NULL"),
            postgresql_where=sa.text("embedding IS NOT NULL"),
        )
        batch_op.drop_index("ix_voice_profiles_domain_id_revision")
        batch_op.drop_index("ix_voice_profiles_domain_id_profile_id")

    op.drop_table("voice_profiles")
    with op.batch_alter_table("removed_voice_profiles", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_removed_voice_profiles_removed_at"))
        batch_op.drop_index(batch_op.f("ix_removed_voice_profiles_domain_id"))

    op.drop_table("removed_voice_profiles")
    with op.batch_alter_table("notification_deliveries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_notification_deliveries_sequence"))
        batch_op.drop_index(
            "ix_notification_deliveries_pending",
            sqlite_where=sa.text("finished_at IS NULL"),
            postgresql_where=sa.text("finished_at IS NULL"),
        )

    op.drop_table("notification_deliveries")
    with op.batch_alter_table("fragments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fragments_stream_id_fragments_server_at"))
        batch_op.drop_index(batch_op.f("ix_fragments_stream_id_fragments_segment"))
        batch_op.drop_index(batch_op.f("ix_fragments_stream_id_fragments_producer_at"))

    op.drop_table("fragments")
    op.drop_table("voice_profile_domains")
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tasks_state"))
        batch_op.drop_index(batch_op.f("ix_tasks_pipeline_id"))
        batch_op.drop_index(batch_op.f("ix_tasks_domain_id"))

    op.drop_table("tasks")
    op.drop_table("resource_tags")
    op.drop_table("streams")
    with op.batch_alter_table("notification_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_notification_events_task_id"))
        batch_op.drop_index(batch_op.f("ix_notification_events_posted_at"))

    op.drop_table("notification_events")
    with op.batch_alter_table("insights_pipelines", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_insights_pipelines_state"))
        batch_op.drop_index(batch_op.f("ix_insights_pipelines_configuration_arn"))

    op.drop_table("insights_pipelines")
    op.drop_table("insights_configurations")
    with op.batch_alter_table("idempotency_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_tokens_expires_at"))

    op.drop_table("idempotency_tokens")
