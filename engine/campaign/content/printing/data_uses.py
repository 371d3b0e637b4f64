"""Describe the expressions in links, attributes and markup, with the author's files and lines."""

from collections.abc import Iterator
from enum import StrEnum

from jinja2 import nodes
from msgspec import Struct

from engine.campaign.content.environment import TemplateEnvironment
from engine.campaign.content.printing.html_states import SAFE_DATA
from engine.campaign.content.printing.link_places import DataPlace, Hazard, LinkPlaces
from engine.campaign.content.printing.links import SCHEMES, LinkKind
from engine.campaign.content.printing.print_checks import write_label


class Suspects(StrEnum):
    """The column values that an expression may have to refuse; all other values are certainly allowed."""

    LINKS = "links"  # texts with a character that ends a scheme, or may hide one
    MARKUP = "markup"  # texts with a tag
    SIGNS = "signs"  # empty texts, and texts with characters that are not in words
    ALL = "all"  # known only at rendering


class DataUse(Struct, frozen=True):
    """An expression whose value is checked, or that the author should know of.

    Attributes:
        label: its name in messages.
        template: the file.
        line: in it.
        columns: that it reads; None if these are not known.
        suspects: which of their values it may have to refuse; None for an expression that is wrong with every value.
        code: of the finding about the expression itself; empty if only its values can be wrong.
    """

    label: str
    template: str
    line: int
    columns: frozenset[str] | None
    suspects: Suspects | None
    code: str = ""


def describe_data(environment: TemplateEnvironment, links: LinkPlaces) -> Iterator[DataUse]:
    """Describe the expressions found in the templates of an HTML part."""
    for hazard in links.hazards:
        suspects = Suspects.MARKUP if hazard.code == SAFE_DATA else None
        yield _describe(environment, hazard, suspects, hazard.code)
    for places in links.found.values():
        for place in places.values():
            if not any(one.kind is LinkKind.SCRIPT for one in place.places):  # its own finding is enough
                yield _describe(environment, place, _find_suspects(place))


def _describe(
    environment: TemplateEnvironment, found: DataPlace | Hazard, suspects: Suspects | None, code: str = ""
) -> DataUse:
    template, line = environment.locate(found.template, found.line)
    return DataUse(write_label(found.node), template, line, found.columns, suspects, code)


def _find_suspects(place: DataPlace) -> Suspects:
    if _makes_scheme(place.node):
        return Suspects.ALL
    found = set()
    for one in place.places:
        match one.kind:
            case LinkKind.LINK if ":" in one.after and not one.after.startswith(("/", "?", "#")):
                return Suspects.ALL
            case LinkKind.LINK if one.before is None or one.before or not one.closed:
                found.add(Suspects.SIGNS)
            case LinkKind.LINK | LinkKind.LINKS if one.quote:
                found.add(Suspects.LINKS)
            case LinkKind.MARKUP:
                found.add(Suspects.MARKUP)
            case _:
                found.add(Suspects.SIGNS)
    return found.pop() if len(found) == 1 else Suspects.SIGNS


def _makes_scheme(node: nodes.Expr) -> bool:
    """Return whether an expression has literal text that may turn data into a scheme."""
    texts = [one.value for one in (node, *node.find_all(nodes.Const)) if isinstance(one, nodes.Const)]
    starts = tuple(f"{scheme}:" for scheme in SCHEMES)
    return any(isinstance(text, str) and ":" in text and not text.startswith(starts) for text in texts)
