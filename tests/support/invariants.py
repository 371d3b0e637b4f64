"""The invariants at the end of every story: a run's accounts compared with the record of the receiving side."""

from collections import Counter

import polars as pl

from engine.ledger import leases
from engine.ledger.database import open_ledger
from engine.ledger.journal import Outcome, replay
from support.recorded import read_journal
from support.world import RUN, World


def read_outcomes(world: World, run: str = RUN) -> dict[int, Outcome]:
    """Read every row's outcome from the run's files, and from the journal where a lease is open."""
    folder = world.folder / ".mailrun" / "runs" / run
    rows = pl.read_parquet(folder / "plan" / "recipients-*.parquet")["row"].to_list()
    outcomes = dict.fromkeys(rows, Outcome.UNSENT)
    ledger = open_ledger(world.ledger_url)
    try:
        with ledger.read() as tx:
            for lease in leases.list_leases(tx, run):
                if lease.settlement is not None:
                    frame = pl.read_parquet(folder / "outcomes" / lease.settlement.outcomes_file)
                    outcomes.update({row: Outcome(name) for row, name in frame.select("row", "outcome").iter_rows()})
                    continue
                history = replay(read_journal(tx, run, lease.ordinal))
                outcomes.update({row: result.outcome for row, result in history.results.items()})
                outcomes.update(dict.fromkeys(history.open_intents, Outcome.IN_DOUBT))
    finally:
        ledger.close()
    return outcomes


def count_received(world: World, run: str = RUN) -> Counter[int]:
    """Count what the receiving side accepted, by our row."""
    campaign, _, key = run.partition("/")
    tags = [message["tags"] for message in world.accepted()]
    ours = [t for t in tags if t.get("mailrun-campaign") == campaign and t.get("mailrun-key") == key]
    return Counter(int(t["mailrun-row"]) for t in ours)


def check_invariants(world: World, run: str = RUN, *, in_doubt_at_most: int = 0) -> Counter[Outcome]:
    """Check I1 to I4 of a run; returns its outcomes, counted."""
    outcomes = read_outcomes(world, run)
    received = count_received(world, run)
    by_outcome = {o: {row for row, outcome in outcomes.items() if outcome is o} for o in Outcome}
    told = world.run("audit", run, "--json")
    assert told.code == 0, told.stdout
    # I1: every row has one outcome, and the reported accounts are those of the files.
    assert {str(o): len(rows) for o, rows in by_outcome.items()} == {str(o): told.json[str(o)] for o in Outcome}
    assert told.json["balanced"] is True
    # I2: at most once each.
    assert set(received.values()) <= {1}, "a recipient was handed over twice"
    # I3: received are all sent ones and some of those in doubt.
    sent, in_doubt = by_outcome[Outcome.SENT], by_outcome[Outcome.IN_DOUBT]
    assert sent <= set(received), "a recipient is sent and not received"
    assert set(received) <= sent | in_doubt, "a recipient is received and neither sent nor in doubt"
    # I4: in doubt are calls without an answer, never more.
    assert len(in_doubt) <= in_doubt_at_most
    return Counter(outcomes.values())
