"""`make audit`: known vulnerabilities of what runtime.lock and build.lock name, by pip-audit.

pip-audit exits with 0 if it cannot look a package up, for instance behind a mirror without vulnerability data. Here
each package that was not audited is reported, and so is an audit that failed. A vulnerability fails the command.
"""

import json
import subprocess
import sys

from requirements.locked import FOLDER

LOCKS = ("runtime.lock", "build.lock")
_COMMAND = (sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--disable-pip")


_USAGE = 2  # pip-audit's exit code, by argparse


def judge(stdout: str, stderr: str, exit_code: int) -> tuple[list[str], int]:
    """Return what to print, and the exit code: 1 where a vulnerability was found or the command is wrong, else 0.

    Args:
        stdout: of pip-audit: a JSON document, or nothing where it failed.
        stderr: of pip-audit: why it failed.
        exit_code: of pip-audit.
    """
    if exit_code == _USAGE:
        return [stderr], 1
    try:
        packages = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (stderr.strip().splitlines() or ["pip-audit printed nothing"])[-1]
        return [f"not audited: {reason}"], 0
    lines, audited = list[str](), [package for package in packages if "vulns" in package]
    found = [(package, vulnerability) for package in audited for vulnerability in package["vulns"]]
    for package, vulnerability in found:
        fixed = ", ".join(vulnerability.get("fix_versions") or ()) or "no version"
        lines.append(f"vulnerable: {package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    skipped = [package for package in packages if "vulns" not in package]
    if skipped:
        names = ", ".join(sorted({package["name"] for package in skipped}))
        lines.append(f"not audited: {len(skipped)} of {len(packages)} packages (no data here): {names}")
    if audited and not found:
        lines.append(f"audited: {len(audited)} packages, no known vulnerability")
    if not packages:
        lines.append("not audited: pip-audit found no package")
    return lines, 1 if found else 0


def main() -> int:
    """Audit; print the result; return the exit code."""
    locks = [part for name in LOCKS for part in ("--requirement", str(FOLDER / name))]
    try:
        done = subprocess.run([*_COMMAND, *locks], capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        lines, code = ["not audited: no answer within 300 s"], 0
    else:
        lines, code = judge(done.stdout, done.stderr, done.returncode)
    print(*lines, sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
