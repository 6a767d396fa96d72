"""Create every table."""

import sqlalchemy as sa
from alembic import op

from carillon.storage.database import Timestamp

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TRIGGERS = {
    "sqlite": (
        (
            "CREATE TRIGGER audit_trail_no_update BEFORE UPDATE ON audit_trail "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        ),
        (
            "CREATE TRIGGER audit_trail_no_delete BEFORE DELETE ON audit_trail "
            "WHEN OLD.at > (CAST(strftime('%s', 'now') AS INTEGER) - 86400) * 1000000 "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        ),
    ),
    "postgresql": (
        (
            "CREATE FUNCTION refuse_change_of_audit_trail() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"
        ),
        (
            "CREATE TRIGGER audit_trail_no_update BEFORE UPDATE ON audit_trail "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_trail()"
        ),
        (
            "CREATE TRIGGER audit_trail_no_delete BEFORE DELETE ON audit_trail FOR EACH ROW "
            "WHEN (OLD.at > (extract(epoch FROM clock_timestamp())::bigint - 86400) * 1000000) "
            "EXECUTE FUNCTION refuse_change_of_audit_trail()"
        ),
        (
            "CREATE TRIGGER audit_trail_no_truncate BEFORE TRUNCATE ON audit_trail "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_trail()"
        ),
    ),
}


def upgrade() -> None:
    """Apply."""
    _create_storage()
    _create_pipelines()
    _create_streams()
    _create_profiles()
    _create_tasks()
    _create_notifications()
    _create_access()
    _protect_audit_trail()


def _create_storage() -> None:
    op.create_table(
        "idempotency_tokens",
        sa.Column("scope", sa.String(length=200), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("scope", "token", name=op.f("pk_idempotency_tokens")),
    )
    op.create_index(op.f("ix_idempotency_tokens_expires_at"), "idempotency_tokens", ["expires_at"], unique=False)
    op.create_table(
        "resource_tags",
        sa.Column("arn", sa.String(length=1024), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("arn", "key", name=op.f("pk_resource_tags")),
    )
    op.create_table(
        "root_key",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_root_key")),
    )


def _create_pipelines() -> None:
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
        sa.Column("recording", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_insights_pipelines")),
    )
    op.create_index(
        op.f("ix_insights_pipelines_configuration_arn"), "insights_pipelines", ["configuration_arn"], unique=False
    )
    op.create_index(op.f("ix_insights_pipelines_state"), "insights_pipelines", ["state"], unique=False)


def _create_streams() -> None:
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
        sa.PrimaryKeyConstraint("stream_id", "number", name=op.f("pk_fragments")),
    )
    op.create_index(
        op.f("ix_fragments_stream_id_fragments_producer_at"), "fragments", ["stream_id", "producer_at"], unique=False
    )
    op.create_index(
        op.f("ix_fragments_stream_id_fragments_segment"), "fragments", ["stream_id", "segment"], unique=False
    )
    op.create_index(
        op.f("ix_fragments_stream_id_fragments_server_at"), "fragments", ["stream_id", "server_at"], unique=False
    )
    op.create_table(
        "segment_tombstones",
        sa.Column("stream_id", sa.String(length=32), nullable=False),
        sa.Column("segment", sa.String(length=47), nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "segment", name=op.f("pk_segment_tombstones")),
    )
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
        sa.Column("stored_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_streams")),
        sa.UniqueConstraint("arn", name=op.f("uq_streams_arn")),
        sa.UniqueConstraint("name", name=op.f("uq_streams_name")),
    )


