"""The ledger's migrations, run by Alembic."""
