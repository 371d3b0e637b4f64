"""The content of a campaign: its templates, compiled once and checked against the audience's columns."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import PurePosixPath

from jinja2 import Template, TemplateNotFound, TemplateSyntaxError
from msgspec import Struct
from msgspec.structs import replace

from engine.campaign.content.column_names import find_near_column, hides_column, suggest_column, write_column
from engine.campaign.content.environment import Prepared, TemplateEnvironment
from engine.campaign.content.html_text import derive_text_template
from engine.campaign.content.link_tags import choose_tagging
from engine.campaign.content.localisation import Formats, normalise_tag
from engine.campaign.content.names import ENGINE_NAMES, Names, NameUse, scan_names
from engine.campaign.content.prepare import PREHEADER, prepare_html
from engine.campaign.content.printing.data_uses import DataUse, describe_data
from engine.campaign.content.template_tokens import assemble
from engine.campaign.content.watchdog import TimeUpError, Watchdog
from engine.campaign.files import is_part, list_files, read_file, resolve_file, search_path
from engine.campaign.headers import is_template
from engine.campaign.locales import parse_locale
from engine.campaign.spec import Campaign
from engine.errors import DataError
from engine.toml_lines import locate_keys

SUBJECT = "subject"
LOCALE = "locale"
_HEADER = "[headers] "  # prefix of the name of a header's template
COMPILE_SECONDS = 20.0  # of processor time for all templates; a hundred large ones need one second
# Templates in campaign.toml, not in their own file.
_KEYS = {SUBJECT: ("subject",), PREHEADER: ("content", "preheader"), LOCALE: ("content", "locale")}


class Variant(Struct, frozen=True):
    """The compiled templates of one language.

    Attributes:
        language: its tag, as `vi`; None for the default.
        subject: the subject.
        html: the HTML part, if there is one; its environment has the templates that it includes.
        text: the text part, if it has a template.
        derived: the text part's template as derived from the HTML's; None if there is a text part, or if it must be
            derived from every message.
        data_uses: the expressions of the HTML part whose values are checked, or that its author should know of.
    """

    language: str | None
    subject: Template
    html: Template | None
    text: Template | None
    derived: Template | None
    data_uses: tuple[DataUse, ...] = ()

    def list_templates(self) -> list[Template]:
        """List the templates of all parts."""
        return [one for one in (self.subject, self.html, self.text, self.derived) if one is not None]


class CampaignContent(Struct, frozen=True):
    """Compiled templates, and the names that they read.

    Attributes:
        campaign: that has the content.
        variants: by language; None is the default.
        uses: the names that the templates read, in all languages.
        all_columns: they use columns that cannot be listed beforehand.
        formats: how dates and numbers are written; the renderer sets the locale.
        headers: the campaign's own headers whose values are templates.
        missing: language -> parts without a template of its own, for which the default is used.
        never_chosen: templates of languages, if no column gives the recipient's language.
    """

    campaign: Campaign
    variants: Mapping[str | None, Variant]
    uses: tuple[NameUse, ...]
    all_columns: bool
    formats: Formats
    headers: Mapping[str, Template]
    missing: Mapping[str, tuple[str, ...]]
    never_chosen: tuple[str, ...] = ()

    def move(self, campaign: Campaign) -> "CampaignContent":
        """Return the content of a copy of the campaign; templates that are named at rendering are read there."""
        templates = [one for variant in self.variants.values() for one in variant.list_templates()]
        for template in (*templates, *self.headers.values()):
            assert isinstance(template.environment, TemplateEnvironment)  # noqa: S101 - _compile's, for the type checker
            template.environment.move(campaign.folder)
        return replace(self, campaign=campaign)

    def data_uses(self) -> tuple[DataUse, ...]:
        """Return the expressions in links, attributes and markup, of all languages, each once."""
        return tuple(dict.fromkeys(use for variant in self.variants.values() for use in variant.data_uses))

    def columns_used(self) -> frozenset[str] | None:
        """Return the columns that the templates read, without mailrun's own names.

        They may include columns that the audience lacks, if a template tests `is defined` first.

        Returns:
            None if a template uses `recipient`, or names another template, in a way that is known only at rendering:
            then it needs all columns.
        """
        if self.all_columns:
            return None
        return frozenset(use.name for use in self.uses if use.is_column)


def compile_content(campaign: Campaign) -> CampaignContent:
    """Read and compile the templates of a campaign, in all its languages.

    Values are escaped only in the HTML part; what an HTML template includes is part of the HTML.

    Raises:
        DataError: a template is missing, is not UTF-8, has a syntax error, or never ends.
    """
    audience = campaign.spec.audience
    written = {"date_format": audience.date_format, "decimal": audience.decimal}
    formats = Formats(campaign.spec.content.default_locale, written)
    files = _find_variants(campaign)

    def compile_all() -> tuple[list[tuple[Variant, list[Names]]], tuple[dict[str, Template], list[Names]]]:
        compiled = [_Compilation(campaign, language, formats, files).compile() for language in _languages(files)]
        return compiled, _compile_headers(campaign, formats)

    with _reported(campaign):
        compiled, (headers, of_headers) = Watchdog(COMPILE_SECONDS).run(compile_all)
    names = [*of_headers, *(found for _, of_variant in compiled for found in of_variant)]
    uses = [use for found in names for use in found.uses]
    if campaign.spec.content.locale is not None:
        uses.append(NameUse(campaign.spec.content.locale, LOCALE, 1, guarded=True))
    return CampaignContent(
        campaign=campaign,
        variants={variant.language: variant for variant, _ in compiled},
        uses=tuple(dict.fromkeys(uses)),
        all_columns=any(found.all_columns for found in names),
        formats=formats,
        headers=headers,
        missing=_find_missing(files),
        never_chosen=_find_never_chosen(campaign),
    )


# Part -> language -> template.
Variants = Mapping[str, Mapping[str | None, str]]


def _find_variants(campaign: Campaign) -> Variants:
    """Find `body.vi.html.j2` next to `body.html.j2`, and `subject.vi.j2`; the key of the default is None."""
    spec = campaign.spec.content
    parts = {SUBJECT: SUBJECT, PREHEADER: spec.preheader and PREHEADER, "html": spec.html, "text": spec.text}
    there = list_files(campaign.folder) if spec.locale is not None else {}
    return {part: {None: name, **_variants_of(name, there)} for part, name in parts.items() if name is not None}


def _find_never_chosen(campaign: Campaign) -> tuple[str, ...]:
    spec = campaign.spec.content
    if spec.locale is not None:
        return ()
    there = list_files(campaign.folder)
    names = (spec.html, spec.text, SUBJECT, PREHEADER)
    return tuple(sorted(found for name in names if name for found in _variants_of(name, there).values()))


def _variants_of(name: str, there: Collection[str]) -> dict[str | None, str]:
    path = PurePosixPath(name)
    stem, dot, ending = path.name.partition(".")
    endings = f".{ending}" if dot else ".j2"
    found: dict[str | None, str] = {}
    for other in map(PurePosixPath, there):
        middle = other.name.removeprefix(f"{stem}.").removesuffix(endings)
        if other.parent == path.parent and other.name == f"{stem}.{middle}{endings}":
            tag = normalise_tag(middle)
            if tag is not None and parse_locale(tag) is not None:
                found[tag] = str(other)
    return found


def _languages(files: Variants) -> list[str | None]:
    found = {language for names in files.values() for language in names if language is not None}
    return [None, *sorted(found)]


def _find_missing(files: Variants) -> dict[str, tuple[str, ...]]:
    every = {
        language: tuple(p for p, names in files.items() if language not in names) for language in _languages(files)
    }
    return {language: parts for language, parts in every.items() if language is not None and parts}


class _Compilation(Struct, frozen=True):
    """Compiles the templates of one language."""

    campaign: Campaign
    language: str | None
    formats: Formats
    files: Variants

    def compile(self) -> tuple[Variant, list[Names]]:
        plain, rich = (self._environment(autoescape=escaped) for escaped in (False, True))
        subject, text, html = (self._choose(part) for part in (SUBJECT, "text", "html"))
        preheader = self._choose(PREHEADER)
        if subject == SUBJECT:
            plain.put(SUBJECT, Prepared(self.campaign.spec.subject))
        if preheader is not None:
            source = self.campaign.spec.content.preheader if preheader == PREHEADER else rich.read(preheader)
            rich.put(PREHEADER, Prepared(source or "", None if preheader == PREHEADER else lambda n: (preheader, n)))
        if html is not None:
            tagging = choose_tagging(self.campaign.spec)
            prepare_html(rich, html, language=self.language, preheader=preheader is not None, tagging=tagging)
        parts = [(plain, subject), *([(rich, html)] if html else []), *([(plain, text)] if text else [])]
        names = [scan_names(environment, name, environment.read(name)) for environment, name in parts if name]
        derived = self._derive(plain, rich, html) if html is not None and text is None else None
        links = rich.check_links(html) if html is not None else None
        return Variant(
            language=self.language,
            subject=_compile(plain, subject or SUBJECT),
            html=_compile(rich, html) if html else None,
            text=_compile(plain, text) if text else None,
            derived=derived,
            data_uses=() if links is None else tuple(describe_data(rich, links)),
        ), names

    def _environment(self, *, autoescape: bool) -> TemplateEnvironment:
        return TemplateEnvironment(self.campaign.folder, autoescape=autoescape, formats=self.formats)

    def _choose(self, part: str) -> str | None:
        """Choose the template of a part: the language's own, else its parent's, else the default."""
        names, language = self.files.get(part, {}), self.language
        while language is not None and language not in names:
            language = language.rpartition("-")[0] or None
        return names.get(language)

    def _derive(self, plain: TemplateEnvironment, rich: TemplateEnvironment, html: str) -> Template | None:
        tokens = assemble(rich, html)
        source = "".join(token.text for token in tokens)
        try:
            made = derive_text_template(tokens, rich.parse(source, html))
        except TemplateSyntaxError:  # assembled into one, the files are not a valid template
            return None
        if made is None:
            return None
        name = f"text of {html}"
        plain.put(name, made)
        return _compile(plain, name)


def _compile_headers(campaign: Campaign, formats: Formats) -> tuple[dict[str, Template], list[Names]]:
    """Compile the campaign's own headers that have template tags."""
    plain = TemplateEnvironment(campaign.folder, autoescape=False, formats=formats)
    headers, names = {}, []
    for header, source in campaign.spec.headers.items():
        if is_template(source):
            name = f"{_HEADER}{header}"
            plain.put(name, Prepared(source))
            names.append(scan_names(plain, name, source))
            headers[header] = _compile(plain, name)
    return headers, names


