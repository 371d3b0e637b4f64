"""Sealed runs: complete and durable plans, until the ledger registers one of them for the run."""

from engine.store.port import Store

SEALED = "staging"  # the store's folder for them: staging/CAMPAIGN/KEY/DIGEST


def name_sealed(run: str, digest: str) -> str:
    """Return the folder, within the store, of what is sealed for a run under a digest.

    >>> name_sealed("welcome/1", "ab12")
    'staging/welcome/1/ab12'
    """
    return f"{SEALED}/{run}/{digest}"


def list_sealed(store: Store, run: str) -> set[str]:
    """List the digests of what is sealed for a run `CAMPAIGN/KEY`."""
    folder = f"{SEALED}/{run}"
    # A bucket lists empty folders as well.
    return {digest for digest in store.list_folders(folder) if store.list_names(f"{folder}/{digest}")}


def discard_sealed(store: Store, run: str, digest: str) -> None:
    """Remove what is sealed for a run under a digest, if it is there."""
    store.delete_folder(name_sealed(run, digest))
