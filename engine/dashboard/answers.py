"""What a page gets and gives: plain values, without a web framework."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from engine.workspace import Workspace

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FRAMING_POLICY = f"{PAGE_POLICY}; frame-src 'self'"
# A document of mailrun has a policy of its own in its head, with the digest of its script; both apply. In the sandbox
# it has no origin: it can read no page of the dashboard, and send nothing to it.
FRAMED_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HTML = "text/html"


class PageQuery(Struct, frozen=True, kw_only=True):
    """What a page reads of a request.

    Attributes:
        names: the parts of the path that its route names, decoded, such as `campaign`.
        query: of the URL; the last value of each name.
        form: of a POST, checked against forgery; empty for GET.
        who: who asks, for decisions: `dashboard (user@host)`.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    who: str = ""

    @property
    def run(self) -> str:
        """The run of the path, CAMPAIGN/KEY."""
        return f"{self.names['campaign']}/{self.names['key']}"


class TemplatePage(Struct, frozen=True, kw_only=True):
    """A page made from a template.

    Attributes:
        template: its file in `templates/`.
        title: of the page, for the browser's window.
        values: of the template.
        status: of HTTP.
        policy: Content-Security-Policy.
    """

    template: str
    title: str
    values: Mapping[str, Any]
    status: int = 200
    policy: str = PAGE_POLICY


class DocumentPage(Struct, frozen=True, kw_only=True):
    """A document that is served as it is.

    Attributes:
        body: its bytes.
        kind: its media type.
        policy: Content-Security-Policy.
        frames: which pages may show it in a frame: `DENY` or `SAMEORIGIN`.
    """

    body: bytes
    kind: str = HTML
    policy: str = PAGE_POLICY
    frames: str = "DENY"


class OtherPage(Struct, frozen=True):
    """Leads to another page of the dashboard (303 See Other)."""

    path: str


PageAnswer = TemplatePage | DocumentPage | OtherPage
ReadPage = Callable[[Workspace, PageQuery], PageAnswer]


def make_missing_page(what: str) -> TemplatePage:
    """Make the page for something that does not exist.

    Args:
        what: a sentence.
    """
    return TemplatePage(
        template="problem.html",
        title="Not found",
        values={"heading": "Not found", "what": what, "where": "", "remedy": ""},
        status=404,
    )