def check_names(content: CampaignContent, columns: Collection[str]) -> None:
    """Check that every name in the templates is a column or one of mailrun's names.

    Args:
        content: the compiled templates.
        columns: the columns of the audience.

    Raises:
        DataError: all undefined names, with file and line.
    """
    known = ENGINE_NAMES - (frozenset() if content.campaign.spec.unsubscribe else {"unsubscribe_url"})

    def is_right(use: NameUse) -> bool:
        there = use.name in columns if use.is_column else use.name in known
        return not use.hidden and (use.optional or there) and not hides_column(use, columns)

    wrong = [use for use in content.uses if not is_right(use)]
    if not wrong:
        return
    there = "columns: " + ", ".join(sorted(columns)) if columns else "the audience has no columns"
    if len(wrong) == 1:
        what, where = _describe_undefined(content.campaign, wrong[0], columns), place_of(content.campaign, wrong[0])
        raise DataError(what, where=where, remedy=there)
    bullets = "".join(
        f"\n  - {place_of(content.campaign, use)}: {_describe_undefined(content.campaign, use, columns)}"
        for use in wrong
    )
    raise DataError(
        f"{len(wrong)} names in templates are not defined:{bullets}\n",
        where=str(content.campaign.folder),
        remedy=f"correct each of them; {there}",
    )


