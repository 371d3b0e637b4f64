"""The facts of a run: settings of its frozen campaign that the ledger keeps in the run's row.

They are written when a run is registered. For a run that an earlier version registered, they are read from its folder
in the store when a command first needs the facts of all runs.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from engine.addresses.mailbox import domain_of
from engine.campaign.spec import CampaignSpec, change_transport, load_campaign, parse_spec
from engine.campaign.spec_sections import CanarySpec, GuardSpec
from engine.errors import ConfigurationError, UsageError
from engine.ledger import facts, runs
from engine.ledger.database import Ledger
from engine.ledger.facts import RunFacts
from engine.ledger.runs import Run
from engine.ledger.values.documents import make_damage
from engine.logs import get_logger
from engine.progress import step
from engine.run.manifest import FILE, Manifest
from engine.store.identity import read_store_identity
from engine.store.port import Store

log = get_logger()
_RUNS_AT_ONCE = 100  # whose facts are written together


def make_facts(spec: CampaignSpec, run: str, *, sandbox: bool) -> RunFacts:
    """Make the facts of a run.

    Args:
        spec: of its campaign, with the transport that it is launched with.
        run: its name, CAMPAIGN/KEY.
        sandbox: it goes to the embedded sandbox.
    """
    transport = spec.delivery.transport
    return RunFacts(
        sender_domain=domain_of(spec.sender_address),
        transport=transport,
        trial=sandbox or transport == "outbox",
        kind=spec.kind,
        topic=find_topic(spec, run),
        configuration_set=spec.delivery.configuration_set,
        warmup=None if spec.warmup is None else spec.warmup.model_dump_json(),
        guard=spec.guard.model_dump_json(),
        canary=None if spec.canary is None else spec.canary.model_dump_json(),
        notify=None if spec.notify is None else spec.notify.dump(),
    )


def load_facts(folder: Path, manifest: Manifest) -> RunFacts:
    """Make the facts of a run from its frozen folder.

    Raises:
        ConfigurationError: its campaign.toml is wrong.
    """
    spec = change_transport(load_campaign(folder / "campaign").spec, manifest.transport)
    return make_facts(spec, manifest.run, sandbox=manifest.sandbox)


def find_topic(spec: CampaignSpec, run: str) -> str:
    """Return the topic whose opt-outs block a campaign's mail. Default: the campaign's name.

    Args:
        spec: of the campaign.
        run: the run's name, CAMPAIGN/KEY.
    """
    return spec.suppression.topic or run.partition("/")[0]


def read_facts(run: Run, store: Store) -> RunFacts:
    """Return the facts of a run: those of the ledger, or of its frozen campaign where an earlier version registered it.

    A campaign that cannot be read gives the defaults and an empty sender domain: `mailrun audit` reports the damage.

    Args:
        run: from the ledger.
        store: has the run's files; it is read only where the ledger has no facts.
    """
    if run.facts is not None:
        return run.facts
    frozen, manifest = store.read(f"{run.folder}/campaign/campaign.toml"), store.read(f"{run.folder}/{FILE}")
    try:
        spec = parse_spec((frozen or b"").decode("utf-8-sig"), file=store.describe(run.folder))
        spec = change_transport(spec, json.loads(manifest or b"{}").get("transport"))
    except (ConfigurationError, UsageError, ValueError, AttributeError):
        return RunFacts("", "ses", trial=run.sandbox, kind="marketing", topic=run.name.partition("/")[0])
    return make_facts(spec, run.name, sandbox=run.sandbox)


def read_guard_spec(facts: RunFacts) -> GuardSpec:
    """Read `[guard]` from the facts of a run."""
    try:
        return GuardSpec.model_validate_json(facts.guard)
    except ValueError:
        raise make_damage(f"[guard] of a run of {facts.topic}") from None


def read_canary_spec(facts: RunFacts) -> CanarySpec | None:
    """Read `[canary]` from the facts of a run; None where it has none."""
    try:
        return None if facts.canary is None else CanarySpec.model_validate_json(facts.canary)
    except ValueError:
        raise make_damage(f"[canary] of a run of {facts.topic}") from None


def complete_facts(ledger: Ledger, store: Store) -> None:
    """Write the facts of the runs that an earlier version registered: once, each from its frozen campaign.

    Runs whose files are in another store are left as they are. If it is interrupted, the next call continues.

    Raises:
        MailrunError: ledger or store cannot be reached.
    """
    with ledger.read() as tx:
        missing = runs.list_runs_without_facts(tx)
    own = read_store_identity(store) if missing else ""
    earlier = [run for run in missing if run.store in (None, own)]
    if not earlier:
        return
    with step("reading the facts of earlier runs", "runs", len(earlier)) as reading:
        for start in range(0, len(earlier), _RUNS_AT_ONCE):
            block = earlier[start : start + _RUNS_AT_ONCE]
            _write_facts(ledger, {run.name: read_facts(run, store) for run in block})
            reading.advance(len(block))
    note = "the facts of runs of an earlier version are in the ledger now"
    log.info("facts.completed", runs=len(earlier), note=note)


def _write_facts(ledger: Ledger, found: Mapping[str, RunFacts]) -> None:
    with ledger.write() as tx:
        for name, each in found.items():
            facts.set_facts(tx, name, each)
