"""Records suppressions that inbound mail requests: only of people who were mailed, and only proven requests.

Our token proves which person a mail is about. Without one, a mail counts for its sender where the receiving server
proves who that is, and a report counts where it is of a configured feedback source. Other mail is for a person to read.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import polars as pl
from msgspec import Struct, field

from engine.addresses.parse import judge_addresses
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.clock import Clock
from engine.feedback.inbound.authority import MailSender, MailTrust, ReceivedMail, Unproven, identify_sender
from engine.feedback.inbound.dmarc_reports import DmarcReport
from engine.feedback.inbound.mail import InboundMail, MailKind, read_mail
from engine.feedback.unsubscribe.attribution import RunAttribution
from engine.feedback.unsubscribe.tokens import verify_token
from engine.ledger.database import Ledger
from engine.ledger.suppressed.opt_outs import OptOut, OptOutMethod, try_to_record_opt_outs
from engine.ledger.suppressed.reasons import Reason
from engine.ledger.suppressed.suppressions import Suppression, SuppressionProof, add_suppressions

SOURCE = "inbound mail"
REFUSED = "inbound-refused"  # the store's folder of messages that were set aside
WasMailed = Callable[[Collection[str]], set[str]]
"""Return those of the given keys that a run has sent a message to, or may have."""


class InboundTally(Struct):
    """Counts of what was read.

    Attributes:
        kinds: mails by kind.
        suppressed: new entries of the suppression list.
        known: entries that were on it before.
        forged: tokens that we did not sign.
        never_mailed: requests and complaints of addresses that we never mailed; they suppress no address.
        unproven: requests and complaints that are not proven, by reason (`Unproven`); their kind is `other`.
        refused: messages of a queue that are set aside, and mails that cannot be read, by reason.
        kept: messages that stay in the queue, by reason.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    suppressed: int = 0
    known: int = 0
    forged: int = 0
    never_mailed: int = 0
    unproven: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        return {
            "mails": self.kinds.total(),
            "kinds": dict(self.kinds),
            "suppressed": self.suppressed,
            "known": self.known,
            "forged": self.forged,
            "never_mailed": self.never_mailed,
            "unproven": dict(self.unproven),
            "refused": dict(self.refused),
            "kept": dict(self.kept),
        }


class JudgedMail(Struct, frozen=True):
    """What was read from a mail, and its sender; small, whatever the size of the mail."""

    mail: InboundMail
    sender: MailSender


def judge(received: ReceivedMail, trust: MailTrust) -> JudgedMail:
    """Read a mail and identify its sender; never raises, because an error in one mail must not stop others."""
    mail, sender = read_mail(received.raw), MailSender(None, Unproven.NO_RESULTS)
    try:
        if mail.kind in (MailKind.UNSUBSCRIBE, MailKind.COMPLAINT, MailKind.DMARC_REPORT):
            sender = identify_sender(received, trust)
    except Exception as error:  # noqa: BLE001 - as in `read_mail`
        mail = InboundMail(MailKind.BROKEN, reason=f"finding its sender fails: {type(error).__name__}")
    return JudgedMail(mail, sender)


class _Found(Struct):
    """Suppressions that mails request, and opt-outs of runs with the keys of their addresses."""

    suppressions: list[Suppression] = field(default_factory=list)
    opt_outs: list[tuple[str, OptOut]] = field(default_factory=list)


