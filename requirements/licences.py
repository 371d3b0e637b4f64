"""The licence of every package that mailrun installs, as the package itself states it; `make licences` writes the page.

A package states it as License-Expression (PEP 639), as older free text, as classifiers, or only as its licence file.
"""

import re
import sys
from collections import defaultdict
from functools import cache
from importlib import metadata

from license_expression import LicenseSymbol, LicenseWithExceptionSymbol, get_spdx_licensing

from requirements.locked import FOLDER, Locked, read_lock

PAGE = FOLDER.parent / "docs" / "reference" / "licences.md"
# What a work under Apache-2.0 may depend on. The copyleft of the LGPL and the MPL ends at the package: it is
# installed beside mailrun, unchanged, and can be replaced.
ALLOWED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-3.0-only", "MIT", "MIT-0", "MPL-2.0",
        "PSF-2.0", "Python-2.0", "Unlicense", "Zlib",
    }
)  # fmt: skip
# Free text and classifiers -> SPDX. "BSD" alone names two licences: the licence file decides which.
_TEXTS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit": "MIT",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psf-2.0": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
}
_HEADING = """\
# Licences

mailrun is under the Apache License 2.0. It installs these packages, each under its own licence, as the package itself
states it. `make licences` writes this page; a test compares it with what is installed, and fails for a licence that is
not allowed. The SBOM (`make sbom`) names versions and hashes.

| licence | packages |
|---|---|
"""


class LicenceError(Exception):
    """A package's licence is unknown or not allowed."""


@cache
def find_licence(name: str) -> str:
    """Return the SPDX expression of an installed package's licence.

    Raises:
        LicenceError: the package is not installed, or states no licence.
    """
    try:
        stated = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        raise LicenceError(f"{name} is in the lock but is not installed: run make setup") from None
    classifiers = [
        one.rpartition(" :: ")[2] for one in stated.get_all("Classifier") or () if one.startswith("License ::")
    ]
    return judge(
        name,
        expression=_first(stated, "License-Expression"),
        text=_first(stated, "License"),
        classifiers=classifiers,
        files=_read_files(name),
    )


def _first(stated: metadata.PackageMetadata, field: str) -> str | None:
    return next(iter(stated.get_all(field) or ()), None)


def judge(name: str, *, expression: str | None, text: str | None, classifiers: list[str], files: str) -> str:
    """Return the SPDX expression of what a package states; several classifiers apply together.

    Raises:
        LicenceError: it states no licence, or an unknown one.
    """
    if expression:
        return str(_parse(name, expression))
    if text and (known := _TEXTS.get(text.strip().lower())):
        return known
    named = {_TEXTS.get(one.lower()) or _tell_by_text(one, files) for one in classifiers}
    if not named or None in named:
        stated = " ".join((text or "").split())[:60] or ", ".join(classifiers) or "nothing"
        raise LicenceError(f"{name}: the licence is unknown (the package states: {stated})")
    return " AND ".join(sorted(one for one in named if one))


def check_allowed(name: str, expression: str) -> None:
    """Check an expression: every part of an AND, and one part of an OR, must be allowed.

    Raises:
        LicenceError: it is not allowed.
    """
    if not _is_allowed(_parse(name, expression)):
        raise LicenceError(f"{name}: the licence {expression} is not allowed")


def make_page(packages: list[Locked]) -> str:
    """Make docs/reference/licences.md."""
    by = defaultdict[str, list[str]](list)
    for package in packages:
        by[find_licence(package.name)].append(package.name)
    return _HEADING + "".join(
        f"| {licence} | {', '.join(sorted(set(names)))} |\n" for licence, names in sorted(by.items())
    )


def _parse(name: str, expression: str) -> LicenseSymbol:
    try:
        return get_spdx_licensing().parse(expression, validate=True)
    except Exception as error:
        raise LicenceError(f"{name}: {expression} is not an SPDX expression: {error}") from error


def _is_allowed(parsed: LicenseSymbol) -> bool:
    licensing = get_spdx_licensing()
    if isinstance(parsed, licensing.AND):
        return all(map(_is_allowed, parsed.args))
    if isinstance(parsed, licensing.OR):
        return any(map(_is_allowed, parsed.args))
    return not isinstance(parsed, LicenseWithExceptionSymbol) and parsed.key in ALLOWED


def _tell_by_text(classifier: str, files: str) -> str | None:
    """Tell the licence by its text, where a classifier names a family, or only says that Debian accepts it."""
    if classifier == "BSD License":
        return _tell_bsd(files)
    if classifier == "DFSG approved" and "Altered source versions must be plainly marked" in " ".join(files.split()):
        return "Zlib"
    return None


def _tell_bsd(files: str) -> str | None:
    if "Redistribution and use in source and binary forms" not in files:
        return None
    return "BSD-3-Clause" if re.search(r"\bmay\s+(?:not\s+)?be\s+used\s+to\s+endorse", files) else "BSD-2-Clause"


def _read_files(name: str) -> str:
    wanted = re.compile(r"licen[cs]e|copying", re.IGNORECASE)
    paths = [path for path in metadata.files(name) or () if ".dist-info/" in str(path) and wanted.search(path.name)]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def main() -> int:
    """Check every licence, then write the page; returns the exit code."""
    packages, problems = read_lock(), list[str]()
    for package in packages:
        try:
            check_allowed(package.name, find_licence(package.name))
        except LicenceError as error:
            problems.append(str(error))
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    PAGE.write_text(make_page(packages), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
