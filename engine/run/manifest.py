"""run.json: what was frozen at launch."""

import hashlib
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.audience.planning.lease_range import LeaseRange
from engine.campaign.files import open_file
from engine.errors import DataError
from engine.store.files import digest_bytes, digest_file, write_file
from engine.transaction_guard import refuse_in_transaction

FILE = "run.json"


class FrozenSource(BaseModel):
    """A file of the audience or of suppressions as it was when the plan was made; `digest` is its SHA-256."""

    model_config = ConfigDict(frozen=True)

    name: str
    size_bytes: int
    mtime_ns: int
    digest: str = ""
    version: str | None = None  # an object's ETag


class Registrar(BaseModel):
    """The ledger that a run was frozen for: identity, URL without a password, and who launched, `user@host`."""

    model_config = ConfigDict(frozen=True)

    ledger: str
    place: str
    who: str


class Manifest(BaseModel):
    """A run's frozen settings, digests and counts.

    Attributes:
        run: CAMPAIGN/KEY.
        mailrun: the version that planned it.
        registrar: the ledger that it was frozen for; None where an older version froze it.
        sandbox: it goes to the embedded sandbox.
        limit: `--limit`.
        campaign_from: the campaign's folder, relative to the workspace where it lies inside.
        sources: the audience's and the suppressions' files.
        lenient: `--lenient`.
        transport: `--transport`; None for the campaign's own.
        columns: the audience's columns that the content uses.
        audience_columns: all columns that the audience has.
        rows_read: rows of the audience; accepted plus all of excluded.
        excluded: reason -> rows.
        campaign_files: path under campaign/ -> SHA-256.
        plan_files: file under plan/ -> SHA-256.
        leases: the plan's row groups.
        notes: remarks about the audience, one sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    mailrun: str
    created_at: datetime
    registrar: Registrar | None = None
    sandbox: bool
    limit: int | None
    campaign_from: str = ""
    lenient: bool = False
    transport: str | None = None
    sources: tuple[FrozenSource, ...]
    columns: tuple[str, ...]
    audience_columns: tuple[str, ...]
    rows_read: int
    accepted: int
    excluded: dict[str, int]
    campaign_files: dict[str, str]
    plan_files: dict[str, str]
    leases: tuple[LeaseRange, ...]
    notes: tuple[str, ...]

    def list_plan(self, folder: Path, kind: str) -> list[Path]:
        """List the plan's files of a kind, `recipients` or `excluded`, in the plan's folder."""
        return [folder / name for name in sorted(self.plan_files) if name.startswith(f"{kind}-")]


def write_manifest(folder: Path, manifest: Manifest) -> str:
    """Write run.json; returns its SHA-256."""
    data = encode_manifest(manifest)
    write_file(folder / FILE, data, make_folders=False)
    return digest_bytes(data)


def encode_manifest(manifest: Manifest) -> bytes:
    """Return what run.json holds."""
    return manifest.model_dump_json(indent=1).encode()


def read_manifest(folder: Path, digest: str | None = None, next_digest: str | None = None) -> Manifest:
    """Read run.json.

    Args:
        folder: the run's.
        digest: its digest in the ledger; None where the run is not in the ledger yet.
        next_digest: its digest if a rewrite was interrupted after the file was replaced.

    Raises:
        DataError: it is missing, damaged or not what was frozen.
    """
    path = folder / FILE
    refuse_in_transaction(path)
    remedy = "restore the run's folder from a backup, then run the same command again; nothing was sent"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path), remedy=remedy) from None
    if digest is not None and digest_bytes(data) not in (digest, next_digest):
        raise DataError(
            "was changed after the launch: its digest differs from the ledger's", where=str(path), remedy=remedy
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise DataError(f"is damaged: {error.errors()[0]['msg']}", where=str(path), remedy=remedy) from None


def digest_tree(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file under a folder, by relative path, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest_file(path) for path in files}


def digest_campaign_file(folder: Path, name: str, path: Path) -> str:
    """Return the SHA-256 of one file of a campaign, as `find_files` found it.

    Raises:
        DataError: it is not a regular file inside any more, or cannot be read.
    """
    with open_file(folder, name, path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_damage(folder: Path, digests: dict[str, str]) -> list[str]:
    """Compare a folder's files with their digests; returns a sentence for each file that is missing or differs."""
    problems = []
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif digest_file(path) != digest:
            problems.append(f"{path} was changed: its digest differs")
    return problems
