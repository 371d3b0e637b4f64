"""Which ledger the files of a run belong to: checked before files in a store are removed or rewritten.

A store may have runs of several ledgers, and a ledger runs of several stores, under the same names.
"""

from engine.ledger.database import Ledger
from engine.ledger.identity import read_identity
from engine.ledger.runs import Run
from engine.run.frozen import Begun, is_in_other_store, make_other_ledger_error, read_begun
from engine.run.manifest import FILE, Manifest
from engine.store.files import digest_bytes
from engine.store.port import Store


def find_registrar(run_file: bytes) -> Begun:
    """Find the ledger that a run.json was frozen for; an empty one where it has none."""
    try:
        registrar = Manifest.model_validate_json(run_file).registrar
    except ValueError:
        return Begun()  # damaged
    return Begun() if registrar is None else Begun(registrar.ledger, registrar.place, registrar.who)


def find_other_owner(run: Run, store: Store, ledger: Ledger) -> str | None:
    """Find the store or the ledger that a run's files belong to, if not to these.

    Returns:
        Its place; None where nothing shows another owner: they are this run's, damaged, or not here.
    """
    if is_in_other_store(run, store):
        return run.store_place or ""
    begun = read_begun(run.name, store)
    if begun is None or not begun.ledger:
        data = store.read(f"{run.folder}/{FILE}")
        if data is None or _is_registered(run, data):
            return None
        begun = find_registrar(data)
    return None if begun.ledger in ("", read_identity(ledger)) else begun.place


def has_files(run: Run, store: Store, ledger: Ledger) -> bool:
    """Return True if this store has the files of a run, and they are certainly what this ledger launched."""
    data = store.read(f"{run.folder}/{FILE}")
    if data is None or find_other_owner(run, store, ledger) is not None:
        return False
    begun, registrar = read_begun(run.name, store), find_registrar(data)
    own = read_identity(ledger)
    return _is_registered(run, data) or own in (registrar.ledger, "" if begun is None else begun.ledger)


def refuse_other_owner(run: Run, store: Store, ledger: Ledger) -> None:
    """Check that the files in this store under a run's name are not another ledger's.

    Raises:
        DataError: they are.
    """
    if run.pruned_at is not None or is_in_other_store(run, store):
        return  # opening the run reports it
    if find_other_owner(run, store, ledger) is not None:
        data = store.read(f"{run.folder}/{FILE}")
        begun = read_begun(run.name, store) or (Begun() if data is None else find_registrar(data))
        raise make_other_ledger_error(run.name, store, ledger, begun)


def _is_registered(run: Run, run_file: bytes) -> bool:
    return digest_bytes(run_file) in (run.manifest_digest, run.next_manifest_digest)