def _describe_undefined(campaign: Campaign, use: NameUse, columns: Collection[str]) -> str:
    if use.hidden:
        return f'{use.name} is not visible in an imported file: write {{% import "{use.template}" as … with context %}}'
    if use.name == "unsubscribe_url" and not use.of_recipient:
        column = '; for the column of that name write recipient["unsubscribe_url"]' if use.name in columns else ""
        return f"unsubscribe_url is available only in marketing campaigns{column}"
    if hides_column(use, columns):
        meaning = f'mailrun\'s own {use.name}; for the column of that name write recipient["{use.name}"]'
        return f"{use.name} is {meaning}"
    what = f"{use.name} is not a column of the audience"
    odd = [column for column in columns if use.name.casefold() in column.casefold()]
    if odd and (remedy := suggest_column(_read_source(campaign, use.template), use.line, odd)):
        return f"{what}: {remedy}"
    close = find_near_column(use.name, columns) or next(iter(get_close_matches(use.name, list(columns), n=1)), None)
    return what + (f", did you mean {write_column(close)}?" if close else "")


def _read_source(campaign: Campaign, template: str) -> str:
    """Return a template as its author wrote it; empty if it cannot be read."""
    if template == SUBJECT:
        return campaign.spec.subject
    if template == PREHEADER:
        return campaign.spec.content.preheader or ""
    if template.startswith(_HEADER):
        return campaign.spec.headers.get(template.removeprefix(_HEADER), "")
    return (read_file(campaign.folder, template) or b"").decode("utf-8-sig", errors="replace")


