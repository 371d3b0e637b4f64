"""A restricted pod on this machine: read-only mounts except some folders, a user id without a name, no capabilities.

As a program, `python pod.py FOLDER... -- COMMAND...`, it is started inside a mount namespace of its own and becomes the
command. Folders on the way to what the command needs that are root's alone are covered by empty public ones.
"""

import os
import subprocess
import sys
from pathlib import Path

USER = 12345
_STASH = Path("/mnt")
_TOOLS = Path(__file__).resolve().parent.parent.parent


def can_isolate() -> bool:
    """Return whether this user may create a mount namespace and drop its rights in it."""
    if os.geteuid() != 0:
        return False
    tried = ["unshare", "-m", "setpriv", "--reuid", str(USER), "--bounding-set", "-all", "--inh-caps", "-all", "true"]
    try:
        return subprocess.run(tried, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def in_pod(workspace: Path, writable: Path) -> list[str]:
    """Return the words before a command that run it in such a pod."""
    return ["unshare", "-m", sys.executable, __file__, str(workspace), str(writable), "--"]


def _mount(*arguments: str, check: bool = True) -> None:
    subprocess.run(["mount", *arguments], check=check, capture_output=True)  # noqa: S607 - of util-linux, as unshare


def _is_public(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


def _enter(needed: list[Path], writable: Path) -> None:
    _mount("--make-rprivate", "/")
    _mount("-t", "tmpfs", "-o", "mode=755", "none", str(_STASH))
    hidden = {path: [p for p in reversed(path.parents) if not _is_public(p)] for path in needed}
    stashed: list[tuple[Path, Path]] = []
    for path in needed:
        if hidden[path]:
            aside = _STASH / str(len(stashed))
            aside.mkdir()
            _mount("--bind", str(path), str(aside))
            stashed.append((path, aside))
    for cover in sorted({parents[0] for parents in hidden.values() if parents}):
        _mount("-t", "tmpfs", "-o", "mode=755", "none", str(cover))
    for path, aside in stashed:
        path.mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(aside), str(path))
    _mount("--bind", str(writable), str(writable))
    for line in reversed(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()):
        place = line.split()[4]
        if place != str(writable):
            _mount("-o", "remount,bind,ro", place, check=False)


def main() -> None:
    split = sys.argv.index("--")
    workspace, writable = (Path(given) for given in sys.argv[1:split])
    needed = [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), _TOOLS, workspace, writable]
    _enter([path for path in dict.fromkeys(needed) if path != Path("/usr")], writable)
    os.chdir(workspace)
    rights = ["--reuid", str(USER), "--regid", "0", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"]
    command = ["setpriv", *rights, "--no-new-privs", *sys.argv[split + 1 :]]
    os.execvp("setpriv", command)  # noqa: S606, S607 - as above


if __name__ == "__main__":
    main()
