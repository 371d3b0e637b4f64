"""Locks of workers: they show at once that a worker's process on this machine has ended.

Names do not suffice: machines may have the same host name, process ids and boot id, and cloned disks the same files.
A file in memory belongs to one running system and is named after the worker's random id. The kernel releases its lock
when the process ends, so if another process can lock the file, the worker has ended. For a worker without such a file,
the heartbeat decides.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - names in it are random, and created exclusively


@contextmanager
def hold_worker_lock(worker: str) -> Iterator[None]:
    """Hold the lock of a worker of this process; without a file system in memory only its heartbeat is known.

    Args:
        worker: its random id.
    """
    path, lock = _path_of(worker), None
    if path is not None:
        with suppress(OSError):
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
        remove_worker_lock(worker)
    finally:  # after an error the file stays, so that the worker's leases are free at once
        if lock is not None:
            os.close(lock)


def is_process_gone(worker: str) -> bool:
    """Return True if a worker was a process of this machine and has ended; False if that is unknown."""
    path = _path_of(worker)
    if path is None:
        return False
    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if os.fstat(file).st_uid != os.geteuid():
            return False
        fcntl.flock(
            file, fcntl.LOCK_SH | fcntl.LOCK_NB
        )  # shared: two processes that check at once do not see each other as the worker
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def remove_worker_lock(worker: str) -> None:
    """Remove the lock file of a worker that is gone, if it is there."""
    path = _path_of(worker)
    if path is not None:
        with suppress(OSError):
            path.unlink()


def _path_of(worker: str) -> Path | None:
    return _MEMORY / f"mailrun-{worker}" if worker.isalnum() and _is_in_memory() else None


@cache
def _is_in_memory() -> bool:
    """Return True if the folder is a file system in memory: one on a disk could be cloned."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return False
    return any(mount[4] == str(_MEMORY) and mount[mount.index("-") + 1] == "tmpfs" for mount in mounts)
