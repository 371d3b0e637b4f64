"""The end of a lease: its outcomes as a file in the store, and what earlier owners left of it cleared away."""

from collections import Counter
from collections.abc import Mapping

import polars as pl

from engine.ledger.journal import Result
from engine.ledger.leases import Lease, Settlement
from engine.run.frozen import FrozenRun
from engine.run.open_lease import encode_outcomes, name_outcomes, parse_name
from engine.store.folder import digest_bytes


def write_outcomes(
    frozen: FrozenRun, lease: Lease, recipients: pl.DataFrame, results: Mapping[int, Result]
) -> Settlement:
    """Write a lease's outcomes durably; what the ledger is then told."""
    name = f"{name_outcomes(lease)}.parquet"
    data = encode_outcomes(recipients, results)
    frozen.store.write(frozen.key("outcomes", name), data)
    return Settlement(Counter(result.outcome for result in results.values()), name, digest_bytes(data))


def clear_before(frozen: FrozenRun, lease: Lease) -> None:
    """Remove outcomes of owners that ended before they settled; first, so that none stays when this owner ends."""
    if lease.epoch == 1:
        return
    for name in frozen.store.list_names(frozen.key("outcomes")):
        found = parse_name(name)
        if found is not None and found[0] == lease.ordinal and found[1] < lease.epoch:
            frozen.store.delete(frozen.key("outcomes", name))


def clear_after(frozen: FrozenRun, lease: Lease, *, settled: bool) -> None:
    """Remove the files and marks of the lease's earlier owners; where it was lost, our own file alone."""
    own = f"{name_outcomes(lease)}.parquet"
    if not settled:
        frozen.store.delete(frozen.key("outcomes", own))
        return
    if lease.epoch == 1:  # nobody was here before
        frozen.store.delete(frozen.key("open", name_outcomes(lease)))
        return
    for folder in ("outcomes", "open"):
        for name in frozen.store.list_names(frozen.key(folder)) - {own}:
            found = parse_name(name)
            if found is not None and found[0] == lease.ordinal and found[1] <= lease.epoch:
                frozen.store.delete(frozen.key(folder, name))
