"""Our own figures of recent runs, from their events: by receiver and by run."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from engine.audience.providers import OTHER_RECEIVERS, name_receiver
from engine.ledger import event_counts
from engine.ledger.database import Ledger
from engine.ledger.event_counts import COUNTED, Counts


class OwnFigures(Struct, frozen=True):
    """Recipients by what happened to their message.

    Attributes:
        name: the receiver, or the run.
        accepted: SES has certainly accepted the message.
        delivered: the receiver has.
        bounced: permanently.
        complained: the recipient complained.
    """

    name: str
    accepted: int
    delivered: int
    bounced: int
    complained: int

    @property
    def bounce_rate(self) -> float | None:
        """Bounced of accepted, 0 to 1; None where nothing was."""
        return self.bounced / self.accepted if self.accepted else None

    @property
    def complaint_rate(self) -> float | None:
        """Complained of delivered, 0 to 1; None where nothing was delivered."""
        return self.complained / self.delivered if self.delivered else None

    def to_json(self) -> dict[str, Any]:
        """Return the counts and both rates, for --json."""
        counts = {name: getattr(self, name) for name in self.__struct_fields__}
        return counts | {"bounce_rate": self.bounce_rate, "complaint_rate": self.complaint_rate}


class OwnReputation(Struct, frozen=True):
    """Figures of the recent runs to real recipients, each with the largest first."""

    receivers: tuple[OwnFigures, ...]
    runs: tuple[OwnFigures, ...]


def read_own_figures(ledger: Ledger, since: datetime) -> OwnReputation:
    """Read the figures of the runs that were sending after a time, without those to the embedded sandbox.

    Raises:
        MailrunError: the ledger cannot be reached.
    """
    with ledger.read() as tx:
        runs, domains = event_counts.sum_recent(tx, since), event_counts.sum_receivers(tx, since)
    return OwnReputation(_rank(add_up_receivers(domains)), _rank(runs))


def add_up_receivers(domains: Mapping[str, Counts]) -> dict[str, Counts]:
    """Add up counts of domains by the provider that receives their mail.

    Args:
        domains: domain, empty for all smaller ones, to counts.
    """
    sums: dict[str, dict[str, int]] = {}
    for domain, counts in domains.items():
        known = sums.setdefault(name_receiver(domain) if domain else OTHER_RECEIVERS, dict.fromkeys(COUNTED, 0))
        for name in COUNTED:
            known[name] += counts.get(name, 0)
    return dict(sums)


def _rank(groups: Mapping[str, Counts]) -> tuple[OwnFigures, ...]:
    figures = [
        OwnFigures(name, c["proven"], c["delivered"], c["bounced"], c["complained"]) for name, c in groups.items()
    ]
    return tuple(sorted(figures, key=lambda one: (-one.accepted, one.name)))
