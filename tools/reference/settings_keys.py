"""Settings, from the models that check them."""

from collections.abc import Iterator

from engine.settings import Settings
from tools.reference.markdown import escape, make_table
from tools.reference.schemas import describe_default, describe_types, list_models

_HEADS = ("variable", "mailrun.toml", "type", "default", "meaning")
# mailrun.toml is in the workspace, so it cannot name the workspace.
_NOT_IN_FILE = ("workspace",)


def describe_settings() -> str:
    """Return the table of settings."""
    return make_table(_HEADS, _list_rows())


def _list_rows() -> Iterator[tuple[str, ...]]:
    types = describe_types(Settings)
    for name, field in Settings.model_fields.items():
        for section in list_models(field):
            inner = describe_types(section)
            for key, found in section.model_fields.items():
                where, default = f"`[{name}] {key}`", describe_default(found)
                yield _name_variable(name, key), where, inner[key], default, escape(found.description or "")
        if not any(list_models(field)):
            where = "" if name in _NOT_IN_FILE else f"`{name}`"
            default = "none" if field.is_required() else describe_default(field)
            yield _name_variable(name), where, types[name], default, escape(field.description or "")


def _name_variable(*names: str) -> str:
    return f"`MAILRUN_{'_'.join(names).upper()}`"
