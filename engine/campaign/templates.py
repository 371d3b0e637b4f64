"""The content of a campaign: its templates, compiled once and checked against the audience's columns."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

from jinja2 import Template, TemplateNotFound, TemplateSyntaxError

from engine.campaign.names import ENGINE_NAMES, NameUse, scan_names
from engine.campaign.problems import locate_keys
from engine.campaign.sandbox import TemplateEnvironment
from engine.campaign.spec import Campaign
from engine.errors import DataError

SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Content:
    """Compiled templates, and the names that they read.

    `text` is None where the campaign leaves it to be derived from the HTML.
    """

    campaign: Campaign
    subject: Template
    html: Template | None
    text: Template | None
    uses: tuple[NameUse, ...]
    all_columns: bool

    def columns_used(self) -> frozenset[str] | None:
        """Return the columns that the templates read, without the engine's own names.

        Among them may be columns that the audience lacks, where a template asks `is defined` first.

        Returns:
            None if a template uses `recipient`, or names another template, in a way that only rendering can follow:
            then it needs all the columns.
        """
        if self.all_columns:
            return None
        return frozenset(use.name for use in self.uses) - ENGINE_NAMES


def compile_content(campaign: Campaign) -> Content:
    """Read and compile subject, HTML and text of a campaign.

    Values are escaped in the HTML part alone; what an HTML template includes is part of the HTML.

    Raises:
        DataError: a template is missing, is not UTF-8, or has a syntax error.
    """
    spec = campaign.spec
    plain = TemplateEnvironment(campaign.folder, autoescape=False)
    rich = TemplateEnvironment(campaign.folder, autoescape=True)
    files = [(rich, spec.content.html), (plain, spec.content.text)]
    with _reported(campaign):
        parts = [(plain, SUBJECT, spec.subject)]
        parts += [(environment, name, environment.read(name)) for environment, name in files if name is not None]
        names = [scan_names(environment, name, source) for environment, name, source in parts]
        compiled = [_compile(environment, name, source) for environment, name, source in parts]
    bodies = iter(compiled[1:])
    return Content(
        campaign=campaign,
        subject=compiled[0],
        html=next(bodies) if spec.content.html else None,
        text=next(bodies) if spec.content.text else None,
        uses=tuple(dict.fromkeys(use for found in names for use in found.uses)),
        all_columns=any(found.all_columns for found in names),
    )


def check_names(content: Content, columns: Collection[str]) -> None:
    """Check that every name that the templates read is a column or the engine's.

    Args:
        content: the compiled templates.
        columns: the columns of the audience.

    Raises:
        DataError: naming all the names that nobody defines, with file and line.
    """
    known = set(columns) | ENGINE_NAMES
    if content.campaign.spec.unsubscribe is None:
        known.discard("unsubscribe_url")
    wrong = [use for use in content.uses if use.hidden or not (use.optional or use.name in known)]
    if not wrong:
        return
    there = "columns: " + ", ".join(sorted(columns)) if columns else "the audience has no columns"
    if len(wrong) == 1:
        raise DataError(_complaint(wrong[0], columns), where=_place(content.campaign, wrong[0]), remedy=there)
    bullets = "".join(f"\n  - {_place(content.campaign, use)}: {_complaint(use, columns)}" for use in wrong)
    raise DataError(
        f"{len(wrong)} names in templates are not defined:{bullets}\n",
        where=str(content.campaign.folder),
        remedy=f"correct each of them; {there}",
    )


def _complaint(use: NameUse, columns: Collection[str]) -> str:
    if use.hidden:
        return f'{use.name} is not visible in an imported file: write {{% import "{use.template}" as … with context %}}'
    if use.name == "unsubscribe_url":
        return "unsubscribe_url is there in marketing campaigns alone"
    close = get_close_matches(use.name, list(columns), n=1)
    return f"{use.name} is no column of the audience" + (f", did you mean {close[0]}?" if close else "")


def _compile(environment: TemplateEnvironment, name: str, source: str) -> Template:
    code = environment.compile(source, name=name, filename=name)
    return Template.from_code(environment, code, environment.make_globals(None))


@contextmanager
def _reported(campaign: Campaign) -> Iterator[None]:
    """Turn what Jinja raises while it reads and compiles into errors for people."""
    try:
        yield
    except TemplateSyntaxError as error:
        place = _place(campaign, NameUse("", error.name or SUBJECT, error.lineno))
        raise DataError(error.message or "syntax error", where=place, remedy="correct the template") from None
    except TemplateNotFound as error:
        raise _missing(campaign, str(error.name)) from None


def _missing(campaign: Campaign, name: str) -> DataError:
    files = sorted(path.name for path in campaign.folder.iterdir() if path.name != "campaign.toml")
    there = ", ".join(files) if files else "nothing but campaign.toml"
    return DataError(
        f"the template {name} is missing",
        where=str(campaign.folder / name),
        remedy=f"create it, or name another file; in the folder: {there}",
    )


def _place(campaign: Campaign, use: NameUse) -> str:
    """Return file and line; the subject stands in campaign.toml."""
    if use.template != SUBJECT:
        return f"{campaign.folder / use.template}:{use.line}"
    file = campaign.folder / "campaign.toml"
    line = locate_keys(file.read_text(encoding="utf-8-sig")).get((SUBJECT,), 1)
    return f"{file}:{line} subject"
