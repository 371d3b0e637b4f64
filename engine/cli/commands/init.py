"""The sample workspace: copied from the package, or from the checkout that it runs from."""

import shutil
from pathlib import Path

import engine
from engine.errors import UsageError
from engine.store.files import translate_os_errors
from engine.system.given_paths import look_at

_NAMES = ("campaigns", "audiences")


def copy_samples(folder: Path) -> list[Path]:
    """Copy the sample campaigns and audience into a folder that has none.

    Returns:
        What was made.

    Raises:
        UsageError: the folder has campaigns or audiences already; nothing was touched.
        ConfigurationError: the folder cannot be written.
    """
    for name in _NAMES:
        if look_at(folder / name, "DIR") is not None:
            raise UsageError(
                f"there is a workspace already: {folder / name} exists",
                where=str(folder),
                remedy="name another folder; nothing was touched",
            )
    source = _find_samples()
    ignore = shutil.ignore_patterns("*.py", "__pycache__")  # the script that made them stays here
    with translate_os_errors(folder):
        return [shutil.copytree(source / name, folder / name, ignore=ignore) for name in _NAMES]


def _find_samples() -> Path:
    package = Path(engine.__file__).parent
    installed = package / "samples"  # put there when the wheel is built
    return installed if installed.is_dir() else package.parent
