"""Parse and check the locations of the store and the ledger, as people write them."""

import re
from pathlib import Path

from engine.errors import ConfigurationError
from engine.masking import mask_url

REMOTE = "s3://"  # a place in a bucket
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|s3/{2}", re.IGNORECASE)
_BUCKET = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]{1,254}(/[^?#]*)?")
_ALMOST_S3 = re.compile(r"s3(:/*|/+)", re.IGNORECASE)
_SQLITE = re.compile(r"sqlite(\+\w+)?:///(?P<path>[^?]+)(\?.*)?")
_POSTGRES = re.compile(r"postgres(ql)?(\+\w+)?://.*")
LEDGER_EXAMPLES = "write it as sqlite:////absolute/path/ledger.db or postgresql://user@host/database"


def check_store(store: str, where: str) -> None:
    """Check that a store is a folder, or a bucket as `s3://BUCKET/PREFIX`.

    Raises:
        ConfigurationError: it looks like a URL and is not one of a bucket, such as `s3:/bucket` or `file:///folder`.
    """
    if not _SCHEME.match(store) or _BUCKET.fullmatch(store):
        return
    remedy = "give a folder, or s3://BUCKET/PREFIX; for a folder whose name has a colon, write ./NAME"
    bucket = _ALMOST_S3.sub("s3://", store, count=1)
    if _BUCKET.fullmatch(bucket):
        remedy = f"did you mean {bucket}? If not, {remedy}"
    elif store.startswith("file:"):
        remedy = f"write the folder alone: {re.sub('^file:/*', '/', store)}"
    raise ConfigurationError(f"a store is a folder or a bucket, not {mask_url(store)}", where=where, remedy=remedy)


def expand_home(place: str, where: str) -> Path:
    """Expand `~`, the home folder, at the beginning of a folder's path.

    Raises:
        ConfigurationError: this user has no home folder, as in a container with an arbitrary user id.
    """
    try:
        return Path(place).expanduser()
    except RuntimeError:
        what = f"cannot use the path {place}: this user has no home folder (HOME is not set)"
        raise ConfigurationError(what, where=where, remedy="write the absolute path, or set HOME") from None


def check_ledger(ledger: str, where: str) -> None:
    """Check that a ledger's URL names an SQLite file or a PostgreSQL database.

    Raises:
        ConfigurationError: it does not, or it is a form that SQLAlchemy reads as something else, such as
            `sqlite://folder/file.db` (a host) and `sqlite://` (memory alone).
    """
    sqlite = _SQLITE.fullmatch(ledger)
    if _POSTGRES.fullmatch(ledger) or (sqlite and sqlite["path"].strip("/") not in ("", ":memory:")):
        return
    remedy = LEDGER_EXAMPLES
    if path := re.fullmatch(r"(?:sqlite3?:|file:|)/{0,2}([^:?]+\.(?:db|sqlite3?))", ledger, re.IGNORECASE):
        remedy = (
            f"did you mean sqlite:///{'/' if ledger.startswith('/') else ''}{path[1].lstrip('/')}? If not, {remedy}"
        )
    elif kind := re.fullmatch(r"(?:pg|psql|postgres\w*)(?:\+\w+)?:/*(.*)", ledger, re.IGNORECASE):
        remedy = f"did you mean postgresql://{mask_url('x://' + kind[1]).removeprefix('x://')}? If not, {remedy}"
    raise ConfigurationError(f"invalid URL of a ledger: {mask_url(ledger)}", where=where, remedy=remedy)


def find_ledger_file(url: str) -> Path | None:
    """Return the file of a ledger in SQLite; None for another kind."""
    found = _SQLITE.fullmatch(url)
    return Path(found["path"]) if found else None


def resolve_ledger(ledger: str, workspace: str) -> str:
    """Resolve the relative path of an SQLite file against the workspace, not against the current folder."""
    found = _SQLITE.fullmatch(ledger)
    if found is None or found["path"].startswith("/"):
        return ledger
    return f"{ledger[: found.start('path')]}{workspace}/{ledger[found.start('path') :]}"
