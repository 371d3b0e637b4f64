"""The packages of a lock file: version, hashes and the packages that need them."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parent
RUNTIME = FOLDER / "runtime.lock"
ROOT = "mailrun"
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(\S+?)(?: ; (.+?))? \\$((?:\n .*)*)", re.MULTILINE)


@dataclass(frozen=True)
class Locked:
    """A package of a lock.

    Attributes:
        name: as PEP 503 writes it.
        version: the only one.
        hashes: SHA-256, in hexadecimal, of every file that may be installed.
        needed_by: packages, or ROOT for mailrun itself.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]


def read_lock(path: Path = RUNTIME) -> list[Locked]:
    """Read the packages of a lock that this interpreter installs, by name.

    Raises:
        ValueError: a line that names a package cannot be parsed.
    """
    text, found, entries = path.read_text(encoding="utf-8"), list[Locked](), 0
    for entry in _ENTRY.finditer(text):
        name, version, marker, rest = entry.groups()
        entries += 1
        if marker is None or Marker(marker).evaluate():
            hashes = tuple(sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", rest)))
            above = re.findall(
                r"^ +#(?: +via)? +([A-Za-z0-9._-]+)(?: \(.*\))?$", rest.replace("# via\n", "\n"), re.MULTILINE
            )
            found.append(Locked(canonicalize_name(name), version, hashes, tuple(map(canonicalize_name, above))))
    if entries != len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)):
        raise ValueError(f"{path}: a line cannot be parsed")
    return sorted(found, key=lambda package: package.name)
