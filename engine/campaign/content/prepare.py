"""Prepare the templates of an HTML part for compiling, once per campaign."""

import re
from pathlib import PurePosixPath

from jinja2 import TemplateSyntaxError

from engine.campaign.content.environment import TemplateEnvironment
from engine.campaign.content.inline_css import inline_css
from engine.campaign.content.link_tags import LinkTagging, tag_links
from engine.campaign.content.localisation import is_right_to_left
from engine.campaign.content.mjml import convert_mjml
from engine.campaign.content.template_tokens import TemplateToken, assemble, split
from engine.on_demand import OnDemand

convert_markdown = OnDemand("engine.campaign.content.markdown:convert_markdown")  # its parser is slow to import
PREHEADER = "preheader"
_HTML_TAG = re.compile(r"<html\b(?P<attributes>[^>]*)>", re.IGNORECASE)
_BODY_TAG = re.compile(r"<body\b(?:\"[^\"]*\"|'[^']*'|[^>\"'])*>", re.IGNORECASE)
_LANG = re.compile(r"""(\slang\s*=\s*)(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_DIR = re.compile(r"\sdir\s*=", re.IGNORECASE)
# Hidden in the message, shown in the list of messages; the filler keeps the body's text out of that list.
_PREHEADER_BLOCK = (
    '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all;">'
    f'{{% include "{PREHEADER}" %}}' + "&#847;&zwnj;&nbsp;" * 25 + "</div>"
)


def prepare_html(
    environment: TemplateEnvironment,
    name: str,
    *,
    language: str | None,
    preheader: bool,
    tagging: LinkTagging | None = None,
) -> None:
    """Prepare the templates of an HTML part for compiling: convert Markdown and MJML, inline CSS, number links.

    Args:
        environment: reads the templates; the prepared ones are stored in it.
        name: of the part's template.
        language: tag of the variant, for `lang` and `dir`; None for the default variant, which sets them itself.
        preheader: put the template `preheader` at the top of the body.
        tagging: how links are tagged with their position; None for links without tags.

    Raises:
        TemplateSyntaxError: a template, its MJML or its CSS is wrong.
        TemplateNotFound: one is missing.
    """
    _convert(environment, name)
    try:
        files = {token.file for token in assemble(environment, name)}
    except RecursionError as error:
        raise TemplateSyntaxError(str(error), lineno=1, name=name) from None
    for file in files:
        source = environment.read(file)
        changed = _set_language(source, language)
        if preheader:
            changed = _insert_preheader(changed)
        environment.replace(file, changed)
    if preheader and not any(_PREHEADER_BLOCK in environment.read(file) for file in files):
        environment.replace(name, _PREHEADER_BLOCK + environment.read(name))  # no file has a <body>
    sources = {file: environment.read(file) for file in files}
    for file, source in inline_css(assemble(environment, name), sources).items():
        environment.replace(file, source)
    if tagging is not None:
        sources = {file: environment.read(file) for file in files}
        for file, source in tag_links(assemble(environment, name), sources, tagging).items():
            environment.replace(file, source)


def _convert(environment: TemplateEnvironment, name: str) -> None:
    suffixes = PurePosixPath(name).suffixes
    if ".mjml" in suffixes:
        tokens = _assemble_mjml(environment, name)
        environment.put(name, convert_mjml(tokens))
    elif ".md" in suffixes:
        environment.put(name, convert_markdown(split(environment.read(name), name)))


def _assemble_mjml(environment: TemplateEnvironment, name: str) -> list[TemplateToken]:
    """Assemble MJML and the MJML that it includes into one document, which is compiled as a whole."""
    try:
        return assemble(environment, name, follow=lambda other: ".mjml" in PurePosixPath(other).suffixes)
    except RecursionError as error:
        raise TemplateSyntaxError(str(error), lineno=1, name=name) from None


def _set_language(source: str, language: str | None) -> str:
    """Set `lang` to the variant's language, and `dir` if it is written from right to left."""

    def write(found: re.Match[str]) -> str:
        attributes = found["attributes"]
        own = _LANG.search(attributes)
        if language is not None:
            attributes = _LANG.sub(rf'\g<1>"{language}"', attributes) if own else f'{attributes} lang="{language}"'
        tag = language or (own and (own[2] or own[3])) or None
        if is_right_to_left(tag and tag.lower()) and not _DIR.search(attributes):
            attributes += ' dir="rtl"'
        return f"<html{attributes}>"

    return _HTML_TAG.sub(write, source, count=1)


def _insert_preheader(source: str) -> str:
    return _BODY_TAG.sub(lambda found: found[0] + _PREHEADER_BLOCK, source, count=1)
