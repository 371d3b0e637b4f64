"""The files that make a campaign: its own folder, and what it shares with others."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

SHARED = "_shared"
# What editors, office programs, file managers and synchronisation leave beside a file: copies, locks and notes.
_LEFT_OVER = re.compile(
    r"~\$.*|#.*#|.*~|.*\.(?:bak|orig|rej|swp|swo|swx|tmp|temp|part|crdownload|pyc|lock)|4913"
    r"|.*___jb_(?:tmp|old)___|thumbs\.db|ehthumbs\.db|desktop\.ini|icon\r|__pycache__|__macosx",
    re.IGNORECASE,
)


def is_part(name: str) -> bool:
    """Tell whether a campaign can use a file: not one with a dot name, a backup, or what programs leave behind.

    >>> [is_part(name) for name in ("body.html.j2", "img/logo.png", "..data/body.html.j2", "body.html.j2~")]
    [True, True, False, False]
    """
    return not any(part.startswith(".") or _LEFT_OVER.fullmatch(part) for part in PurePosixPath(name).parts)


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
    if path.is_absolute() or not path.parts or not is_part(name):
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

    Links to folders are followed where they stay inside: a Kubernetes volume is made of them.

    Of `_shared` beside the campaign, the files that the campaign does not have under the same name.
    """
    files = dict(_walk(folder))
    shared = folder.parent / SHARED
    if folder.name != SHARED:
        for name, path in _walk(shared):
            files.setdefault(f"{SHARED}/{name}", path)
    return dict(sorted(files.items()))


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files that are part of a campaign: name below the folder, and path."""
    root, waiting = folder.resolve(), [(folder, frozenset[Path]())]
    while waiting:
        place, around = waiting.pop()
        inside = around | {place.resolve()}
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            name = path.relative_to(folder).as_posix()
            if not is_part(name):
                continue
            is_inside = path.resolve().is_relative_to(root)
            if path.is_file() and (is_inside or name == "campaign.toml"):
                yield name, path
            elif path.is_dir() and is_inside and path.resolve() not in inside:
                waiting.append((path, inside))
