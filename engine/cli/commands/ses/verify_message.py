"""`mailrun ses verify --message`: examines a received message."""

import asyncio
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec

from engine.authentication.messages.dkim_verification import VerifiedSignature
from engine.authentication.messages.examination import MessageExamination, examine_message
from engine.authentication.messages.fields import MOST_MESSAGE_BYTES
from engine.authentication.messages.headers import HEADER_CODES
from engine.authentication.resolver import DnsResolver
from engine.authentication.result_lines import count_verdicts, write_results
from engine.authentication.results import Verdict
from engine.cli.common import Common
from engine.cli.console import print_json, print_lines
from engine.clock import SystemClock
from engine.errors import DataError, ExitCode, escape_controls
from engine.quantities import format_count
from engine.settings import Settings


def verify_message(file: Path, common: Common, settings: Settings) -> int:
    """Examine a file; print what is found; return the exit code."""
    where = escape_controls(str(file))
    resolver, now = DnsResolver(settings.dns.nameservers), SystemClock().now().astimezone(UTC)
    found = asyncio.run(examine_message(_read(file, where), resolver, now, where))
    if common.json:
        print_json(_to_json(found, where))
    else:
        print_lines(*_write(found, where))
    return _choose_exit_code(found)


def _read(file: Path, where: str) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_MESSAGE_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=where, remedy="give a readable file") from None


def _choose_exit_code(found: MessageExamination) -> ExitCode:
    failed = {one.code for one in found.results if one.verdict is Verdict.FAIL}
    if failed - HEADER_CODES:
        return ExitCode.UNAVAILABLE
    return ExitCode.DATA if failed else ExitCode.FINISHED


def _to_json(found: MessageExamination, where: str) -> dict[str, Any]:
    return {
        "message": where,
        "from_domain": found.sender_domain,
        "size": found.size,
        "ready": found.passes,
        "signatures": [_describe(one, is_aligned=found.is_aligned(one.signature)) for one in found.signatures],
        "signatures_not_read": found.unread_signatures,
        "dmarc_record": None if found.dmarc is None else escape_controls(found.dmarc.text),
        "spf": msgspec.to_builtins(found.spf),
        "arc": msgspec.to_builtins(found.arc),
        "authentication_results": msgspec.to_builtins(found.stated),
        "results": msgspec.to_builtins(found.results),
    }


def _describe(one: VerifiedSignature, *, is_aligned: bool) -> dict[str, Any]:
    said = one.signature
    return {
        "domain": said.domain,
        "selector": said.selector,
        "algorithm": escape_controls(said.algorithm),
        "state": one.state,
        "reason": one.reason,
        "aligned": is_aligned,
        "key_bits": one.key_bits,
        "covers": list(said.covered),
        "covers_one_click": said.covers_one_click,
        "not_covered": list(said.uncovered),
        "body_length": said.body_length,
        "signed_at": None if said.signed_at is None else said.signed_at.isoformat(),
        "expires_at": None if said.expires_at is None else said.expires_at.isoformat(),
    }


def _write(found: MessageExamination, where: str) -> list[str]:
    lines = [f"{where}: From {found.sender_domain or 'is unclear'}, {format_count(found.size, 'byte')}", ""]
    for one in found.signatures:
        said = one.signature
        kind = "aligned" if found.is_aligned(said) else "not aligned"
        lines.append(f"signature {said.index + 1}: d={said.domain} s={said.selector}, {one.state}, {kind}")
        lines.append(f"  signs {', '.join(said.covered) or 'nothing'}")
    if found.unread_signatures:
        lines.append(f"not read: {format_count(found.unread_signatures, 'more signature')}")
    counted = count_verdicts(found.results)
    if any(one.verdict is Verdict.UNKNOWN for one in found.results):
        counted += "; what is unknown proves nothing"
    return [*lines, "", *write_results(found.results), "", counted]
