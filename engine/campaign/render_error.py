"""The error of a message that cannot be rendered, with the template and the line that caused it."""

from itertools import islice
from types import TracebackType

from jinja2 import Template, TemplateError, TemplateNotFound

from engine.campaign.content.environment import TemplateEnvironment
from engine.campaign.content.localisation import UnreadableTextError
from engine.campaign.content.printing.links import RefusedValueError
from engine.campaign.content.printing.printed_values import NullValueError, UnprintableError
from engine.masking import mask_text

LARGEST_MEMORY = 512 * 1024**2  # bytes that one message may use when a child process renders it


class RenderError(Exception):
    """One recipient's message cannot be rendered.

    Attributes:
        template: the template's file in the campaign folder, or "subject".
        line: the line that caused the error; None when it is not known.
        reason: what is wrong, without a full stop.
    """

    def __init__(self, template: str, line: int | None, reason: str) -> None:
        reason = mask_text(reason)  # it may quote values, and reports show it
        super().__init__(template, line, reason)
        self.template = template
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.template}{f':{self.line}' if self.line else ''}: {self.reason}"


def locate_error(error: BaseException, template: Template) -> RenderError:
    """Return the error with the innermost template line that raised it, as numbered in the author's file."""
    name, line = template.name or "", None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        inner = trace.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(inner, Template):
            environment, number = inner.environment, inner.get_corresponding_lineno(_find_line(trace))
            name, line = inner.name or name, number
            if isinstance(environment, TemplateEnvironment):
                name, line = environment.locate(name, number)
        trace = trace.tb_next
    return RenderError(name, line, _reason(error))


def _find_line(trace: TracebackType) -> int:
    """Return the line of a compiled template; the time limit may interrupt at a jump, which has none of its own."""
    if trace.tb_lineno:
        return trace.tb_lineno
    before = islice(trace.tb_frame.f_code.co_positions(), trace.tb_lasti // 2)
    return next((line for line, *_ in reversed(list(before)) if line), 0)


def _reason(error: BaseException) -> str:
    if isinstance(error, TemplateNotFound):
        return f"the template {error} is missing"
    if isinstance(error, MemoryError):
        return f"it needs more than {LARGEST_MEMORY // 1024**2} MB of memory"
    known = isinstance(
        error, TemplateError | NullValueError | UnprintableError | UnreadableTextError | RefusedValueError
    )
    return (str(error) if known else f"{type(error).__name__}: {error}").rstrip(".: ")
