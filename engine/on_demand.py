"""Functions that are imported when they are called: what few commands or campaigns need, and what is slow to import."""

from importlib import import_module
from typing import Any


class OnDemand:
    """A function by name, imported at its first call.

    Args:
        name: `MODULE:FUNCTION`, the module with all its packages; a class is a function as well.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self) -> Any:
        """Import the function.

        Raises:
            ImportError: there is no such module.
            AttributeError: there is no such function in it.
        """
        module, _, function = self.name.partition(":")
        return getattr(import_module(module), function)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function."""
        return self.load()(*arguments, **named)
