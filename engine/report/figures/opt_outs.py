"""Recipients who opted out because of a run, by the way they did."""

from msgspec.structs import asdict

from engine.ledger.database import Ledger
from engine.ledger.suppressed import opt_outs
from engine.report.figures.document import Unsubscribes


def read_unsubscribes(ledger: Ledger, run: str) -> Unsubscribes:
    """Read how many recipients of a run opted out, each counted once, under the way that it used first."""
    with ledger.read() as tx:
        return Unsubscribes(**asdict(opt_outs.count_unsubscribes(tx, run)))