def _compile(environment: TemplateEnvironment, name: str) -> Template:
    code = environment.compile(environment.read(name), name=name, filename=name)
    return Template.from_code(environment, code, environment.make_globals(None))


@contextmanager
def _reported(campaign: Campaign) -> Iterator[None]:
    """Convert Jinja's errors in reading and compiling to DataError."""
    try:
        yield
    except TemplateSyntaxError as error:
        name = error.name or SUBJECT
        place = place_of(campaign, NameUse("", name, error.lineno))
        remedy = suggest_column(_read_source(campaign, name), error.lineno) or "correct the template"
        raise DataError(error.message or "syntax error", where=place, remedy=remedy) from None
    except TemplateNotFound as error:
        raise _missing(campaign, str(error.name)) from None
    except TimeUpError:
        what = f"compiling the templates takes more than {COMPILE_SECONDS:.0f} seconds"
        raise DataError(what, where=str(campaign.folder), remedy="make their constants and loops smaller") from None


def _missing(campaign: Campaign, name: str) -> DataError:
    own, shared = search_path(campaign.folder)
    files = sorted(name for name in list_files(campaign.folder) if name != "campaign.toml")
    there = ", ".join(files) if files else "nothing but campaign.toml"
    looked = f" (searched in {own} and, as _shared/…, in {shared})" if "/" in name else ""
    todo = "create it" if is_part(name) else "rename it: hidden, backup and lock files are not part of a campaign"
    return DataError(
        f"the template {name} is missing{looked}",
        where=str(campaign.folder / name),
        remedy=f"{todo}, or name another file; in the folder: {there}",
    )


def place_of(campaign: Campaign, use: NameUse) -> str:
    """Return the file and line of a name; some templates, such as the subject, are in campaign.toml."""
    key = _KEYS.get(use.template)
    if use.template.startswith(_HEADER):
        key = ("headers", use.template.removeprefix(_HEADER))
    if key is None:
        file = resolve_file(campaign.folder, use.template) or campaign.folder / use.template
        return f"{file}:{use.line}"
    source = (read_file(campaign.folder, "campaign.toml") or b"").decode("utf-8-sig")
    return f"{campaign.folder / 'campaign.toml'}:{locate_keys(source).get(key, 1)} {'.'.join(key)}"
