"""A slow store, such as a bucket far away or a network folder under load."""

SLOW_STORE = """
import functools, time
from engine.store.folder import FolderStore

QUICK = ("address", "describe", "local_folder", "read_mark")

called = set()

def wait_first(work):
    @functools.wraps(work)
    def wait(*arguments, **named):
        if work not in called:
            called.add(work)
            time.sleep({seconds})
        return work(*arguments, **named)
    return wait

for name, work in list(vars(FolderStore).items()):
    if callable(work) and not name.startswith("_") and name not in QUICK:
        setattr(FolderStore, name, wait_first(work))
"""


def slow_store(seconds: float) -> str:
    """Return a program in whose process the first call of each method of the store takes so long."""
    return SLOW_STORE.format(seconds=seconds)
