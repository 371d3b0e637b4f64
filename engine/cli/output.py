"""Prints what previews, checks and launches report, in plain sentences."""

from collections import Counter
from collections.abc import Iterator, Sequence

from engine.authentication.results import Verdict
from engine.authentication.sender_rules import RuleRow
from engine.cli.console import print_lines
from engine.cli.run_output import format_seconds
from engine.cli.suggestions import repeat_command
from engine.errors import ExitCode
from engine.quantities import format_count, format_number
from engine.run.prepare.check import Checked
from engine.run.prepare.preview import Preview, describe_sizes
from engine.run.prepare.rendered import Rendered
from engine.run.prepare.run_forecast import RunForecast
from engine.run.send.launch import Forecast

_VERDICTS = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.ADVICE, Verdict.PASS)
_SAID = {Verdict.FAIL: "ERROR", Verdict.UNKNOWN: "UNKNOWN", Verdict.ADVICE: "ADVICE"}
_WHO = {
    Verdict.FAIL: "rejected or filtered by {}",
    Verdict.UNKNOWN: "asked for by {}",
    Verdict.ADVICE: "recommended by {}",
}


def print_preview(preview: Preview) -> None:
    """Print what a preview found, below the accounts."""
    found = preview.found
    print_lines(f"rendered: {format_count(found.rendered, 'message')}")
    if found.failures:
        print_lines(f"FAILED: {format_count(preview.failed, 'message')} cannot be rendered")
    print_lines(*(f"  {format_count(rows, 'row')}: {reason}" for reason, rows in found.failures.most_common(10)))
    print_lines(*(f"  row {row}: {reason}" for row, reason in found.examples[:5]))
    if found.failures:
        print_lines(f"  all of them: {preview.folder / 'failed'}/*.parquet")
    print_lines(*preview.findings.to_lines())
    print_lines(*_describe_content(found))
    print_lines(describe_forecast(preview.forecast, preview.manifest.accepted))
    print_lines(f"gallery:  {preview.gallery}")
    if preview.samples:
        print_lines(f"samples:  {preview.samples[0].parent}/*.eml")
    if not preview.passes:
        print_lines("NOT PASSED: fix the errors, then run the preview again")
    print_lines(f"next: {repeat_command('launch' if preview.passes else 'preview')}")


def print_check(checked: Checked) -> None:
    """Print what a check found."""
    looked_at = checked.sample.rendered + checked.sample.failures.total()
    print_lines(f"content: {format_count(looked_at, 'message')} of {checked.manifest.accepted:,} checked")
    print_lines(
        *(f"  ERROR {format_count(rows, 'row')}: {reason}" for reason, rows in checked.sample.failures.most_common(10))
    )
    print_lines(*checked.findings.to_lines())
    if checked.forecast is not None:
        print_lines("account: may send", describe_forecast(checked.forecast, checked.manifest.accepted))
    if checked.warmup is not None:
        print_lines("IP addresses are warming up; proposed for campaign.toml:", *checked.warmup.to_toml())
        print_lines(*(f"  assumes: {assumption}" for assumption in checked.warmup.assumptions))
    for error in checked.account_errors:
        print_lines(f"  ERROR account: {error.what}" + (f" ({error.where})" if error.where else ""))
        print_lines(f"        {error.remedy}")
    print_lines(*describe_sender_rules(checked.sender_rules))
    passes = checked.exit_code is ExitCode.FINISHED
    print_lines("passed" if passes else "NOT PASSED", f"next: {repeat_command('launch' if passes else 'preview')}")


def describe_sender_rules(rows: Sequence[RuleRow]) -> Iterator[str]:
    """Write what the sender rules find: who rejects what, and what to do; rules that pass are only counted."""
    if not rows:
        return
    passed = sum(row.verdict is Verdict.PASS for row in rows)
    yield f"sender rules of Gmail, Yahoo and Microsoft: {passed} of {format_count(len(rows), 'check')} passed"
    for row in sorted(rows, key=lambda row: _VERDICTS.index(row.verdict)):
        found, verdict = row.evidence, row.verdict
        if verdict is Verdict.PASS:
            continue
        what = f"{found.what} ({found.where})" if found.where else found.what
        by = ", ".join(row.list_receivers(verdict))
        yield f"  {_SAID[verdict]} {found.code}: {what}"
        yield f"        {_WHO[verdict].format(by)}{'; ' if found.remedy else ''}{found.remedy}"
        if verdict is not Verdict.UNKNOWN:
            sources = dict.fromkeys(
                row.rule.find_source(one) for one, given in row.verdicts.items() if given is verdict
            )
            yield from (f"        see {source}" for source in sources)


def _describe_content(found: Rendered) -> Iterator[str]:
    if found.html_bytes_largest:
        sizes = describe_sizes(found.html_kilobytes)
        listed = ", ".join(f"{name} {size // 1024:,}" for name, size in sizes.items())
        yield f"HTML in KB: {listed}"
    if len(found.languages) > 1:
        yield "languages: " + _list_counts(found.languages)
    if found.defaults:
        yield "defaults used: " + _list_counts(found.defaults)
    if found.domains:
        yield "domains: " + _list_counts(found.domains)


def _list_counts(counts: Counter[str], most: int = 6) -> str:
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(most))
    return listed + (f" and {len(counts) - most:,} more" if len(counts) > most else "")


def describe_forecast(forecast: RunForecast, recipients: int) -> str:
    """Write how long a run would take, and how much of the quota it would use."""
    if forecast.seconds is None or forecast.rate is None:
        return f"duration: unknown; the account could not be read: {forecast.unknown}"
    text = f"duration: about {format_seconds(forecast.seconds)} at {format_number(forecast.rate)} a second"
    if forecast.unknown:
        return f"{text} at best; the account could not be read: {forecast.unknown}"
    if forecast.quota_share is None:
        return f"{text}; the 24-hour quota is unlimited"
    left = forecast.left_24_hours or 0.0
    short = f", {recipients - left:,.0f} MORE THAN IS LEFT" if recipients > left else ""
    return f"{text}; {forecast.quota_share:.1%} of the 24-hour quota, of which {left:,.0f} are left{short}"


def describe_launch(forecast: Forecast, account: str) -> Iterator[str]:
    """Write what a launch is about to do, for the person who confirms it."""
    excluded = ", ".join(f"{rows:,} {reason.replace('_', ' ')}" for reason, rows in forecast.excluded.items())
    seconds = format_seconds(forecast.recipients / forecast.rate)
    yield f"Send {forecast.run} to {format_count(forecast.recipients, 'recipient')}?"
    if forecast.region and not account:
        yield f"  endpoint  {forecast.endpoint} (not AWS), region {forecast.region}"
    else:
        if forecast.region:
            yield f"  account   {account}, region {forecast.region}"
        yield f"  through   {forecast.endpoint}"
    yield f"  from      {forecast.sender}"
    yield f"  subject   {forecast.subject}"
    yield f"  excluded  {excluded or 'none'}, of {format_count(forecast.rows_read, 'row')} read"
    if forecast.failing:
        yield f"  failing   {format_count(forecast.failing, 'recipient')}: see the warnings above"
    yield f"  rate      at {format_number(forecast.rate)} a second at most, about {seconds}"
    yield f"  time      {forecast.text}"
