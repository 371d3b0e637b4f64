"""Files that other programs leave beside data: locks, thumbnails, backups."""

from fnmatch import fnmatchcase

# Locks of office programs, thumbnails and settings of file managers, backups of editors; in lower case.
_LEFTOVERS = (
    *("~$*", ".~lock.*#", "~wrl*.tmp"),
    *("desktop.ini", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", ".ds_store", "._*", "icon\r"),
    *("*~", "#*#", ".*.sw?"),
)


def is_leftover(name: str) -> bool:
    """Return whether a file, by its name, is a lock, a thumbnail, a setting or a backup of another program.

    >>> [is_leftover(name) for name in ("~$people.xlsx", "Thumbs.db", "people.xlsx")]
    [True, True, False]
    """
    return any(fnmatchcase(name.lower(), pattern) for pattern in _LEFTOVERS)
