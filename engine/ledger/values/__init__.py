"""How values of the ledger are read."""
