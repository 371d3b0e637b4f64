"""The files that make a campaign: its own folder, and what it shares with others."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

SHARED = "_shared"


def resolve_file(folder: Path, name: str) -> Path | None:
    """Find a file by the name that templates and campaign.toml use.

    `_shared/…` means the campaign folder's own `_shared` (so it is in a launched run's copy), else the one beside the
    campaign's folder, which all campaigns share.

    Args:
        folder: the campaign's folder.
        name: a path with `/`, without `..`.

    Returns:
        None where there is no such file, or a link leads out of these folders.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return None
    own = folder / path
    if own.is_file():
        return own if own.resolve().is_relative_to(folder.resolve()) else None
    if path.parts[0] != SHARED:
        return None
    shared = folder.parent / path
    inside = shared.resolve().is_relative_to((folder.parent / SHARED).resolve())
    return shared if shared.is_file() and inside else None


def search_path(folder: Path) -> tuple[Path, ...]:
    """Name the folders in which templates are looked for."""
    return (folder, folder.parent / SHARED)


def list_files(folder: Path) -> dict[str, Path]:
    """List everything that has to be frozen for a campaign to be rendered again: name in the copy -> file now.

    Of `_shared` beside the campaign, the files that the campaign does not have under the same name.
    """
    files = {str(path.relative_to(folder)): path for path in _walk(folder)}
    shared = folder.parent / SHARED
    if folder.name != SHARED:
        for path in _walk(shared):
            files.setdefault(str(SHARED / path.relative_to(shared)), path)
    return dict(sorted(files.items()))


def _walk(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())
