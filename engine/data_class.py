"""`dataclass` as in the standard library, at a small part of its cost for a command that imports many classes.

The standard one compiles up to six methods of a class at import: 0.4 ms for each of the 250 classes of a launch. Here
`__init__` is compiled when the class is first used, and the other methods are functions that look at the fields.
"""

import dataclasses
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - so mypy exports it
else:

    def dataclass(cls: Any = None, *, frozen: bool = False, eq: bool = True, **options: bool) -> Any:
        """Add the methods of a data class; the arguments are those of `dataclasses.dataclass`."""
        if cls is None:
            return lambda found: _complete(found, frozen=frozen, eq=eq, **options)
        return _complete(cls, frozen=frozen, eq=eq)


def _complete(cls: Any, *, frozen: bool, eq: bool, slots: bool = False, kw_only: bool = False) -> Any:
    own = frozenset(vars(cls))
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # or else dataclasses describes the signature, which takes long
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
    fields = dataclasses.fields(made)
    names = tuple(field.name for field in fields)
    methods: dict[str, Any] = {"__init__": _make_init(made, frozen=frozen), "__repr__": _describe}
    if eq:
        methods |= _make_comparison([field.name for field in fields if field.compare], frozen=frozen)
    if frozen:
        methods |= _make_refusals(made, names)
    if frozen and slots:  # pickle would assign to the slots
        methods |= _make_state(names)
    for name, method in methods.items():
        if name not in own:
            setattr(made, name, method)
    return made


def _make_init(made: Any, *, frozen: bool) -> Callable[..., None]:
    """Make the `__init__` that replaces itself when it is first called."""

    def __init__(self: Any, *values: Any, **named: Any) -> None:  # noqa: N807 - its name in tracebacks
        made.__init__ = _compile_init(made, frozen=frozen)
        made.__init__(self, *values, **named)

    return __init__


def _compile_init(made: Any, *, frozen: bool) -> Callable[..., None]:
    scope: dict[str, Any] = {"_ASSIGN": object.__setattr__, "_UNSET": object()}
    positional, by_name, body = ["self"], list[str](), ["pass"]
    for field in dataclasses.fields(made):
        parameter = value = name = field.name
        if field.default is not dataclasses.MISSING:
            scope[f"_DEFAULT_{name}"] = field.default
            parameter = f"{name}=_DEFAULT_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            scope[f"_MAKE_{name}"] = field.default_factory
            parameter, value = f"{name}=_UNSET", f"_MAKE_{name}() if {name} is _UNSET else {name}"
        elif not field.init:  # __post_init__ assigns it
            continue
        (body if not field.init else by_name if field.kw_only else positional).append(parameter)
        body.append(f"_ASSIGN(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(made, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join([*positional, *(["*", *by_name] if by_name else [])])
    exec(f"def __init__({parameters}):\n  " + "\n  ".join(body), scope)  # noqa: S102 - as dataclasses does
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    return init


def _describe(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _make_comparison(names: Sequence[str], *, frozen: bool) -> dict[str, Any]:
    values = attrgetter(*names) if names else lambda _: ()

    def is_equal(self: Any, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def make_hash(self: Any) -> int:
        return hash(values(self))

    return {"__eq__": is_equal, "__hash__": make_hash if frozen else None}


def _make_refusals(made: Any, names: Sequence[str]) -> dict[str, Any]:
    def assign(self: Any, name: str, value: object) -> None:
        if type(self) is made or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(made, self).__setattr__(name, value)

    def delete(self: Any, name: str) -> None:
        if type(self) is made or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(made, self).__delattr__(name)

    return {"__setattr__": assign, "__delattr__": delete}


def _make_state(names: Sequence[str]) -> dict[str, Any]:
    def get_state(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    def set_state(self: Any, values: Sequence[Any]) -> None:
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)

    return {"__getstate__": get_state, "__setstate__": set_state}
