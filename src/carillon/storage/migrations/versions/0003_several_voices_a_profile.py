"""Profiles are recognized by several voices, each of a band, wideband ones with a narrowband embedding too."""

import sqlalchemy as sa
from alembic import op

from carillon.storage.database import Timestamp

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply. What was enrolled before is taken to have been heard on a telephone."""
    op.create_table(
        "enrolled_voices",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("profile_number", _NUMBER, nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("band", sa.String(length=8), nullable=False),
        sa.Column("model_id", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("narrowband", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["profile_number"],
            ["voice_profiles.number"],
            name=op.f("fk_enrolled_voices_profile_number_voice_profiles"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["voice_profile_domains.domain_id"],
            name=op.f("fk_enrolled_voices_domain_id_voice_profile_domains"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_enrolled_voices")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_enrolled_voices_profile_number"), "enrolled_voices", ["profile_number"])
    op.create_index(op.f("ix_enrolled_voices_expires_at"), "enrolled_voices", ["expires_at"])
    op.create_index("ix_enrolled_voices_domain_id_revision", "enrolled_voices", ["domain_id", "revision", "number"])
    op.execute(
        "INSERT INTO enrolled_voices "
        "(number, profile_number, domain_id, label, band, model_id, revision, expires_at, embedding) "
        "SELECT number, number, domain_id, '', 'tel', model_id, revision, expires_at, embedding "
        "FROM voice_profiles WHERE embedding IS NOT NULL"
    )
    _move_speech()
    _rename_removals()
    _narrow_profiles()
    with op.batch_alter_table("voiceprints") as batch_op:
        batch_op.add_column(sa.Column("band", sa.String(length=8), nullable=False, server_default="tel"))
        batch_op.add_column(sa.Column("narrowband", sa.LargeBinary(), nullable=True))
    with op.batch_alter_table("voiceprints") as batch_op:
        batch_op.alter_column("band", server_default=None)


def _move_speech() -> None:
    op.rename_table("enrollment_speech", "old_enrollment_speech")
    op.create_table(
        "enrollment_speech",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("speech", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["number"],
            ["enrolled_voices.number"],
            name=op.f("fk_enrollment_speech_number_enrolled_voices"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_enrollment_speech")),
    )
    op.execute("INSERT INTO enrollment_speech SELECT number, speech FROM old_enrollment_speech")
    op.drop_table("old_enrollment_speech")


def _rename_removals() -> None:
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
    op.create_index(op.f("ix_removed_voices_domain_id"), "removed_voices", ["domain_id"])
    op.create_index(op.f("ix_removed_voices_removed_at"), "removed_voices", ["removed_at"])
    op.execute("INSERT INTO removed_voices SELECT number, domain_id, revision, removed_at FROM removed_voice_profiles")
    op.drop_table("removed_voice_profiles")


def _narrow_profiles() -> None:
    op.drop_index("ix_voice_profiles_expires_at", "voice_profiles")
    op.drop_index("ix_voice_profiles_domain_id_revision", "voice_profiles")
    for column in ("revision", "model_id", "embedding"):
        op.drop_column("voice_profiles", column)


def downgrade() -> None:
    """Refuse: what a profile has more than one of would be lost."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
