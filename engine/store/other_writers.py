"""Who else can write where the store and the ledger are: they hold keys, and decide who gets mail.

Nothing is refused for it: a group that may write is how OpenShift and `fsGroup` give a volume to a user id of their
own, and on some network mounts every file looks writable for everybody.
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

_OF_A_POD = "KUBERNETES_SERVICE_HOST"  # set in every container of a pod


def describe_other_writers(place: Path) -> Iterator[str]:
    """Say what lets other users of this machine write a folder or file, or put another one in its place.

    Groups that this machine has no name for have no members here, nor have users without a name a process; root may
    write everywhere. A pod has no other users: what shares its volumes does so by its manifest.

    Args:
        place: a folder or file; where it does not exist yet, the folders around it count.
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
        can_be_replaced = path == real or not state.st_mode & stat.S_ISVTX  # in /tmp everybody has only their own
        if is_read_only or not can_be_replaced:
            continue
        if state.st_mode & stat.S_IWOTH:
            yield f"everybody on this machine can write {path}; put it right with: chmod o-w {path}"
        elif state.st_mode & stat.S_IWGRP and (group := _name_group(state.st_gid)):
            yield f"the group {group} can write {path}; if that is not meant: chmod g-w {path}"
        if path == real and (user := _name_other_user(state.st_uid)):
            yield f"{path} belongs to the user {user}; if that is not meant, give it to this one with chown"


def _name_group(number: int) -> str | None:
    """Name a group that other users may be in: not root's, and not the group that a user has for itself alone."""
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
