"""The results of rules, as a person reads them."""

from collections import Counter
from collections.abc import Iterator, Sequence

from engine.authentication.results import RuleResult, Verdict

_ORDER = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.ADVICE, Verdict.PASS)
_VERDICT_WIDTH = max(map(len, Verdict)) + 2
_INDENT = " " * _VERDICT_WIDTH


def write_results(results: Sequence[RuleResult]) -> Iterator[str]:
    """Write a table of results, the worst first, and what to do about each."""
    width = max((len(one.code) for one in results), default=0) + 2
    for one in sorted(results, key=lambda result: _ORDER.index(result.verdict)):
        start = f"{one.verdict:<{_VERDICT_WIDTH}}{one.code:<{width}}"
        if one.verdict is Verdict.PASS:
            yield f"{start}{one.what}"
            continue
        yield f"{start}{one.where}"
        yield f"{_INDENT}{one.what}"
        if one.receivers:
            yield f"{_INDENT}rejected by: {', '.join(one.receivers)}"
        if one.remedy:
            yield f"{_INDENT}do: {one.remedy}"


def count_verdicts(results: Sequence[RuleResult]) -> str:
    """Count the results in words, such as "1 fail, 2 advice, 9 pass"."""
    counts = Counter(one.verdict for one in results)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in _ORDER if counts[verdict])
