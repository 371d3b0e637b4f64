"""The pages of an unsubscribe link: in the reader's language, with sender and topic, from a template."""

import tomllib
from base64 import b64encode
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup
from msgspec import Struct, field

from engine.campaign.content.localisation import is_right_to_left
from engine.campaign.locales import choose_language, read_locales
from engine.errors import ConfigurationError, docs_page
from engine.settings import Settings

ONE_CLICK = "List-Unsubscribe", "One-Click"  # RFC 8058: name and value of the form
UNDO = "undo", "1"
BY_PAGE = "by", "page"  # in the form of the page alone: a mail program posts ONE_CLICK and nothing more
_FOLDER = Path(__file__).parent / "pages"


class PageKind(StrEnum):
    """The kind of a page. Values are the keys of the texts in pages/unsubscribe.toml."""

    ASK = "ask"
    DONE = "done"
    UNDONE = "undone"
    LATE = "late"  # too late to undo
    CUT = "cut"  # no valid token
    LATER = "later"  # the ledger cannot be reached
    IMPOSSIBLE = "impossible"


class Theme(Struct, frozen=True):
    """The settings of `[unsubscribe_page]`.

    Attributes:
        sender: the sender's name, for people; empty for none.
        topics: topic -> its name for people; a topic without one is shown as it is.
        preferences_url: the page where a reader chooses topics; `{token}` becomes the link's token. Empty for none.
        template: a Jinja template of the page; None for mailrun's own.
    """

    sender: str = ""
    topics: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    preferences_url: str = ""
    template: Path | None = None


class UnsubscribePages:
    """Renders the pages.

    Args:
        theme: the settings.

    Attributes:
        policy: the pages' Content-Security-Policy.

    Raises:
        ConfigurationError: the template cannot be read or rendered; every page is rendered at once.
    """

    def __init__(self, theme: Theme | None = None) -> None:
        self._theme = theme or Theme()
        self._words: dict[str, dict[str, Any]] = tomllib.loads((_FOLDER / "unsubscribe.toml").read_text("utf-8"))
        where = self._theme.template or _FOLDER / "unsubscribe.html.j2"
        environment = ImmutableSandboxedEnvironment(
            autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        try:
            source = where.read_text(encoding="utf-8")
            self._template = environment.from_string(source)
            for kind in PageKind:
                self.render(kind, topic="topic", token="token")  # noqa: S106 - an example, not a token
        except TemplateSyntaxError as error:
            raise _wrong(f"not a valid template: {error.message}", f"{where}, line {error.lineno}") from None
        except TemplateError as error:
            raise _wrong(f"the template fails: {error.message}", str(where)) from None
        except UnicodeDecodeError:
            raise _wrong("not UTF-8", str(where)) from None
        except OSError as error:
            raise _wrong(f"cannot be read: {error.strerror}", str(where)) from None

        self.policy = _make_policy(source if self._theme.template is None else None)

    def render(self, kind: PageKind, *, accept: str = "", topic: str = "", token: str = "") -> bytes:
        """Return a page.

        Args:
            kind: of the page.
            accept: the reader's Accept-Language.
            topic: of the link's token; empty where there is none.
            token: of the link, for the link to the preferences.
        """
        language = choose_page_language(accept, self._words)
        words = self._words[language]
        title, text = words[kind]
        url = self._theme.preferences_url if token else ""
        return self._template.render(
            page=str(kind),
            language=language,
            direction="rtl" if is_right_to_left(language) else "ltr",
            title=title,
            text=text,
            words=words,
            sender=self._theme.sender,
            topic=self._theme.topics.get(topic, topic),
            form=_FORMS[kind](words) if kind in _FORMS else "",
            preferences_url=url.replace("{token}", quote(token, safe="")),
        ).encode()


def open_pages(settings: Settings) -> UnsubscribePages:
    """Read the pages that `[unsubscribe_page]` describes.

    Raises:
        ConfigurationError: its template cannot be read or rendered.
    """
    page = settings.unsubscribe_page
    return UnsubscribePages(
        Theme(
            sender=page.sender,
            topics=page.topics,
            preferences_url=page.preferences_url,
            template=settings.workspace / page.template if page.template else None,
        )
    )


def choose_page_language(accept: str, available: Mapping[str, object]) -> str:
    """Choose a language by Accept-Language (RFC 9110 12.5.4, lookup of RFC 4647); English where none fits.

    >>> choose_page_language("da, de-AT;q=0.8, fr;q=0.9", {"en": 0, "de": 0, "fr": 0})
    'fr'
    """
    return choose_language(read_locales(accept), available) or "en"


def _make_form(label: str, style: str, *fields: tuple[str, str]) -> Markup:
    hidden = Markup("").join(Markup('<input type="hidden" name="{}" value="{}">').format(*one) for one in fields)
    return Markup('<form method="post">{}<button type="submit" class="{}">{}</button></form>').format(
        hidden, style, label
    )


_FORMS = {
    PageKind.ASK: lambda words: _make_form(words["unsubscribe"], "", ONE_CLICK, BY_PAGE),
    PageKind.DONE: lambda words: _make_form(words["undo"], "quiet", UNDO),
}


def _make_policy(source: str | None) -> str:
    """Return the Content-Security-Policy: no script, no frame; a custom template may have styles and images."""
    style = "'unsafe-inline'; img-src data: https:"
    if source is not None:
        text = source.partition("<style>")[2].partition("</style>")[0]
        style = f"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'"
    return f"default-src 'none'; style-src {style}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


def _wrong(what: str, where: str) -> ConfigurationError:
    return ConfigurationError(
        f"the unsubscribe page: {what}",
        where=where,
        remedy=f"correct the file; {docs_page('reference/unsubscribe-server.md')} lists its names",
    )
