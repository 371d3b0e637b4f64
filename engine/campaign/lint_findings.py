"""Findings about a campaign, and the number of messages with each."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from engine.masking import mask_text

_MOST_KINDS = 100  # different findings that are counted separately; the rest are counted by kind


class Severity(StrEnum):
    """What a finding means for a launch."""

    ERROR = "error"  # stops the launch
    WARNING = "warning"  # is shown; the launch continues
    NOTE = "note"  # for information


class LintFinding(Struct, frozen=True):
    """One problem or remark.

    Attributes:
        severity: what it means for a launch.
        code: its kind, for programs.
        what: what is wrong, without a full stop.
        remedy: what to do.
        where: file and line, or the part of the message.
    """

    severity: Severity
    code: str
    what: str
    remedy: str
    where: str = ""


class LintFindings(Struct):
    """Findings, how many messages each is in, and the row of the first of them.

    `count` is 0 if a finding is about the campaign itself.
    """

    counts: dict[LintFinding, int] = field(default_factory=dict)
    rows: dict[LintFinding, int] = field(default_factory=dict)

    def add(self, finding: LintFinding, row: int | None = None, times: int = 1) -> None:
        """Count a finding."""
        if finding not in self.counts and len(self.counts) >= _MOST_KINDS:
            finding = LintFinding(
                finding.severity, finding.code, f"more findings of the kind {finding.code}", finding.remedy
            )
        self.counts[finding] = self.counts.get(finding, 0) + (times if row is not None else 0)
        if row is not None:
            self.rows.setdefault(finding, row)

    def extend(self, findings: Iterable[LintFinding]) -> None:
        """Add findings about the campaign itself."""
        for finding in findings:
            self.add(finding)

    def merge(self, other: "LintFindings") -> None:
        """Add the findings of another collection."""
        for finding, count in other.counts.items():
            self.add(finding, other.rows.get(finding), times=count)

    def of(self, severity: Severity) -> list[LintFinding]:
        """List the findings of a severity, the most frequent first."""
        return sorted((f for f in self.counts if f.severity is severity), key=lambda f: -self.counts[f])

    def to_json(self) -> list[dict[str, Any]]:
        """Return the entries of `findings` in --json, errors first."""
        return [
            {
                "severity": one.severity,
                "code": one.code,
                "what": mask_text(one.what),
                "where": mask_text(one.where),
                "remedy": mask_text(one.remedy),
                "messages": self.counts[one],
                "first_row": self.rows.get(one),
            }
            for one in self
        ]

    def to_lines(self) -> Iterator[str]:
        """Yield the findings as lines for people, errors first."""
        for one in self:
            what, remedy = mask_text(one.what), mask_text(one.remedy)
            if one.severity is Severity.NOTE:
                yield f"  note: {what}"
                continue
            count, row = self.counts[one], self.rows.get(one)
            messages = f" in {count:,} messages, first in row {row}" if count > 1 else f" in row {row}" if count else ""
            where = f" ({mask_text(one.where)})" if one.where else ""
            yield f"  {one.severity.upper()}: {what}{messages}{where}"
            yield f"        {remedy}"

    def __iter__(self) -> Iterator[LintFinding]:
        return iter([finding for severity in Severity for finding in self.of(severity)])