class InboundIntake(Struct, frozen=True):
    """Records suppressions for mails.

    Attributes:
        ledger: has the suppression list.
        signer: verifies tokens; None where there are no keys: every token counts as forged.
        was_mailed: returns the addresses that were mailed.
        is_forgotten: returns whether an address was erased with `mailrun forget`, which keeps it suppressed.
        clock: the time of new entries.
        keep_report: keeps a DMARC report, and whether its sender is proven.
    """

    ledger: Ledger
    signer: TokenSigner | None
    was_mailed: WasMailed
    is_forgotten: Callable[[str], bool]
    clock: Clock
    keep_report: Callable[[DmarcReport, bool], None]
    tally: InboundTally = field(default_factory=InboundTally)

    def record(self, mails: Iterable[JudgedMail]) -> dict[int, str]:
        """Process mails; when it returns, their suppressions are durable.

        Returns:
            The mails that cannot be read, by their number from 0, with the reason; they are not tried again.
        """
        found, attribution = _Found(), RunAttribution(self.ledger)
        by_sender: list[tuple[InboundMail, str, SuppressionProof]] = []
        broken: dict[int, str] = {}
        for number, judged in enumerate(mails):
            mail = judged.mail
            kind = mail.kind
            if kind is MailKind.BROKEN:
                broken[number] = mail.reason
            if mail.report is not None:
                self.keep_report(mail.report, judged.sender.unproven is None)
            if kind in (MailKind.UNSUBSCRIBE, MailKind.COMPLAINT):
                by_token = self._by_token(mail, attribution, found)
                unproven = None if by_token else self._find_missing_proof(judged)
                if unproven is not None:
                    self.tally.unproven[unproven] += 1
                    kind = MailKind.OTHER
                elif not by_token:
                    is_complaint = kind is MailKind.COMPLAINT
                    address = mail.address if is_complaint else judged.sender.address
                    proof = SuppressionProof.SOURCE if is_complaint else SuppressionProof.SENDER
                    by_sender += [(mail, address, proof)] if address else []
            self.tally.kinds[str(kind)] += 1
        found.suppressions += self._by_address(by_sender)
        # Of two entries for all mail, the complaint is kept.
        found.suppressions.sort(key=lambda one: one.reason != Reason.COMPLAINT)
        self._write(found)
        self.tally.refused.update(broken.values())
        return broken

    def _write(self, found: _Found) -> None:
        entries: dict[tuple[str, str], Suppression] = {}
        for one in found.suppressions:
            if not self.is_forgotten(one.key):
                entries.setdefault((one.key, one.topic), one)
        if not entries:
            return
        keys = {key for key, _ in entries}
        with self.ledger.write() as tx:
            try_to_record_opt_outs(tx, [opt_out for key, opt_out in found.opt_outs if key in keys])
            added = add_suppressions(tx, entries.values())
        self.tally.suppressed += added
        self.tally.known += len(entries) - added

    def _by_token(self, mail: InboundMail, attribution: RunAttribution, found: _Found) -> bool:
        """Add what the valid tokens of a mail request; return whether there is any."""
        verified = [valid for token in mail.tokens if (valid := verify_token(token, self.signer))]
        self.tally.forged += bool(mail.tokens) and not verified
        before = len(found.suppressions)
        for address, topic, row in verified:
            key = judge_addresses(pl.Series([address], dtype=pl.String))["key"].item(0)
            if key is None:
                continue
            found.suppressions.append(self._suppress(mail, key, address, topic, SuppressionProof.TOKEN))
            if mail.kind is MailKind.UNSUBSCRIBE:  # a complaint is counted from SES's events
                opt_out = attribution.find(row, OptOutMethod.MAILTO, self.clock.now())
                found.opt_outs += [] if opt_out is None else [(key, opt_out)]
        return len(found.suppressions) > before

    @staticmethod
    def _find_missing_proof(judged: JudgedMail) -> Unproven | None:
        """Return why a mail without a valid token is not proven; None where it is.

        A feedback source names the recipient itself: its report counts even where the token is signed with another key.
        """
        sender = judged.sender
        if judged.mail.kind is MailKind.COMPLAINT and sender.unproven is None and sender.is_of_a_source:
            return None
        if judged.mail.tokens:
            return Unproven.FORGED_TOKEN
        if sender.unproven is None and judged.mail.kind is MailKind.COMPLAINT:
            return Unproven.NOT_A_SOURCE
        return sender.unproven

    def _by_address(self, named: Sequence[tuple[InboundMail, str, SuppressionProof]]) -> list[Suppression]:
        """Suppress the addresses of mails without a token: only people who were mailed."""
        keys = judge_addresses(pl.Series([address for _, address, _ in named], dtype=pl.String)).get_column("key")
        mailed = self.was_mailed(set(keys.drop_nulls())) if named else set()
        self.tally.never_mailed += sum(key not in mailed for key in keys)
        return [
            self._suppress(mail, key, address, "", proof)
            for (mail, address, proof), key in zip(named, keys, strict=True)
            if key in mailed
        ]

    def _suppress(self, mail: InboundMail, key: str, address: str, topic: str, proof: SuppressionProof) -> Suppression:
        is_complaint = mail.kind is MailKind.COMPLAINT
        reason = Reason.COMPLAINT if is_complaint else Reason.UNSUBSCRIBE
        given = "" if is_complaint else topic
        return Suppression(key, given, reason, SOURCE, self.clock.now(), None, address, proof)
