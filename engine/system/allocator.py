"""How Polars' memory allocator (jemalloc) keeps memory, for the commands of mailrun."""

import os

# Polars' default returns freed memory to the kernel after half a second, and that of large frames at once. Planning
# frees and takes hundreds of megabytes a second: the kernel would clear every page again, up to a fifth of the CPU
# time. Half a minute is enough on a busy machine, too. Few arenas share what is kept. See jemalloc(3),
# opt.dirty_decay_ms, opt.oversize_threshold, opt.narenas.
_SETTINGS = "oversize_threshold:0,dirty_decay_ms:30000,muzzy_decay_ms:0,narenas:2"
_VARIABLE = "_RJEM_MALLOC_CONF"


def keep_freed_memory() -> None:
    """Reuse freed memory for half a minute before it is returned to the kernel.

    Has an effect only before Polars is imported, on this process and those that it starts. A value that the
    environment has already wins.
    """
    os.environ.setdefault(_VARIABLE, _SETTINGS)
