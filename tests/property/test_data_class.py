"""A data class behaves as one of the standard library with the same fields and options."""

import copy
import dataclasses
import pickle
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from engine.data_class import dataclass

Options = dict[str, Any]
DEFAULTS: st.SearchStrategy[Options] = st.sampled_from([{}, {"default": 1}, {"default_factory": list}])
FLAGS: st.SearchStrategy[Options] = st.fixed_dictionaries(
    {}, optional={name: st.booleans() for name in ("init", "repr", "compare", "kw_only")}
)
FIELDS = st.lists(st.builds(lambda default, flags: default | flags, DEFAULTS, FLAGS), max_size=4)
OPTIONS: st.SearchStrategy[Options] = st.fixed_dictionaries(
    {}, optional={name: st.booleans() for name in ("frozen", "eq", "slots", "kw_only")}
)
VALUES = st.lists(st.integers(0, 1), max_size=5)


def _make(decorate: Callable[..., Any], options: Options, fields: Sequence[Options], more: Sequence[Options]) -> Any:
    """Make a class, and one that inherits from it and adds a field and a calculation."""

    def make(base: type, number: int, group: Sequence[Options], own: Options) -> Any:
        ordered = sorted(group, key=lambda field: "default" in field or "default_factory" in field)
        names = {f"f{number + place}": dataclasses.field(**field) for place, field in enumerate(ordered)}
        made = type("Made", (base,), {"__annotations__": dict.fromkeys(names, object), "__doc__": "", **names, **own})
        return decorate(**options)(made)

    calculation = {"__post_init__": lambda self: _record.append(type(self).__name__)}
    return make(make(object, 0, fields, {}), len(fields), more, calculation)


_record: list[str] = []


def _try(work: Callable[[], Any]) -> Any:
    """Return the result of work, or its error."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever it is, both classes raise it
        return type(error), str(error)


def _observe(made: Any, values: Sequence[int], others: Sequence[int], named: dict[str, int]) -> list[Any]:
    """Return what can be seen of instances with these values."""
    _record.clear()
    one, other = _try(lambda: made(*values, **named)), _try(lambda: made(*others, **named))
    seen: list[Any] = [one if isinstance(one, tuple) else None, other if isinstance(other, tuple) else None]
    if seen == [None, None]:
        twin = made(*values, **named)
        seen += [_try(lambda: repr(one)), _try(lambda: one == other), _try(lambda: one == twin), one == 1]
        seen += [_try(lambda: hash(one) == hash(twin)), made.__match_args__, _try(lambda: dataclasses.astuple(one))]
        seen += [_try(lambda: repr(copy.copy(one))), _try(lambda: repr(dataclasses.replace(one, f0=7)))]
        seen += [_try(lambda: setattr(one, "f0", 2)), _try(lambda: delattr(one, "f0")), _try(lambda: repr(one))]
    return [*seen, list(_record)]


@given(
    OPTIONS, FIELDS, FIELDS, st.tuples(VALUES, VALUES), st.dictionaries(st.sampled_from(["f0", "f1", "f9"]), st.just(3))
)
@example({"frozen": True, "slots": True}, [{}, {"default": 1}], [{"kw_only": True}], ([1, 2], [1, 2]), {"f2": 3})
def test_data_class_behaves_as_the_standard_one(
    options: Options,
    fields: list[Options],
    more: list[Options],
    values: tuple[list[int], list[int]],
    named: dict[str, int],
) -> None:
    standard = _try(lambda: _make(dataclasses.dataclass, options, fields, more))
    if isinstance(standard, tuple):
        return  # such fields are impossible: mypy refuses them
    own = _make(dataclass, options, fields, more)

    assert _observe(own, *values, named) == _observe(standard, *values, named)


@dataclass(frozen=True, slots=True)
class Pair:
    first: int
    second: str = dataclasses.field(default="", compare=False)


@given(st.builds(Pair, st.integers(), st.text()))
def test_data_class_survives_pickle_when_frozen(pair: Pair) -> None:
    found = pickle.loads(pickle.dumps(pair))  # noqa: S301 - of its own

    assert (found, found.second) == (pair, pair.second)


def test_data_class_keeps_methods_of_its_own() -> None:
    @dataclass(frozen=True)
    class Quiet:
        secret: str

        def __repr__(self) -> str:
            return "quiet"

        def __hash__(self) -> int:
            return 1

    assert (repr(Quiet("a")), hash(Quiet("a")), Quiet("a") == Quiet("a")) == ("quiet", 1, True)
