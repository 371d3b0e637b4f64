"""The files of a campaign: those of its own folder, and those of the shared folder `_shared` next to it.

A campaign folder may come from a person with fewer permissions than mailrun has. Therefore only regular files inside
it, and inside `_shared` next to it, are read or copied. Links are followed while they stay inside, because a Kubernetes
volume consists of links. Everything else (links that lead out, named pipes, sockets, devices) is refused, and the
error names it.

A file is opened by its real path, folder by folder, without following links, and the open file is checked through its
descriptor. A link that is created after the check therefore has no effect.
"""

import errno
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath

from msgspec import Struct

from engine.errors import DataError, escape_controls, escape_undecodable

SHARED = "_shared"
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
# What editors, office programs, file managers and synchronisation leave next to a file: copies, locks and notes.
_LEFT_OVER = re.compile(
    r"~\$.*|#.*#|.*~|.*\.(?:bak|orig|rej|swp|swo|swx|tmp|temp|part|crdownload|pyc|lock)|4913"
    r"|.*___jb_(?:tmp|old)___|thumbs\.db|ehthumbs\.db|desktop\.ini|icon\r|__pycache__|__macosx",
    re.IGNORECASE,
)
# The targets of the links in a Kubernetes volume: ..data, which is a link to ..2026_11_29_02_15_00.123456789.
_OF_A_VOLUME = re.compile(r"\.\..+")
_ATTEMPTS = 5  # a volume that is remounted between two steps is read again
_MOST_FOLDERS = 10_000  # links to folders multiply: ten folders with links to each other have millions of paths
_MOST_BYTES = 1 << 30  # of all files together: a sparse file may report a size larger than the disk
_TOO_LARGE = f"the files of a campaign and of {SHARED} together may have at most {_MOST_BYTES >> 20:,} MB"
_MOST_BYTES_READ = 64 << 20  # of one file that goes into messages; SES accepts messages of 40 MB
_LONGEST_NAME = 1000  # bytes; S3 accepts names of 1024, and Linux paths of 4096
_LONGEST_SHOWN = 255
_MOST_NAMED = 10
_REMEDY = (
    f"put a copy of the file there, or remove it: a campaign consists of regular files in its folder and in {SHARED}"
)
_FOLDER_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class _NotRegularError(Exception):
    """A path is not a regular file inside the campaign's folders; the message says what it is."""


class FoundFiles(Struct, frozen=True):
    """What is in a campaign's folder, and in `_shared` next to it.

    Attributes:
        files: name in a run's copy -> the file.
        refused: name in a run's copy -> what it is, such as `a named pipe`.
    """

    files: dict[str, Path]
    refused: dict[str, str]


def is_part(name: str) -> bool:
    """Return whether a campaign can use a file: not a hidden file, a backup, or a file that programs leave behind.

    >>> [is_part(name) for name in ("body.html.j2", "img/logo.png", "..data/body.html.j2", "body.html.j2~")]
    [True, True, False, False]
    """
    return not any(part.startswith(".") or _LEFT_OVER.fullmatch(part) for part in PurePosixPath(name).parts)


