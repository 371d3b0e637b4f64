"""Findings about a campaign's templates, made before any message is rendered."""

from collections.abc import Collection, Iterator, Mapping

from engine.campaign.content.column_names import may_hide_column
from engine.campaign.content.names import NameUse
from engine.campaign.content.printing.html_states import DATA_IN_SCRIPT, SAFE_DATA, UNESCAPED_DATA, UNQUOTED_DATA
from engine.campaign.content.templates import CampaignContent, place_of
from engine.campaign.files import resolve_file
from engine.campaign.lint_findings import LintFinding, LintFindings, Severity
from engine.campaign.spec import Campaign
from engine.quantities import format_count


def lint_templates(content: CampaignContent, columns: Collection[str], nulls: Mapping[str, int]) -> LintFindings:
    """Compare the names in the templates with the plan's columns, before any message is rendered.

    `check_names` reports undefined names as errors.

    Args:
        content: the compiled templates.
        columns: of the audience.
        nulls: column -> number of recipients for whom it is null after defaults are applied.
    """
    findings = LintFindings()
    used = content.columns_used()
    for found in (
        *_unused(content, columns, used),
        *_hidden(content, columns),
        *_nulls(content, nulls),
        *_languages(content),
        *_unsubscribe_links(content),
        *_empty_files(content.campaign),
        *_data_uses(content),
    ):
        findings.add(found)
    return findings


def _unused(content: CampaignContent, columns: Collection[str], used: frozenset[str] | None) -> Iterator[LintFinding]:
    if used is None:
        return
    spec = content.campaign.spec.audience
    for key, names in (("defaults", spec.defaults), ("required", spec.required)):
        for name in names:
            if name not in used and name in columns:
                what = f"[audience] {key} names {name}, which no template reads"
                yield LintFinding(
                    Severity.WARNING,
                    "unused_name",
                    what,
                    f"use {name} in a template, or remove it from {key}",
                    _toml(content.campaign),
                )
    known = used | {spec.address, content.campaign.spec.window.column, *spec.required, *spec.defaults}
    if rest := [name for name in columns if name not in known]:
        yield LintFinding(
            Severity.NOTE, "unused_columns", f"no template reads {', '.join(rest)}", "no action is needed"
        )


def _hidden(content: CampaignContent, columns: Collection[str]) -> Iterator[LintFinding]:
    """Report names that mean mailrun's own value although the audience has a column of that name."""
    address = content.campaign.spec.audience.address
    for use in content.uses:
        column = may_hide_column(use, columns, address)
        if column is not None:
            written = f"{use.name}.{use.field}" if use.field else use.name
            what = f"{written} is mailrun's own value here, not the column {column}"
            remedy = (
                f"write {column} to read the column"
                if use.field == column
                else f'write recipient["{column}"] to read the column'
            )
            yield LintFinding(Severity.WARNING, "hidden_column", what, remedy, place_of(content.campaign, use))


def _nulls(content: CampaignContent, nulls: Mapping[str, int]) -> Iterator[LintFinding]:
    for use in content.uses:
        rows = nulls.get(use.name, 0)
        if rows and not use.guarded and use.is_column:
            what = (
                f"{use.name} is null for {format_count(rows, 'recipient')}, and a template uses it without testing it"
            )
            remedy = f"set a value in [audience] defaults, or write {{% if {use.name} %}} around it"
            yield LintFinding(Severity.WARNING, "nullable", what, remedy, place_of(content.campaign, use))


def _languages(content: CampaignContent) -> Iterator[LintFinding]:
    for language, parts in content.missing.items():
        what = f"the language {language} has no {' and no '.join(parts)} of its own: the default is sent instead"
        yield LintFinding(
            Severity.WARNING, "untranslated", what, "add the missing templates", str(content.campaign.folder)
        )
    if content.never_chosen:
        what = f"{', '.join(content.never_chosen)} are never used: no column gives the recipient's language"
        yield LintFinding(
            Severity.WARNING, "no_locale", what, 'set locale = "COLUMN" in [content]', _toml(content.campaign)
        )


def _unsubscribe_links(content: CampaignContent) -> Iterator[LintFinding]:
    spec = content.campaign.spec.unsubscribe
    if spec is not None and spec.url is None and spec.ses_contact_list is None:
        what = (
            "mailto: is the only unsubscribe link; Gmail and Yahoo require one-click links from bulk senders (RFC 8058)"
        )
        remedy = 'add url = "https://…/{{ token }}" to [unsubscribe]'
        yield LintFinding(Severity.WARNING, "no_one_click", what, remedy, _toml(content.campaign))


def _empty_files(campaign: Campaign) -> Iterator[LintFinding]:
    content = campaign.spec.content
    for key, paths in (("attachments", content.attachments), ("inline", content.inline)):
        for path in paths:
            file = resolve_file(campaign.folder, path)
            if file is not None and not file.stat().st_size:
                what, remedy = f"the file {path} is empty", f"replace it, or remove it from {key}"
                yield LintFinding(Severity.WARNING, "empty_attachment", what, remedy, str(file))


def _data_uses(content: CampaignContent) -> Iterator[LintFinding]:
    """Report expressions in places where escaping is not enough; their values are checked in every message too."""
    for use in content.data_uses():
        if use.code:
            severity, what, remedy = _DATA_USES[use.code]
            where = place_of(content.campaign, NameUse("", use.template, use.line))
            yield LintFinding(severity, use.code, f"{use.label} {what}", remedy, where)


def _toml(campaign: Campaign) -> str:
    return str(campaign.folder / "campaign.toml")


# Code of a DataUse -> severity, message and remedy of its finding.
_DATA_USES = {
    DATA_IN_SCRIPT: (
        Severity.ERROR,
        "is in a script, where escaping does not protect it",
        "remove it from the script: these messages fail",
    ),
    UNQUOTED_DATA: (
        Severity.WARNING,
        "is in a tag without quotes around it: messages fail for values with a space or a quote",
        'write quotes around it: href="{{ … }}"',
    ),
    UNESCAPED_DATA: (
        Severity.WARNING,
        "is not escaped ({% autoescape false %}): its value becomes part of the HTML",
        "remove the autoescape block, unless the value is HTML that you wrote yourself",
    ),
    SAFE_DATA: (
        Severity.WARNING,
        "is not escaped (|safe): its value becomes part of the HTML",
        "remove |safe, unless the value is HTML that you wrote yourself",
    ),
}
