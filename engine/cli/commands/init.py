"""`mailrun init`: a sample workspace, copied from the package, or from the checkout that it runs from."""

import shlex
import shutil
from pathlib import Path

import engine
from engine.cli.console import print_lines
from engine.cli.suggestions import name_command
from engine.errors import UsageError
from engine.store.files import translate_os_errors
from engine.system.given_paths import look_at

_NAMES = ("campaigns", "audiences")


def init(folder: Path) -> None:
    """Copy the samples; print what was created, and what to do next."""
    for path in copy_samples(folder):
        print_lines(f"created {path}")
    launch = shlex.join(["launch", str(folder / "campaigns" / "welcome"), "--sandbox"])
    print_lines(f"next: {name_command()} {launch}")


def copy_samples(folder: Path) -> list[Path]:
    """Copy the sample campaigns and audience into a folder that has none.

    Returns:
        What was created.

    Raises:
        UsageError: the folder has campaigns or audiences already; nothing was changed.
        ConfigurationError: the folder cannot be written.
    """
    for name in _NAMES:
        if look_at(folder / name, "DIR") is not None:
            raise UsageError(
                f"there is a workspace already: {folder / name} exists",
                where=str(folder),
                remedy="name another folder; nothing was changed",
            )
    source = _find_samples()
    ignore = shutil.ignore_patterns("*.py", "__pycache__")  # the script that made them stays here
    with translate_os_errors(folder):
        return [shutil.copytree(source / name, folder / name, ignore=ignore) for name in _NAMES]


def _find_samples() -> Path:
    package = Path(engine.__file__).parent
    installed = package / "samples"  # put there when the wheel is built
    return installed if installed.is_dir() else package.parent
