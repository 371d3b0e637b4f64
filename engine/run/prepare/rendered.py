"""The results of rendering a plan."""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct, field

from engine.campaign.lint_findings import LintFindings

EXAMPLES = 20  # failed rows that are reported one by one; all are in the files
MOST_REASONS = 1000
MOST_LOCALES = 1000
OTHER = "other"


class Pick(Struct, frozen=True):
    """The place in the plan of a recipient to show."""

    lease: int
    index: int
    row: int


class Rendered(Struct):
    """What rendering found, of one lease or of many.

    Attributes:
        rendered: messages that can be made.
        failures: reason -> rows that can not.
        examples: some failed rows, and the reason.
        html_kilobytes: size of the HTML part, rounded up to 1,024 bytes -> messages.
        message_kilobytes: the same of subject, HTML and text together.
        html_bytes_largest: the largest HTML part.
        subject: of the first message that can be made.
        languages: variant -> messages; the default is "default".
        defaults: column -> recipients who read its default.
        domains: domain of the address -> recipients.
        findings: what lint found.
        flawed: messages with an error among these.
        cids: inline images that messages show.
        picks: why it is worth looking at -> recipient.
        longest, shortest: the size of these picks.
    """

    rendered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, str]] = field(default_factory=list)
    html_kilobytes: Counter[int] = field(default_factory=Counter)
    message_kilobytes: Counter[int] = field(default_factory=Counter)
    html_bytes_largest: int = 0
    subject: str | None = None
    languages: Counter[str] = field(default_factory=Counter)
    defaults: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    findings: LintFindings = field(default_factory=LintFindings)
    flawed: int = 0
    cids: set[str] = field(default_factory=set)
    picks: dict[str, Pick] = field(default_factory=dict)
    longest: int = -1
    shortest: int | None = None

    def merge(self, other: "Rendered") -> None:
        """Add the findings of a later lease."""
        self.rendered += other.rendered
        self.flawed += other.flawed
        add_bounded(self.failures, other.failures, MOST_REASONS)
        self.examples += other.examples[: EXAMPLES - len(self.examples)]
        for mine, theirs in (
            (self.html_kilobytes, other.html_kilobytes),
            (self.message_kilobytes, other.message_kilobytes),
        ):
            mine.update(theirs)
        self.languages.update(other.languages)
        self.defaults.update(other.defaults)
        add_bounded(self.domains, other.domains, MOST_REASONS * 100)
        self.findings.merge(other.findings)
        self.cids |= other.cids
        self.subject = other.subject if self.subject is None else self.subject
        self.html_bytes_largest = max(self.html_bytes_largest, other.html_bytes_largest)
        self._merge_picks(other)

    def _merge_picks(self, other: "Rendered") -> None:
        if other.longest > self.longest and "longest" in other.picks:
            self.longest, self.picks["longest"] = other.longest, other.picks["longest"]
        if other.shortest is not None and (self.shortest is None or other.shortest < self.shortest):
            self.shortest, self.picks["shortest"] = other.shortest, other.picks["shortest"]
        for reason, pick in other.picks.items():
            self.picks.setdefault(reason, pick)


def add_bounded(mine: Counter[str], theirs: Mapping[str, int], most: int) -> None:
    """Add counts; names beyond a number of them are counted together, so that memory stays flat."""
    for name, count in theirs.items():
        mine[name if name in mine or len(mine) < most else OTHER] += count
