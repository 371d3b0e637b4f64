"""Where settings come from: an option, a variable of the environment, mailrun.toml, or their default."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.errors import ConfigurationError
from engine.system.environment import PREFIX
from engine.toml_lines import locate_keys

SETTINGS_FILE = "mailrun.toml"


class Source(Struct, frozen=True):
    """Where the value of a setting comes from.

    Attributes:
        kind: `option`, `variable`, `mailrun.toml` or `default`.
        place: the option, the variable, or file and line; empty for a default.
    """

    kind: str
    place: str = ""

    def name_with_key(self, key: str) -> str:
        """Name the place for an error message."""
        return f"{self.place}, {key}" if self.kind == SETTINGS_FILE else self.place or key


def find_source(key: str, workspace: Path, options: Mapping[str, Any], part: Sequence[str] = ()) -> Source:
    """Find out where a setting's value comes from.

    Args:
        key: the setting, those of sections as `events.queue`.
        workspace: the workspace's folder, with mailrun.toml.
        options: what the command line gave; None means not given.
        part: keys below the setting, where a part of it is meant; the nearest of them has the line in mailrun.toml.

    Raises:
        ConfigurationError: mailrun.toml cannot be read.
    """
    if options.get(key) is not None:
        return Source("option", f"--{key}")
    variable = name_variable(key)
    if variable in os.environ:
        return Source("variable", variable)
    path = workspace / SETTINGS_FILE
    read_settings_file(path)
    lines = locate_keys(path.read_text(encoding="utf-8")) if path.is_file() else {}
    places = [(*key.split("."), *part[:length]) for length in range(len(part), -1, -1)]
    line = next((lines[place] for place in places if place in lines), None)
    return Source("default") if line is None else Source(SETTINGS_FILE, f"{path}:{line}")


def name_variable(key: str) -> str:
    """Name the environment variable of a setting."""
    return f"{PREFIX}{key.replace('.', '_').upper()}"


def read_settings_file(path: Path) -> dict[str, Any]:
    """Read mailrun.toml; it may be missing.

    Raises:
        ConfigurationError: it is not TOML, or cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"not valid TOML: {error}", where=str(path), remedy="correct the file") from None
    except OSError as error:
        raise ConfigurationError(
            f"cannot be read: {error.strerror}", where=str(path), remedy="make it readable"
        ) from None
