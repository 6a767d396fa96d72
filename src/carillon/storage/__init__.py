"""Connections, transactions, migrations and encryption at rest.

Knows how to keep rows and secrets, and nothing of what they mean: tables and queries belong to the room that uses
them, which declares its tables on `metadata`. Start reading at `database.py`; `vault.py` is what makes a stolen data
folder useless.
"""

from carillon.storage.database import Database, DatabaseSettings, RowNumber, Timestamp, metadata
from carillon.storage.errors import (
    CommitUnconfirmed,
    DatabaseBarred,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseRefused,
    DatabaseServed,
    DatabaseUnreachable,
    NotCommitted,
)
from carillon.storage.idempotency import IdempotencyToken, TokenReused, TokenSpent, made_before, make_once
from carillon.storage.root_key import RootKeyUnusable, check_root_key, unlock
from carillon.storage.schema import NewerDatabase, NotWhole, check_tables, known_revisions, migrate, revision_of
from carillon.storage.sqlite import LONG
from carillon.storage.tags import forget_tags, put_tags, remove_tags, tags_of
from carillon.storage.vault import SealBroken, Vault, WrappedKey

__all__ = [
    "LONG",
    "CommitUnconfirmed",
    "Database",
    "DatabaseBarred",
    "DatabaseBusy",
    "DatabaseDamaged",
    "DatabaseRefused",
    "DatabaseServed",
    "DatabaseSettings",
    "DatabaseUnreachable",
    "IdempotencyToken",
    "NewerDatabase",
    "NotCommitted",
    "NotWhole",
    "RootKeyUnusable",
    "RowNumber",
    "SealBroken",
    "Timestamp",
    "TokenReused",
    "TokenSpent",
    "Vault",
    "WrappedKey",
    "check_root_key",
    "check_tables",
    "forget_tags",
    "known_revisions",
    "made_before",
    "make_once",
    "metadata",
    "migrate",
    "put_tags",
    "remove_tags",
    "revision_of",
    "tags_of",
    "unlock",
]
