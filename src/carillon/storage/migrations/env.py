"""Alembic's way in: runs on the connection that `carillon.storage.schema` hands over."""

from alembic import context

from carillon.storage.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
