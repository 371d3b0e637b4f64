"""Find the audience's files and detect their formats."""

import errno
import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace

from engine.audience.reading.file_kinds import HEAD_BYTES, OLE, ZIP, refuse_what_is_not_a_table
from engine.audience.reading.text_files.raw_files import open_raw
from engine.errors import DataError, nearest
from engine.locations import REMOTE
from engine.on_demand import OnDemand
from engine.read_limits import DEFAULT_LIMITS, ReadLimits
from engine.store.stray_files import is_leftover
from engine.system.given_paths import shorten_path
from engine.system.process_limits import describe_limit
from engine.transaction_guard import refuse_in_transaction


class Format(StrEnum):
    """The format of a file."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    ARROW = "arrow"
    EXCEL = "excel"


SUFFIXES = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt"), Format.CSV),
    **dict.fromkeys((".ndjson", ".jsonl", ".json"), Format.NDJSON),
    **dict.fromkeys((".parquet", ".pq"), Format.PARQUET),
    **dict.fromkeys((".arrow", ".arrows", ".feather", ".ipc"), Format.ARROW),
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), Format.EXCEL),
}
_fetch_objects = OnDemand("engine.store.objects:fetch_objects")  # the client of S3 is slow to import
COMPRESSIONS = (".gz", ".gzip", ".zst", ".zstd")
_OF_THE_KERNEL = (("proc",), ("sys",))  # the environment's secrets must not become rows or column names
_REMEDIES = {
    errno.EACCES: "make it, and the folders above it, readable for this user",
    errno.ENAMETOOLONG: "check the path",
    errno.ENOENT: "wait until the writing program is done, then try again",
}
_SUPPORTED = "CSV, TSV, NDJSON, Parquet, Arrow or Excel; text may be compressed with gzip or Zstandard"
# The first bytes decide the format, not the name.
_MAGIC = {
    b"PAR1": Format.PARQUET,
    b"ARROW1": Format.ARROW,
    ZIP: Format.EXCEL,
    OLE: Format.EXCEL,
}


class AudienceSource(Struct, frozen=True):
    """One file of the audience, with its state when it was found.

    Attributes:
        path: its path.
        name: its name in messages: relative to the workspace if it is inside, or its s3:// address.
        size_bytes: its size.
        mtime_ns: when it was last changed, in nanoseconds since 1970.
        format: its format.
        version: the version of an S3 object; None for files.
        is_tabbed: its suffix says that tabs separate its fields.
        limits: its size limits.
    """

    path: Path
    name: str
    size_bytes: int
    mtime_ns: int
    format: Format
    version: str | None = None
    is_tabbed: bool = False
    limits: ReadLimits = DEFAULT_LIMITS

    @property
    def is_untyped(self) -> bool:
        """Whether its cells are text without types."""
        return self.format in (Format.CSV, Format.EXCEL)

    def refuse_if_changed(self) -> None:
        """Check that the file has not changed since it was found.

        Raises:
            DataError: it has changed.
        """
        try:
            state = self.path.stat()
        except OSError as error:
            raise unreadable(self, error) from error
        if self.version is None and (state.st_size, state.st_mtime_ns) != (self.size_bytes, self.mtime_ns):
            what = "the file changed while the audience was planned"
            raise DataError(what, where=self.name, remedy="wait until it is complete, then try again")


def find_sources(
    places: str | Sequence[str],
    workspace: Path,
    *,
    downloads: Path | None = None,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> tuple[AudienceSource, ...]:
    """Find files: a path, the files of a glob pattern or of a folder (sorted by name), an s3:// address; or several.

    Args:
        places: each relative to the workspace, absolute, or s3://.
        workspace: the workspace's folder.
        downloads: an existing folder for copies of S3 objects; None if S3 is not read.
        limits: the size limits of a file.

    Raises:
        DataError: there is no such file, nothing matches, or the format is not supported.
        ConfigurationError: S3 cannot be reached or denies access.
    """
    found: dict[str, AudienceSource] = {}
    for place in (places,) if isinstance(places, str) else places:
        try:
            sources = tuple(replace(source, limits=limits) for source in _find(place, workspace, downloads))
        except OSError as error:
            if place.startswith(REMOTE) or describe_limit(error) is not None:
                raise  # the disk with the copies, or this process's limit
            raise _inaccessible(place, workspace, error) from error
        for source in sources:
            found.setdefault(source.name, source)
    return tuple(found.values())


def _find(place: str, workspace: Path, downloads: Path | None) -> Iterable[AudienceSource]:
    if place.startswith(REMOTE) and downloads is not None:
        return _fetch(place, downloads)
    path = workspace / place
    if path.is_file():
        if is_leftover(path.name):
            what = f"{place} is a temporary file of another program, not data"
            raise DataError(what, where=str(path.parent), remedy="name the file itself")
        return (_describe(path, workspace),)
    if path.is_dir():
        return _find_in_folder(path, place, workspace)
    if not glob.has_magic(place):
        raise _no_such_file(path, place)
    matches = (Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
    found = sorted(match for match in matches if match.is_file() and not is_leftover(match.name))
    if not found:
        raise DataError(f"no file matches {place}", where=str(workspace), remedy="check the pattern")
    return (_describe(path, workspace) for path in found)


def _find_in_folder(folder: Path, place: str, workspace: Path) -> list[AudienceSource]:
    """Find every file in a folder and below, except marker and temporary files of other programs."""
    inside = (path for path in folder.rglob("*") if path.is_file() and not is_leftover(path.name))
    files = sorted(path for path in inside if not any(part[0] in "._" for part in path.relative_to(folder).parts))
    if not files:
        raise DataError(f"the folder {place} has no files", where=str(folder), remedy="check the path")
    return [_describe(path, workspace) for path in files]


def _inaccessible(place: str, workspace: Path, error: OSError) -> DataError:
    """Return the error for a file or folder that the operating system does not allow to read."""
    path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else workspace / place
    what = f"{shorten_path(place)} cannot be read: {error.strerror}"
    return DataError(what, where=shorten_path(_name(path, workspace)), remedy=_choose_remedy(error))


def _choose_remedy(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        return "check that it is complete"
    return _REMEDIES.get(number, "check the file and its disk")


def _name_kind(path: Path) -> str | None:
    """Describe a path that is neither a file nor a folder; None if it does not exist."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink():
            return "a loop of symbolic links" if error.errno == errno.ELOOP else "a broken symbolic link"
        return None
    except ValueError:  # a NUL byte
        return None
    kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    return next((kind for is_kind, kind in kinds if is_kind(mode)), "a device")