def resolve_file(folder: Path, name: str) -> Path | None:
    """Find a file by the name that templates and campaign.toml use.

    `_shared/…` means the campaign folder's own `_shared` (so it is in a launched run's copy), else the one next to the
    campaign's folder, which all campaigns share.

    Args:
        folder: the campaign's folder.
        name: a path with `/`, without `..`.

    Returns:
        None if there is no such file.

    Raises:
        DataError: the path is not a regular file inside these folders.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or not is_part(name):
        return None
    own, shared = folder / path, folder.parent / path
    if _is_there(own):
        found, roots = own, _list_roots(folder)
    elif path.parts[0] == SHARED and _is_there(shared):
        found, roots = shared, _list_shared_roots(folder)
    else:
        return None
    with _refusing(name, found):
        return None if _find_real(found, roots, folders=True).is_dir() else found


def read_file(folder: Path, name: str) -> bytes | None:
    """Read a file by the name that templates and campaign.toml use; None if there is no such file.

    Raises:
        DataError: the path is not a regular file inside the campaign's folder or `_shared`, or it cannot be read.
    """
    path = resolve_file(folder, name)
    if path is None:
        return None
    with open_file(folder, name, path) as file:
        content = file.read(_MOST_BYTES_READ + 1)
    if len(content) > _MOST_BYTES_READ:
        what = f"{_show(name)} is larger than {_MOST_BYTES_READ >> 20} MB, which is too large for a message"
        raise DataError(what, where=str(path), remedy="make the file smaller, or link to it instead")
    return content


def open_file(folder: Path, name: str, path: Path) -> BufferedReader:
    """Open a file of a campaign to read it.

    Args:
        folder: the campaign's folder.
        name: as `list_files` and `resolve_file` name it, for messages.
        path: from the same functions.

    Raises:
        DataError: it is not a regular file inside the campaign's folder or `_shared`, or it cannot be read.
    """
    is_own = path.is_relative_to(folder)
    with _refusing(name, path):
        return os.fdopen(_open(path, _list_roots(folder) if is_own else _list_shared_roots(folder)), "rb")


def search_path(folder: Path) -> tuple[Path, ...]:
    """Return the folders that are searched for templates."""
    return (folder, folder.parent / SHARED)


def list_files(folder: Path) -> dict[str, Path]:
    """List the files that a run copies from a campaign: name in the copy -> file.

    From `_shared` next to the campaign, only the files that the campaign folder does not have under the same name.

    Raises:
        DataError: something is not a regular file inside these folders; it is named.
    """
    found = find_files(folder)
    if not found.refused:
        return found.files
    refused = [f"{_show(name)} is {kind}" for name, kind in found.refused.items()]
    more = f", and {len(refused) - _MOST_NAMED} more" if len(refused) > _MOST_NAMED else ""
    raise DataError("; ".join(refused[:_MOST_NAMED]) + more, where=str(folder), remedy=_REMEDY)


def find_files(folder: Path) -> FoundFiles:
    """List a campaign's files and the refused paths; see `list_files`.

    If the volume of the campaigns is remounted meanwhile, its files are checked again.
    """
    for _ in range(_ATTEMPTS):
        roots, found = _list_roots(folder), _find_files(folder)
        if roots == _list_roots(folder):
            break
    return found


def _find_files(folder: Path) -> FoundFiles:
    found = FoundFiles({}, {})
    _walk(folder, _list_roots(folder), "", found)
    shared = folder.parent / SHARED
    if folder.name != SHARED and _is_there(shared):
        roots = _list_shared_roots(folder)
        if roots:
            _walk(shared, roots, f"{SHARED}/", found)
        else:
            found.refused[SHARED] = "a symbolic link that leads out of the campaigns folder"
    _refuse_large(found)
    return FoundFiles(dict(sorted(found.files.items())), dict(sorted(found.refused.items())))


def _refuse_large(found: FoundFiles) -> None:
    """Refuse the largest files as long as all together are too large."""
    sizes = {name: _size_of(path) for name, path in found.files.items()}
    total = sum(sizes.values())
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if total <= _MOST_BYTES:
            return
        total -= sizes[name]
        del found.files[name]
        found.refused[name] = f"too large: {sizes[name] >> 20:,} MB, and {_TOO_LARGE}"


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # it was removed, or opening it reports the error


def copy_files(folder: Path, target: Path) -> None:
    """Copy a campaign's files, including those of `_shared`: the copy can be rendered alone.

    Args:
        folder: the campaign's.
        target: the copy; the folder in which it is must exist.

    Raises:
        FileNotFoundError: the folder around the copy was removed, because planning was stopped.
        DataError: something is not a regular file inside, they are too large together, or a name is not UTF-8:
            run.json could not list it.
    """
    left = _MOST_BYTES
    for name, path in list_files(folder).items():
        if escape_undecodable(name) != name:
            what = f"the name {_show(name)} is not valid UTF-8"
            raise DataError(what, where=str(folder), remedy="rename the file, or move it elsewhere")
        copy = target / name
        _make_folders(copy.parent, below=target.parent)
        with open_file(folder, name, path) as source:
            descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _PRIVATE_FILE)
            with os.fdopen(descriptor, "wb") as end:
                while left >= 0 and (some := source.read(1 << 20)):
                    left -= len(some)
                    end.write(some)
        if left < 0:
            raise DataError(f"{_show(name)} grew while it was copied: {_TOO_LARGE}", where=str(path), remedy=_REMEDY)


def _make_folders(folder: Path, below: Path) -> None:
    """Make a folder and those between it and one that exists. That one is not made again once it was removed."""
    for name in reversed(folder.relative_to(below).parents[:-1]):
        (below / name).mkdir(exist_ok=True, mode=_PRIVATE_FOLDER)
    folder.mkdir(exist_ok=True, mode=_PRIVATE_FOLDER)


def _walk(folder: Path, roots: Collection[Path], prefix: str, found: FoundFiles) -> None:
    """Add the files below a folder; a file that was found earlier under the same name is kept."""
    waiting, seen = [(folder, frozenset[Path]())], 0
    while waiting:
        place, around = waiting.pop()
        seen += 1
        if seen > _MOST_FOLDERS:
            what = f"there are more than {_MOST_FOLDERS:,} folders, counting each path to them through symbolic links"
            raise DataError(what, where=str(folder), remedy="remove links to folders")
        inside = around | {place.resolve()}
        try:
            paths = _list_folder(place)
        except _NotRegularError as refused:
            found.refused.setdefault(prefix + place.relative_to(folder).as_posix(), str(refused))
            continue
        for path in paths:
            name = path.relative_to(folder).as_posix()
            if not is_part(name) or prefix + name in found.files:
                continue
            try:
                _check_length(prefix + name)
                real = _find_real(path, roots, folders=True)
            except _NotRegularError as refused:
                found.refused.setdefault(prefix + name, str(refused))
                continue
            except FileNotFoundError:
                continue  # it was removed after the folder was listed
            if not real.is_dir():
                found.files[prefix + name] = path
            elif real not in inside:
                waiting.append((path, inside))


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise _NotRegularError(f"a folder that cannot be read: {error.strerror}") from None


def _check_length(name: str) -> None:
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise _NotRegularError(f"a path of more than {_LONGEST_NAME:,} bytes")


def _list_roots(folder: Path) -> tuple[Path, ...]:
    """Return the real folders that may contain a campaign's own files."""
    return (folder.resolve(), *_list_shared_roots(folder))


