"""What mailrun installs: hashed locks, licences, the SBOM, and an audit that reports what it did not check."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirements import audit, licences
from requirements.licences import LicenceError, check_allowed, find_licence, judge
from requirements.locked import FOLDER, ROOT, Locked, read_lock
from requirements.sbom import make_sbom

PACKAGES = read_lock()
PROJECT = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))


def names_of(requirements: list[object]) -> set[str]:
    return {canonicalize_name(Requirement(one).name) for one in requirements if isinstance(one, str)}


# -- the locks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", ["runtime.lock", "build.lock", "workshop.lock"])
def test_lock_has_a_hash_for_every_package_and_names_no_registry(lock: str):
    assert all(package.hashes for package in read_lock(FOLDER / lock))
    text = (FOLDER / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE)


def test_runtime_lock_has_what_mailrun_needs_and_no_tool_of_the_tests():
    names = {package.name for package in PACKAGES}
    needed = {n for n in names_of(PROJECT["project"]["dependencies"]) if n != "backports-zstd" or n in names}
    tools = names_of(PROJECT["dependency-groups"]["workshop"]) - needed
    assert needed == {package.name for package in PACKAGES if ROOT in package.needed_by}
    assert not names & tools
    assert all(set(package.needed_by) <= names | {ROOT} and package.needed_by for package in PACKAGES)


def test_locks_agree_on_every_version():
    workshop = {package.name: package for package in read_lock(FOLDER / "workshop.lock")}
    for package in PACKAGES:
        assert (workshop[package.name].version, workshop[package.name].hashes) == (package.version, package.hashes)


def test_lock_with_an_unreadable_line_is_refused(tmp_path: Path):
    (tmp_path / "a.lock").write_text("acme>=1\n")
    with pytest.raises(ValueError, match="cannot be parsed"):
        read_lock(tmp_path / "a.lock")


# -- licences ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_licence_of_every_installed_package_is_known_and_allowed(package: Locked):
    check_allowed(package.name, find_licence(package.name))


def test_licences_page_lists_what_the_packages_state():
    page = licences.PAGE.read_text(encoding="utf-8")
    listed = {
        (name, row.split(" | ")[0].removeprefix("| "))
        for row in page.splitlines()
        if row.startswith("| ") and not row.startswith("| licence")
        for name in row.removesuffix(" |").split(" | ")[1].split(", ")
    }
    found = {(package.name, find_licence(package.name)) for package in PACKAGES}
    assert found <= listed, "run make licences"
    # Packages that a newer Python replaces are listed anyway.
    assert {name for name, _ in listed - found} <= {"backports-zstd"}, "run make licences"


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ({"expression": "mit OR apache-2.0"}, "MIT OR Apache-2.0"),
        ({"text": "MIT License"}, "MIT"),
        ({"classifiers": ["Apache Software License", "MIT License"]}, "Apache-2.0 AND MIT"),
        (
            {
                "classifiers": ["BSD License"],
                "files": "Redistribution and use in source and binary forms\nThe name may not be used to endorse it",
            },
            "BSD-3-Clause",
        ),
        (
            {"classifiers": ["BSD License"], "files": "Redistribution and use in source and binary forms"},
            "BSD-2-Clause",
        ),
    ],
)
def test_licence_is_read_from_package_metadata(said: dict[str, object], licence: str):
    whole: dict[str, object] = {"expression": None, "text": None, "classifiers": [], "files": ""}
    assert judge("acme", **(whole | said)) == licence  # type: ignore[arg-type] # one field each


@pytest.mark.parametrize(
    ("text", "classifiers"),
    [(None, []), ("see the file", []), ("Acme", ["Other/Proprietary License"]), (None, ["BSD License"])],
)
def test_unknown_licence_is_refused_with_the_packages_name(text: str | None, classifiers: list[str]):
    with pytest.raises(LicenceError, match="acme"):
        judge("acme", expression=None, text=text, classifiers=classifiers, files="")


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True),
        ("AGPL-3.0-only", False),
        ("MIT AND AGPL-3.0-only", False),
        ("MIT OR AGPL-3.0-only", True),
        ("(MIT OR AGPL-3.0-only) AND GPL-3.0-only", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("LicenseRef-Acme", False),
    ],
)
def test_licence_is_allowed_when_every_part_of_and_is_and_one_part_of_or(expression: str, *, is_allowed: bool):
    if is_allowed:
        check_allowed("acme", expression)
        return
    with pytest.raises(LicenceError, match="acme"):
        check_allowed("acme", expression)


# -- the SBOM ----------------------------------------------------------------------------------------------------------


def test_sbom_is_valid_and_describes_every_package():
    text = make_sbom(PACKAGES, {})
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    found = {one["name"]: one for one in document["components"]}
    assert set(found) == {package.name for package in PACKAGES}
    for package in PACKAGES:
        one = found[package.name]
        assert (one["version"], one["purl"]) == (package.version, f"pkg:pypi/{package.name}@{package.version}")
        assert {value["content"] for value in one["hashes"]} == set(package.hashes)
        (licence,) = one["licenses"]
        assert licence.get("expression") or licence["license"]["id"] == find_licence(package.name)
    root = document["metadata"]["component"]
    (needs,) = [one["dependsOn"] for one in document["dependencies"] if one["ref"] == root["bom-ref"]]
    assert needs == sorted(found[package.name]["bom-ref"] for package in PACKAGES if ROOT in package.needed_by)


def test_sbom_check_finds_a_mistake():
    document = json.loads(make_sbom(PACKAGES, {}))
    document["components"][0]["type"] = "acme"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is not None


def test_sbom_of_one_lock_is_the_same_byte_for_byte():
    first, second = make_sbom(PACKAGES, {}), make_sbom(list(reversed(PACKAGES)), {})
    assert first == second
    assert "timestamp" not in json.loads(first)["metadata"]
    assert make_sbom(PACKAGES[1:], {}) != first


def test_sbom_has_the_time_of_source_date_epoch():
    document = json.loads(make_sbom(PACKAGES, {"SOURCE_DATE_EPOCH": "1764000000"}))
    assert document["metadata"]["timestamp"] == "2025-11-24T16:00:00Z"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None


# -- the audit ---------------------------------------------------------------------------------------------------------

CLEAN = {"name": "acme", "version": "1", "vulns": []}
BAD = {"name": "other", "version": "2", "vulns": [{"id": "CVE-0000-1", "fix_versions": ["3"], "aliases": []}]}
SKIPPED = {"name": "more", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "lines", "code"),
    [
        ([CLEAN], ["audited: 1 packages, no known vulnerability"], 0),
        ([CLEAN, BAD], ["vulnerable: other 2: CVE-0000-1, fixed in 3"], 1),
        ([SKIPPED], ["not audited: 1 of 1 packages (no data here): more"], 0),
        ([BAD, SKIPPED], ["vulnerable: other 2: CVE-0000-1, fixed in 3", "not audited: 1 of 2 packages"], 1),
        ([], ["not audited: pip-audit found no package"], 0),
    ],
)
def test_audit_fails_for_a_vulnerability_and_reports_what_was_not_audited(
    packages: list[object], lines: list[str], code: int
):
    printed, exit_code = audit.judge(json.dumps({"dependencies": packages, "fixes": []}), "", 0)
    assert exit_code == code
    assert len(printed) == len(lines)
    assert all(map(str.startswith, printed, lines))


def test_audit_without_data_says_that_nothing_was_audited():
    assert audit.judge("", "Traceback\nConnectionError: no route", 1) == (
        ["not audited: ConnectionError: no route"],
        0,
    )


def test_audit_fails_when_its_own_command_is_wrong():
    assert audit.judge("", "usage: pip-audit", 2)[1] == 1
    done = subprocess.run([*audit._COMMAND, "--dry-run", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # pip-audit has these options
    assert sys.executable == audit._COMMAND[0]
