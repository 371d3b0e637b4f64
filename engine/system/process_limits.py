"""Limits of this process by the operating system: memory and open files."""

import errno
import re
import resource

from engine.errors import PausedError

FILES_FOR_OTHERS = 64  # descriptors for ledger, store, logs, audience
FILES_WANTED = 4096  # enough for every connection that a process opens
FEWEST_FILES = FILES_FOR_OTHERS + 32
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")


def raise_file_limit() -> int:
    """Raise the soft limit of open files as far as needed and allowed.

    Returns:
        How many files this process may open.

    Raises:
        PausedError: too few to send at all.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < FILES_WANTED:
        soft = FILES_WANTED if hard == unlimited else min(FILES_WANTED, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft != unlimited and soft < FEWEST_FILES:
        raise _too_few_files(soft)
    return FILES_WANTED if soft == unlimited else soft


def describe_limit(error: BaseException) -> PausedError | None:
    """Return mailrun's own error if an error means that a limit was reached; otherwise None."""
    seen: BaseException | None = error
    while seen is not None:
        number = find_os_error(seen)
        if isinstance(seen, MemoryError) or "can't start new thread" in str(seen) or number == errno.ENOMEM:
            return PausedError(
                "the process has reached its memory limit",
                where="ulimit -v, or the memory limit of the container",
                remedy="raise the limit, then run the same command again to resume",
            )
        if number in (errno.EMFILE, errno.ENFILE):
            return _too_few_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if number in (errno.ENOSPC, errno.EDQUOT):
            return PausedError(f"a disk is full: {seen}", remedy="free some space, then run the same command again")
        seen = seen.__cause__ or seen.__context__
    return None


def find_os_error(error: BaseException) -> int | None:
    """Find the operating system's number of an error; in errors of Rust libraries such as Polars it is in the text.

    >>> find_os_error(ValueError("parquet: underlying IO error: No space left on device (os error 28)"))
    28
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _RUST_ERROR.search(str(error))
    return int(found[1]) if found else None


def _too_few_files(limit: int) -> PausedError:
    return PausedError(
        f"the process may open {limit:,} files, and needs at least {FEWEST_FILES}; {FILES_WANTED:,} are recommended",
        where="ulimit -n, or LimitNOFILE of the service",
        remedy=f"run: ulimit -n {FILES_WANTED}; then run the same command again",
    )