def _list_shared_roots(folder: Path) -> tuple[Path, ...]:
    """Return the real `_shared` folder; nothing when it is a link that leads out of the campaigns folder."""
    shared = (folder.parent / SHARED).resolve()
    return (shared,) if shared.is_relative_to(folder.parent.resolve()) and shared != folder.resolve() else ()


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _find_real(path: Path, roots: Collection[Path], *, folders: bool = False) -> Path:
    """Return the real path of a regular file inside one of the given real folders.

    Raises:
        FileNotFoundError: it was removed.
        _NotRegularError: it is not a regular file, or is outside these folders.
    """
    real = _follow(path)
    root = next((root for root in roots if real.is_relative_to(root)), None)
    if root is None:
        raise _NotRegularError("a symbolic link that leads out of the campaign's folder")
    parts = real.relative_to(root).parts
    if any(part.startswith(".") and not _OF_A_VOLUME.fullmatch(part) for part in parts):
        raise _NotRegularError("a symbolic link to a hidden file")
    mode = real.lstat().st_mode
    if not (stat.S_ISREG(mode) or (folders and stat.S_ISDIR(mode))):
        raise _NotRegularError(_name_kind(mode))
    return real


def _follow(path: Path) -> Path:
    for attempt in range(_ATTEMPTS):
        try:
            return Path(os.path.realpath(path, strict=True))
        except FileNotFoundError:
            if not path.is_symlink():
                raise
            if attempt == _ATTEMPTS - 1:
                raise _NotRegularError("a broken symbolic link") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _NotRegularError("a loop of symbolic links") from None
            raise
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


def _open(path: Path, roots: Collection[Path]) -> int:
    """Open a regular file below one of the folders; if the volume is remounted meanwhile, try again."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _open_once(path, roots)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                raise
    return _open_once(path, roots)


def _open_once(path: Path, roots: Collection[Path]) -> int:
    real = _find_real(path, roots)
    root = next(root for root in roots if real.is_relative_to(root))
    *folders, name = real.relative_to(root).parts
    place = os.open(root, _FOLDER_FLAGS)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER_FLAGS, dir_fd=place)
            os.close(place)
            place = below
        file = os.open(name, _FILE_FLAGS, dir_fd=place)
    finally:
        os.close(place)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode):
        return file
    os.close(file)
    raise _NotRegularError(_name_kind(mode))


def _show(name: str) -> str:
    """Return a name as one line that is safe to print in a terminal."""
    shown = escape_controls(escape_undecodable(name))
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"


def _name_kind(mode: int) -> str:
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "a device")


@contextmanager
def _refusing(name: str, path: Path) -> Iterator[None]:
    """Convert an error about one file into a DataError that names it."""
    try:
        yield
    except _NotRegularError as error:
        raise DataError(f"{_show(name)} is {error}", where=str(path), remedy=_REMEDY) from None
    except OSError as error:
        what = f"{_show(name)} cannot be read: {error.strerror}"
        raise DataError(what, where=str(path), remedy="make it readable for the user that runs mailrun") from error
