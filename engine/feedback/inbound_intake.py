"""Inbound mail becomes suppressions, of people whom we have mailed alone."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from engine.audience.addresses import judge_addresses
from engine.campaign.unsubscribe import TokenSigner
from engine.clock import Clock
from engine.feedback.inbound_mail import Inbound, Kind, read_mail
from engine.feedback.unsubscribes import verify_token
from engine.ledger.database import Ledger
from engine.ledger.suppressions import Reason, Suppression, add_suppressions

SOURCE = "inbound mail"
REFUSED = "inbound-refused"  # the store's folder of what holds no mail
WasMailed = Callable[[Collection[str]], set[str]]
"""Those of some keys to whom a run has handed over a message."""


@dataclass(slots=True)
class Tally:
    """What was read.

    Attributes:
        kinds: mails by kind.
        suppressed: entries that are new on the list.
        known: those that were on it.
        forged: tokens that we did not sign.
        never_mailed: wishes and complaints of addresses that we never mailed; no address is suppressed for them.
        refused: messages of a queue that hold no mail, and mails that cannot be read, by why.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    suppressed: int = 0
    known: int = 0
    forged: int = 0
    never_mailed: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return it as a document."""
        return {
            "mails": self.kinds.total(),
            "kinds": dict(self.kinds),
            "suppressed": self.suppressed,
            "known": self.known,
            "forged": self.forged,
            "never_mailed": self.never_mailed,
            "refused": dict(self.refused),
        }


@dataclass(frozen=True, slots=True)
class InboundIntake:
    """Takes mails in.

    Attributes:
        ledger: where suppressions go.
        signer: verifies tokens; None where there are no keys: every token counts as forged.
        was_mailed: says whom we have mailed.
        is_forgotten: says who was erased, and stays suppressed without a trace.
        clock: when.
    """

    ledger: Ledger
    signer: TokenSigner | None
    was_mailed: WasMailed
    is_forgotten: Callable[[str], bool]
    clock: Clock
    tally: Tally = field(default_factory=Tally)

    def take(self, mails: Iterable[bytes]) -> dict[int, str]:
        """Take some mails in; when it returns, their suppressions are durable.

        Returns:
            Those that cannot be read, by their number from 0, and why: they are not tried again.
        """
        read = [read_mail(raw) for raw in mails]
        self.tally.kinds.update(str(mail.kind) for mail in read)
        broken = {number: mail.reason for number, mail in enumerate(read) if mail.kind is Kind.BROKEN}
        self.tally.refused.update(broken.values())
        wanted = [mail for mail in read if mail.kind in (Kind.UNSUBSCRIBE, Kind.COMPLAINT)]
        found = self._by_token(wanted) + self._by_address([mail for mail in wanted if not mail.tokens])
        found.sort(key=lambda one: one.reason != Reason.COMPLAINT)  # of two of all mail the weightier stays
        entries: dict[tuple[str, str], Suppression] = {}
        for one in found:
            if not self.is_forgotten(one.key):
                entries.setdefault((one.key, one.topic), one)
        if entries:
            with self.ledger.write() as tx:
                added = add_suppressions(tx, entries.values())
            self.tally.suppressed += added
            self.tally.known += len(entries) - added
        return broken

    def _by_token(self, mails: Iterable[Inbound]) -> list[Suppression]:
        found = []
        for mail in mails:
            whom = [valid for token in mail.tokens if (valid := verify_token(token, self.signer))]
            self.tally.forged += bool(mail.tokens) and not whom
            for address, topic in whom:
                key = judge_addresses(pl.Series([address], dtype=pl.String))["key"].item(0)
                found += [self._suppress(mail, key, address, topic)] if key is not None else []
        return found

    def _by_address(self, mails: Iterable[Inbound]) -> list[Suppression]:
        """Take what only an address speaks for: only of people whom we have mailed."""
        named = [(mail, mail.address) for mail in mails if mail.address]
        keys = judge_addresses(pl.Series([address for _, address in named], dtype=pl.String)).get_column("key")
        mailed = self.was_mailed(set(keys.drop_nulls())) if named else set()
        self.tally.never_mailed += sum(key not in mailed for key in keys)
        return [
            self._suppress(mail, key, address, "")
            for (mail, address), key in zip(named, keys, strict=True)
            if key in mailed
        ]

    def _suppress(self, mail: Inbound, key: str, address: str, topic: str) -> Suppression:
        is_complaint = mail.kind is Kind.COMPLAINT
        reason = Reason.COMPLAINT if is_complaint else Reason.UNSUBSCRIBE
        return Suppression(key, "" if is_complaint else topic, reason, SOURCE, self.clock.now(), None, address)
