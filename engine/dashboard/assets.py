"""Style sheets and scripts of the pages: each has a digest of its content in its name, so browsers may keep it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

import engine.report

_OWN = Path(__file__).parent / "static"
_SHARED = Path(engine.report.__file__).parent / "pages"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = (
    _SHARED / "page.css",
    _OWN / "dashboard.css",
    _OWN / "live.js",
    _OWN / "charts.js",
    _OWN / "parts.js",
    _SHARED / "vendor" / "uPlot.iife.min.js",
    _SHARED / "vendor" / "uPlot.min.css",
)
_DIGITS = 12  # of a digest, in hexadecimal
ROOT = "/static/"


class Asset(Struct, frozen=True):
    """A file for browsers."""

    body: bytes
    kind: str


class Assets:
    """All files that pages load, read once.

    Args:
        files: their places; names are unique.
    """

    def __init__(self, files: tuple[Path, ...] = _FILES) -> None:
        self._paths: dict[str, str] = {}
        self._assets: dict[str, Asset] = {}
        for file in files:
            body = file.read_bytes()
            path = f"{ROOT}{file.stem}.{hashlib.sha256(body).hexdigest()[:_DIGITS]}{file.suffix}"
            self._paths[file.name] = path
            self._assets[path] = Asset(body, _KINDS[file.suffix])

    def find_path(self, name: str) -> str:
        """Return the path of a file by its name; for templates.

        Raises:
            KeyError: there is no such file.
        """
        return self._paths[name]

    def find(self, path: str) -> Asset | None:
        """Return the file at a path; None where there is none."""
        return self._assets.get(path)

    @property
    def paths(self) -> Mapping[str, str]:
        """The path of each file, by its name."""
        return self._paths