def _no_such_file(path: Path, place: str) -> DataError:
    if "://" in place:
        remedy = "give the path of a file, relative to the workspace, or s3://BUCKET/KEY"
        return DataError(f"{place} is not a file", remedy=remedy)
    if kind := _name_kind(path):
        remedy = "write the rows to a file, and name that file"
        return DataError(f"{place} is not a file, but {kind}", where=str(path.parent), remedy=remedy)
    if not path.parent.is_dir():
        return DataError(f"there is no folder {path.parent}", where=place, remedy="check the path")
    files = sorted(item.name for item in path.parent.iterdir() if _suffix_of(item.name) in SUFFIXES)
    what = f"there is no file {place}"
    close = get_close_matches(path.name, files, n=1) or files[:10]
    remedy = f"that folder has: {', '.join(close)}" if close else "check the path: the folder has no audience"
    return DataError(what, where=str(path.parent), remedy=remedy)


def _describe(path: Path, workspace: Path) -> AudienceSource:
    name = _name(path, workspace)
    if path.resolve().parts[1:2] in _OF_THE_KERNEL:
        what = f"{name} is a file of the operating system about processes or devices, not data"
        raise DataError(what, where=str(path.parent), remedy="write the rows to a file, and name that file")
    state = path.stat()
    kind, is_tabbed = _detect_format(path, name)
    return AudienceSource(path, name, state.st_size, state.st_mtime_ns, kind, is_tabbed=is_tabbed)


def _name(path: Path, workspace: Path) -> str:
    return path.relative_to(workspace).as_posix() if path.is_relative_to(workspace) else str(path)


def _fetch(place: str, downloads: Path) -> Iterable[AudienceSource]:
    for fetched in _fetch_objects(place, downloads):
        kind, is_tabbed = _detect_format(fetched.path, fetched.name)
        yield AudienceSource(
            fetched.path, fetched.name, fetched.size_bytes, fetched.mtime_ns, kind, fetched.version, is_tabbed
        )


def _suffix_of(name: str) -> str:
    """Return the suffix of the format in lower case: the one before a compression's."""
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix


def _detect_format(path: Path, name: str) -> tuple[Format, bool]:
    """Detect the format by the file's first bytes, for text by its suffix; and whether tabs separate its fields."""
    begin = b""
    try:
        with open_raw(path) as file:
            begin = file.read(HEAD_BYTES)
    except EOFError:
        pass  # reading the rows raises the error
    except OSError as error:
        if error.errno is not None:  # otherwise its compression is damaged: as above
            raise _make_unreadable(name, error) from error
    refuse_what_is_not_a_table(path, begin, name)
    suffix = _suffix_of(name)
    by_content = next((kind for magic, kind in _MAGIC.items() if begin.startswith(magic)), None)
    by_name = SUFFIXES.get(suffix)
    if by_name is Format.EXCEL and begin and b"\0" not in begin:
        by_name = Format.CSV  # text with the suffix of a workbook, as many programs write
    if by_name is None and by_content is None:
        what = f"the format {suffix or 'of a file without suffix'} is not supported"
        raise DataError(what, where=name, remedy=f"write it as one of: {_SUPPORTED}")
    return by_content or by_name or Format.CSV, suffix in (".tsv", ".tab")


def unreadable(source: AudienceSource, error: BaseException) -> DataError:
    """Return the error for a file that is damaged or cannot be read."""
    return _make_unreadable(source.name, error)


@contextmanager
def translate_read_errors(source: AudienceSource) -> Iterator[None]:
    """Turn the operating system's errors about a source into a DataError that names it.

    Raises:
        DataError: the source cannot be read.
    """
    refuse_in_transaction(source)
    try:
        yield
    except OSError as error:
        raise unreadable(source, error) from error


def _make_unreadable(name: str, error: BaseException) -> DataError:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    reason = said.splitlines()[0] if said else type(error).__name__
    return DataError(f"the file cannot be read: {reason}", where=name, remedy=_choose_remedy(error))


def refuse_unknown_column(column: str, *, columns: Sequence[str], key: str, hint: str = "") -> None:
    """Check that a column named in campaign.toml exists.

    Args:
        column: the name to look for.
        columns: the columns of the audience.
        key: the place in campaign.toml that names it, such as `[audience] required`.
        hint: text before the remedy.

    Raises:
        DataError: it does not exist.
    """
    if column not in columns:
        what = f"{key} names the column {column}, which the audience does not have"
        raise DataError(what, where=f"campaign.toml, {key}", remedy=hint + nearest(column, list(columns)))
