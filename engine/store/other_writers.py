"""Other users who can write the store or the ledger, which hold keys and decide who gets mail.

Such access is reported, not refused: OpenShift and `fsGroup` give a pod access to a volume through a group that may
write, and on some network mounts every file looks writable for all users.
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

_OF_A_POD = "KUBERNETES_SERVICE_HOST"  # set in every container of a pod


def describe_other_writers(place: Path) -> Iterator[str]:
    """Describe the permissions that let other users of this machine write or replace a folder or file.

    Groups without a name on this machine have no members here, and users without a name have no processes. Root may
    write everywhere. A pod has no other users: its manifest says what shares its volumes.

    Args:
        place: a folder or file; where it does not exist yet, the folders above it count.
    """
    if _OF_A_POD in os.environ:
        return
    real = place.resolve()
    for path in (real, *real.parents):
        try:
            state = path.stat()
            is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
        except OSError:
            continue
        can_be_replaced = path == real or not state.st_mode & stat.S_ISVTX  # in /tmp users can replace only their own
        if is_read_only or not can_be_replaced:
            continue
        if state.st_mode & stat.S_IWOTH:
            yield f"all users of this machine can write {path}; to correct that, run: chmod o-w {path}"
        elif state.st_mode & stat.S_IWGRP and (group := _name_group(state.st_gid)):
            yield f"the group {group} can write {path}; if that is not intended, run: chmod g-w {path}"
        if path == real and (user := _name_other_user(state.st_uid)):
            yield f"{path} belongs to the user {user}; if that is not intended, give it to this user with chown"


def _name_group(number: int) -> str | None:
    """Name a group that other users may be in: not root's, and not this user's private group."""
    try:
        name = grp.getgrgid(number).gr_name
    except KeyError:
        return None
    return None if number == 0 or name == _name_user(os.geteuid()) else name


def _name_other_user(number: int) -> str | None:
    return None if number in (0, os.geteuid()) else _name_user(number)


def _name_user(number: int) -> str | None:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return None
