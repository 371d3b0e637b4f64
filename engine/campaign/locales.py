"""Locales in audience data, and the language variant that fits a locale.

Accepted formats: language tags (BCP 47) with hyphens or underscores in any case, also with old and three-letter codes;
POSIX names (`fr_FR.UTF-8`, `sr_RS@latin`); and lists of preferences (`fr-CA,fr;q=0.9,en;q=0.8`). Missing subtags are
filled in with CLDR's likely subtags: `zh-TW` gets the script Hant.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from babel import Locale, UnknownLocaleError
from babel.core import get_global

DEFAULT_LOCALE = "en"
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*")
_SCRIPT = re.compile(r"[A-Za-z]{4}")
_TERRITORY = re.compile(r"[A-Za-z]{2}|[0-9]{3}")
_EXTENDED = re.compile(r"[A-Za-z]{3}")
_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_POSIX_SCRIPTS = {"latin": "Latn", "latn": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva", "arabic": "Arab"}
_MOST_PREFERENCES = 20
_LONGEST = 400  # characters; browsers' lists are shorter


class Tag(NamedTuple):
    """A language with an optional script and territory, in canonical spelling.

    >>> str(Tag("zh", "Hant", "TW"))
    'zh-Hant-TW'
    """

    language: str
    script: str | None = None
    territory: str | None = None

    def __str__(self) -> str:
        return "-".join(filter(None, self))


@lru_cache(maxsize=4096)
def read_locales(text: str) -> tuple[Tag, ...]:
    """Read a locale or a list of preferences: most preferred first; empty if the text is not a locale.

    >>> [str(tag) for tag in read_locales("en;q=0.8, fr_CA.UTF-8")]
    ['fr-CA', 'en']
    """
    weighted: list[tuple[float, Tag]] = []
    for part in text[:_LONGEST].replace(":", ",").split(",")[:_MOST_PREFERENCES]:
        name, _, weight = (piece.strip() for piece in part.partition(";"))
        found = _WEIGHT.fullmatch(weight.replace(" ", "")) if weight else None
        share = float(found[1]) if found else 0.0 if weight else 1.0
        tag = _read_tag(name)
        if tag is not None and share > 0 and parse_locale(str(tag)) is not None:
            weighted.append((share, tag))
        elif tag is None and name not in ("", "*"):
            return ()
    return tuple(dict.fromkeys(tag for _, tag in sorted(weighted, key=lambda one: -one[0])))


def _read_tag(name: str) -> Tag | None:
    """Read one tag or POSIX name; subtags other than language, script and territory are ignored."""
    plain, _, modifier = name.partition("@")
    plain = plain.partition(".")[0]
    if not _TAG.fullmatch(plain):
        return None
    language, *rest = re.split("[-_]", plain)
    while rest and _EXTENDED.fullmatch(rest[0]):
        language, *rest = rest  # zh-yue is yue: RFC 5646 4.5
    script = rest.pop(0).title() if rest and _SCRIPT.fullmatch(rest[0]) else _POSIX_SCRIPTS.get(modifier.lower())
    territory = rest.pop(0).upper() if rest and _TERRITORY.fullmatch(rest[0]) else None
    language = language.lower()
    alias = get_global("language_aliases").get(language, language).split("_")
    if len(alias) > 1 and _SCRIPT.fullmatch(alias[1]):
        script = script or alias[1]
    elif len(alias) > 1:
        territory = territory or alias[1]
    if territory is not None:
        territory = get_global("territory_aliases").get(territory, [territory])[0]
    return Tag(alias[0], script, territory)


@lru_cache(maxsize=1024)
def parse_locale(tag: str) -> Locale | None:
    """Return Babel's locale for a tag, or for its nearest parent that Babel has."""
    while tag:
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            tag = tag.rpartition("-")[0]
    return None


def choose_language(preferences: Sequence[Tag], available: Iterable[str], default: str | None = None) -> str | None:
    """Choose the variant for a recipient, by the preferences in their order.

    For each preference: the variant in the same language and script, with the same territory if possible; then a
    parent of the tag (RFC 4647 3.4).

    Args:
        preferences: from read_locales.
        available: tags of the variants.
        default: the tag of the default templates: it counts as a variant.

    Returns:
        One of `available`, or None: the default.

    >>> tags = ("vi-VN", "zh_Hant_HK", "en-GB, vi;q=0.5")
    >>> [choose_language(read_locales(tag), ["vi", "zh-tw"], "en") for tag in tags]
    ['vi', 'zh-tw', None]
    """
    variants = {variant: tag for variant in sorted(available) if (tag := _read_tag(variant)) is not None}
    for wanted in preferences:
        places: dict[str | None, Tag] = dict(variants.items())
        if default is not None and (tag := _read_tag(default)) is not None:
            places[None] = tag
        for language in _languages(wanted):
            ranked = [(_rank(language, tag), place) for place, tag in places.items()]
            best = min(
                ((rank, place) for rank, place in ranked if rank is not None), default=None, key=lambda one: one[0]
            )
            if best is not None:
                return best[1]
        if (
            parent := next((place for place, tag in variants.items() if tag == Tag(wanted.language)), None)
        ) is not None:
            return parent
    return None


def _languages(wanted: Tag) -> Iterator[Tag]:
    """Yield the tag, then its fallback language if it has one, such as Norwegian for Nynorsk."""
    yield wanted
    if (parent := get_global("parent_exceptions").get(wanted.language)) is not None and parent.isalpha():
        yield Tag(parent, None, wanted.territory)


def _rank(wanted: Tag, variant: Tag) -> int | None:
    """Return how well a variant fits (0 is best); None for another language or script."""
    full, its = _maximise(wanted), _maximise(variant)
    if (_base(full.language), full.script) != (_base(its.language), its.script):
        return None
    if variant == wanted:
        return 0
    if wanted.territory is not None and variant.territory == wanted.territory:
        return 1
    if variant.territory is not None and variant.territory == _parent_territory(full):
        return 2
    if variant.territory is None:
        return 3
    return 4 if its.territory == _maximise(Tag(full.language, full.script)).territory else 5


def _base(language: str) -> str:
    return "no" if language == "nb" else language  # two names of one written language


def _parent_territory(tag: Tag) -> str | None:
    parents = get_global("parent_exceptions")
    parent = parents.get(f"{tag.language}_{tag.territory}") or parents.get(str(tag).replace("-", "_"), "")
    return found if (found := parent.rpartition("_")[2]) and _TERRITORY.fullmatch(found) and "_" in parent else None


@lru_cache(maxsize=4096)
def _maximise(tag: Tag) -> Tag:
    """Fill in script and territory: CLDR's likely subtags (UTS 35)."""
    likely = get_global("likely_subtags")
    for known in (tag, Tag(tag.language, None, tag.territory), Tag(tag.language, tag.script), Tag(tag.language)):
        found = likely.get(str(known).replace("-", "_"))
        if found is not None:
            _, script, territory = found.split("_")[:3]
            return Tag(tag.language, tag.script or script, tag.territory or territory)
    return tag
