"""run.json: what was frozen at launch."""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.audience.plan import LeaseRange
from engine.errors import DataError
from engine.store.folder import digest_bytes, digest_file, write_file

FILE = "run.json"


class FrozenSource(BaseModel):
    """An audience file as it was when the plan was made."""

    model_config = ConfigDict(frozen=True)

    name: str
    size_bytes: int
    mtime_ns: int


class Manifest(BaseModel):
    """A run's frozen settings, digests and counts.

    Attributes:
        run: CAMPAIGN/KEY.
        mailrun: the version that planned it.
        sandbox: it goes to the embedded sandbox.
        limit: `--limit`.
        transport: `--transport`; None for the campaign's own.
        columns: the audience's columns that the content uses.
        rows_read: rows of the audience; accepted plus all of excluded.
        excluded: reason -> rows.
        campaign_files: path under campaign/ -> SHA-256.
        plan_files: file under plan/ -> SHA-256.
        leases: the plan's row groups.
        notes: sentences about the audience worth telling.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    mailrun: str
    created_at: datetime
    sandbox: bool
    limit: int | None
    transport: str | None = None
    sources: tuple[FrozenSource, ...]
    columns: tuple[str, ...]
    rows_read: int
    accepted: int
    excluded: dict[str, int]
    campaign_files: dict[str, str]
    plan_files: dict[str, str]
    leases: tuple[LeaseRange, ...]
    notes: tuple[str, ...]


def write_manifest(folder: Path, manifest: Manifest) -> str:
    """Write run.json; returns its SHA-256."""
    data = manifest.model_dump_json(indent=1).encode()
    write_file(folder / FILE, data)
    return digest_bytes(data)


def read_manifest(folder: Path, digest: str | None = None) -> Manifest:
    """Read run.json.

    Args:
        folder: the run's.
        digest: what the ledger says it is; None where the ledger does not know the run yet.

    Raises:
        DataError: it is missing, damaged or not what was frozen.
    """
    path = folder / FILE
    remedy = "restore the run's folder from a backup; nothing was begun again"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path), remedy=remedy) from None
    if digest is not None and digest_bytes(data) != digest:
        raise DataError(
            "is not what was frozen at launch: its digest differs from the ledger's", where=str(path), remedy=remedy
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise DataError(f"is damaged: {error.errors()[0]['msg']}", where=str(path), remedy=remedy) from None


def digest_tree(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file under a folder, by relative path, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest_file(path) for path in files}


def find_damage(folder: Path, digests: dict[str, str]) -> list[str]:
    """Compare a folder's files with their digests; returns a sentence for each file that is missing or differs."""
    problems = []
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif digest_file(path) != digest:
            problems.append(f"{path} is not what was written: its digest differs")
    return problems
