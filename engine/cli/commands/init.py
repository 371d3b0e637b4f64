"""`mailrun init`: a sample workspace, copied from the package, or from the checkout that it runs from.

An editor that knows TOML (Taplo, the Even Better TOML extension of VS Code) completes and checks campaign.toml and
mailrun.toml by the JSON Schemas that their first line names. The schemas are copied into the workspace, so that this
needs no network; their names begin with a dot, so that nobody takes them for campaigns.
"""

import shlex
import shutil
from pathlib import Path

import engine
from engine.cli.console import print_lines
from engine.cli.suggestions import name_command
from engine.errors import UsageError, docs_page
from engine.setting_sources import SETTINGS_FILE
from engine.store.files import translate_os_errors
from engine.system.given_paths import look_at

_NAMES = ("campaigns", "audiences")
_SCHEMAS = ".schemas"
_SETTINGS = """\
# Settings of this workspace. Variables of the environment (MAILRUN_STORE, ...) override them.
# All keys: mailrun config, or docs/reference/settings.md.

# store = "s3://acme-mail/mailrun"
# ledger = "postgresql://mailrun@db/mailrun"
"""


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
        made = [shutil.copytree(source / name, folder / name, ignore=ignore) for name in _NAMES]
        return [*made, *_write_schemas(folder)]


def _write_schemas(folder: Path) -> list[Path]:
    """Copy the JSON Schemas, and name them in the first line of every file that they describe."""
    schemas = folder / _SCHEMAS
    schemas.mkdir(exist_ok=True)
    for name in ("campaign.schema.json", "mailrun.schema.json"):
        shutil.copyfile(docs_page(f"reference/{name}"), schemas / name)
    for path in sorted(folder.glob("campaigns/*/campaign.toml")):
        text = path.read_text(encoding="utf-8")
        path.write_text(f"#:schema ../../{_SCHEMAS}/campaign.schema.json\n{text}", encoding="utf-8")
    settings = folder / SETTINGS_FILE
    if settings.exists():
        return [schemas]
    settings.write_text(f"#:schema {_SCHEMAS}/mailrun.schema.json\n{_SETTINGS}", encoding="utf-8")
    return [settings, schemas]


def _find_samples() -> Path:
    package = Path(engine.__file__).parent
    installed = package / "samples"  # put there when the wheel is built
    return installed if installed.is_dir() else package.parent
