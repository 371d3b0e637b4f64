"""Local copies of a bucket's folder: only objects with a new ETag are read again."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.store.files import write_file

COPIES_AT_ONCE = 8
_ETAGS = ".etags"
_FROZEN = ("plan/", "campaign/")
_NOT_FROZEN = ("outcomes/", "open/", "damaged/", "staged/", "report/")


def update_copies(
    local: Path, objects: Mapping[str, str], read: Callable[[str], bytes | None], *, frozen_only: bool
) -> None:
    """Update a local folder to the current objects of a folder in a bucket.

    Args:
        local: the local folder.
        objects: name below the folder -> ETag.
        read: reads one by its name; None where it is gone. Called by several threads.
        frozen_only: skip files that change while a run is sent.
    """
    known = _read_etags(local)
    wanted = {name: etag for name, etag in objects.items() if stays_inside(name)}
    if frozen_only:
        wanted = {name: etag for name, etag in wanted.items() if not name.startswith(_NOT_FROZEN)}
    missing = [name for name, etag in wanted.items() if known.get(name) != etag or not (local / name).is_file()]

    def copy(name: str) -> None:
        if (data := read(name)) is not None:
            write_file(local / name, data)

    with ThreadPoolExecutor(COPIES_AT_ONCE) as threads:
        for _ in threads.map(copy, missing):
            pass
    gone = {name for name in known.keys() - wanted.keys() if not frozen_only or name.startswith(_FROZEN)}
    for name in gone:
        (local / name).unlink(missing_ok=True)
    kept = {name: etag for name, etag in known.items() if name not in gone} | wanted
    write_file(local / _ETAGS, json.dumps(kept).encode())


def stays_inside(name: str) -> bool:
    """Return whether an object's name is a path below a folder: a key may have any characters, such as `../`.

    >>> [stays_inside(name) for name in ("plan/a.parquet", "../a", "/a", "plan/..")]
    [True, False, False, False]
    """
    return not name.startswith("/") and ".." not in name.split("/")


def _read_etags(local: Path) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads((local / _ETAGS).read_bytes())
    except (OSError, ValueError):
        return {}
    return known
