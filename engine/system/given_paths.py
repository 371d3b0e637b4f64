"""Paths that a person gave, on the command line or in a file."""

import errno
import os
from pathlib import Path

from engine.errors import UsageError

_MOST_SHOWN = 200
_REMEDIES = {
    errno.ENAMETOOLONG: "give a shorter path: in most file systems a name has at most 255 bytes, and a path 4,095",
    errno.EACCES: "give this user access to the folders above it, or give another path",
    errno.ELOOP: "remove the loop of symbolic links, or give another path",
}


def look_at(path: Path | str, option: str) -> os.stat_result | None:
    """Read the state of a path that a person gave on the command line.

    Args:
        path: the path.
        option: the option or argument that gave it, such as `--audience`.

    Returns:
        Its state; None where there is nothing.

    Raises:
        UsageError: it cannot be read: too long, in a folder without access for this user, or a loop of links.
    """
    try:
        return os.stat(path)  # noqa: PTH116 - a path may be text
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"cannot use the path {shorten_path(path)}: {error.strerror}",
            where=option,
            remedy=_REMEDIES.get(error.errno or 0, "check the path"),
        ) from error
    except ValueError as error:  # a NUL byte
        raise UsageError(
            f"cannot use the path {shorten_path(path)}: it has a NUL byte", where=option, remedy="check the path"
        ) from error


def shorten_path(path: Path | str) -> str:
    """Write a path for a person; shortens a very long one in the middle."""
    text = str(path).replace("\0", "\\0")
    return text if len(text) <= _MOST_SHOWN else f"{text[:80]}…{text[-40:]}"
