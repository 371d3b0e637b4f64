"""The regions of the sandbox: each has an account of its own, as at AWS, made when the first call is signed for it."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.sandbox.ses.account import SandboxAccount


class SandboxRegions:
    """The accounts by region.

    Args:
        first: the account of the region that is used first.
        make: makes that of another region, as the settings have it.
    """

    def __init__(self, first: SandboxAccount, make: Callable[[], SandboxAccount]) -> None:
        self._first = first
        self._make = make
        self._changes: list[Callable[[SandboxAccount], Any]] = []  # of all regions, for those that are used later
        self._by_region: dict[str, SandboxAccount] = {}

    def find(self, region: str) -> SandboxAccount:
        """Return the account of a region."""
        account = self._by_region.get(region)
        if account is None:
            account = self._by_region[region] = self._make_next() if self._by_region else self._first
        return account

    def list_all(self) -> Sequence[SandboxAccount]:
        """List the accounts of the regions that were used, oldest first; before that, the first one's."""
        return list(self._by_region.values()) or [self._first]

    def change(self, region: str | None, change: Callable[[SandboxAccount], Any]) -> None:
        """Change one region's account, or all, with those that are made later."""
        if region is not None:
            change(self.find(region))
            return
        for account in self.list_all():
            change(account)
        self._changes.append(change)

    def choose(self, region: str | None) -> SandboxAccount:
        """Return one region's account: that of the region that is used first where none is named."""
        return self._first if region is None else self.find(region)

    def _make_next(self) -> SandboxAccount:
        account = self._make()
        for change in self._changes:
            change(account)
        return account

    def publishes(self, name: str | None, kind: str) -> bool:
        """Return whether a configuration set publishes an event type in any region; see ConfigurationSets."""
        return any(account.configuration_sets.publishes(name, kind) for account in self.list_all())

    def describe(self, region: str | None) -> dict[str, Any]:
        """Describe one region's account, or all: their counts together, and the settings of the oldest."""
        accounts = self.list_all() if region is None else [self.find(region)]
        first = accounts[0]
        return {
            "max_send_rate": first.bucket.rate,
            "max_24_hour_send": first.quota.maximum,
            "sent_last_24_hours": sum(each.quota.sent for each in accounts),
            "production_access": first.production_access,
            "sending_enabled": all(each.sending_enabled for each in accounts),
            "reachable": all(each.reachable for each in accounts),
            "enforcement_status": first.enforcement_status,
            "vdm_enabled": first.vdm_enabled,
            "bounce_rate": first.fixed_rates.get("BOUNCE"),
            "complaint_rate": first.fixed_rates.get("COMPLAINT"),
            "accepted_messages": sum(each.accepted_messages for each in accounts),
            "accepted_recipients": sum(each.accepted_recipients for each in accounts),
            "throttled": sum(each.throttled_calls for each in accounts),
            "quota_refused": sum(each.quota_refusals for each in accounts),
            "largest_second": max(each.sliding_second.largest for each in accounts),
        }
