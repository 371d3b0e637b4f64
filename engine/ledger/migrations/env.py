"""Alembic's entry: runs the migrations on the connection that `migrate` holds."""

from alembic import context

from engine.ledger.schema import metadata

if hasattr(context, "config"):  # Alembic runs this file, and an import alone does nothing
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
    context.run_migrations()