def _create_profiles() -> None:
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
        sa.Column("deleted_at", Timestamp, nullable=True),
        sa.PrimaryKeyConstraint("domain_id", name=op.f("pk_voice_profile_domains")),
    )
    op.create_table(
        "removed_voices",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["voice_profile_domains.domain_id"],
            name=op.f("fk_removed_voices_domain_id_voice_profile_domains"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_removed_voices")),
    )
    op.create_index(op.f("ix_removed_voices_domain_id"), "removed_voices", ["domain_id"], unique=False)
    op.create_index(op.f("ix_removed_voices_removed_at"), "removed_voices", ["removed_at"], unique=False)
    op.create_table(
        "voice_profiles",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("profile_id", sa.String(length=64), nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("enrolled_task_id", sa.String(length=256), nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
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
    op.create_index(
        "ix_voice_profiles_domain_id_profile_id", "voice_profiles", ["domain_id", "profile_id"], unique=False
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
        sa.Column("band", sa.String(length=8), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("narrowband", sa.LargeBinary(), nullable=True),
        sa.Column("speech", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["voice_profile_domains.domain_id"],
            name=op.f("fk_voiceprints_domain_id_voice_profile_domains"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_voiceprints")),
    )
    op.create_index(op.f("ix_voiceprints_domain_id"), "voiceprints", ["domain_id"], unique=False)
    op.create_index(op.f("ix_voiceprints_enrolled_profile_id"), "voiceprints", ["enrolled_profile_id"], unique=False)
    op.create_index("ix_voiceprints_expires_at", "voiceprints", ["expires_at"], unique=False)
    op.create_index(op.f("ix_voiceprints_refreshed_profile_id"), "voiceprints", ["refreshed_profile_id"], unique=False)
    op.create_index(
        "ix_voiceprints_to_wipe",
        "voiceprints",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("embedding IS NOT NULL"),
        postgresql_where=sa.text("embedding IS NOT NULL"),
    )
    op.create_table(
        "enrolled_voices",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("profile_number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("band", sa.String(length=8), nullable=False),
        sa.Column("model_id", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("narrowband", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["voice_profile_domains.domain_id"],
            name=op.f("fk_enrolled_voices_domain_id_voice_profile_domains"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["profile_number"],
            ["voice_profiles.number"],
            name=op.f("fk_enrolled_voices_profile_number_voice_profiles"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_enrolled_voices")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_enrolled_voices_domain_id_revision", "enrolled_voices", ["domain_id", "revision", "number"], unique=False
    )
    op.create_index(op.f("ix_enrolled_voices_expires_at"), "enrolled_voices", ["expires_at"], unique=False)
    op.create_index(op.f("ix_enrolled_voices_profile_number"), "enrolled_voices", ["profile_number"], unique=False)
    op.create_table(
        "enrollment_speech",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("speech", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["number"],
            ["enrolled_voices.number"],
            name=op.f("fk_enrollment_speech_number_enrolled_voices"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_enrollment_speech")),
    )


def _create_tasks() -> None:
    op.create_table(
        "pipeline_leases",
        sa.Column("pipeline_id", sa.String(length=36), nullable=False),
        sa.Column("owner", sa.String(length=36), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("renewals", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pipeline_id", name=op.f("pk_pipeline_leases")),
    )
    op.create_index(op.f("ix_pipeline_leases_owner"), "pipeline_leases", ["owner"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("pipeline_id", sa.String(length=36), nullable=False),
        sa.Column("stream_arn", sa.String(length=1024), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("leg", sa.LargeBinary(), nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=True),
        sa.Column("language", sa.String(length=16), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("start_fragment", sa.String(length=128), nullable=True),
        sa.Column("message", sa.String(length=1024), nullable=True),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("ended_at", Timestamp, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
    )
    op.create_index(op.f("ix_tasks_domain_id"), "tasks", ["domain_id"], unique=False)
    op.create_index(op.f("ix_tasks_pipeline_id"), "tasks", ["pipeline_id"], unique=False)
    op.create_index(op.f("ix_tasks_state"), "tasks", ["state"], unique=False)
    op.create_table(
        "task_results",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name=op.f("fk_task_results_task_id_tasks"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_task_results")),
        sa.UniqueConstraint("event_id", name=op.f("uq_task_results_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_task_results_task_id"), "task_results", ["task_id"], unique=False)


def _create_notifications() -> None:
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
    op.create_index(op.f("ix_notification_events_posted_at"), "notification_events", ["posted_at"], unique=False)
    op.create_index(op.f("ix_notification_events_task_id"), "notification_events", ["task_id"], unique=False)
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
    op.create_index(
        "ix_notification_deliveries_pending",
        "notification_deliveries",
        ["kind", "target_arn", "delivery_id"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(op.f("ix_notification_deliveries_sequence"), "notification_deliveries", ["sequence"], unique=False)


def _create_access() -> None:
    op.create_table(
        "audit_trail",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.Column("access_key_id", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=128), nullable=False),
        sa.Column("resource", sa.String(length=1024), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=128), nullable=True),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_trail")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_trail_at"), "audit_trail", ["at"], unique=False)


def _protect_audit_trail() -> None:
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)
