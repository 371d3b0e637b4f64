"""Files that are not data: what other programs leave beside files."""

from fnmatch import fnmatchcase

# Locks of office programs, thumbnails and settings of file managers, backups of editors; in lower case.
_LEFTOVERS = (
    *("~$*", ".~lock.*#", "~wrl*.tmp"),
    *("desktop.ini", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", ".ds_store", "._*", "icon\r"),
    *("*~", "#*#", ".*.sw?"),
)


def is_leftover(name: str) -> bool:
    """Tell by its name whether a file is a lock, a thumbnail, a setting or a backup that another program left there.

    >>> [is_leftover(name) for name in ("~$people.xlsx", "Thumbs.db", "people.xlsx")]
    [True, True, False]
    """
    return any(fnmatchcase(name.lower(), pattern) for pattern in _LEFTOVERS)
