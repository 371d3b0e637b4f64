"""`make bench`: the table and the other benchmarks, or those that are named: python -m bench table lag.

`audience` takes numbers of rows as well: python -m bench audience 1000000 5000000. With --markdown the table is printed
once more, as the documentation has it.
"""

import sys

from bench import (
    audience,
    carriers,
    dashboard,
    delivery,
    feedback,
    guard,
    instructions,
    lag,
    ledger,
    preview,
    rates,
    render,
    sandbox,
    start,
    table,
    whole_preview,
    workers,
)

BENCHMARKS = {
    "table": table.main,
    "audience": audience.main,
    "carriers": carriers.main,
    "dashboard": dashboard.main,
    "delivery": delivery.main,
    "feedback": feedback.main,
    "guard": guard.main,
    "instructions": instructions.main,
    "lag": lag.main,
    "ledger": ledger.main,
    "preview": preview.main,
    "rates": rates.main,
    "render": render.main,
    "sandbox": sandbox.main,
    "start": start.main,
    "whole_preview": whole_preview.main,
    "workers": workers.main,
}

IN_TABLE = {"audience", "delivery", "start", "whole_preview", "workers"}

if __name__ == "__main__":
    named = [word for word in sys.argv[1:] if word in BENCHMARKS]
    for name in named or [name for name in BENCHMARKS if name not in IN_TABLE]:
        print(f"── {name}")
        BENCHMARKS[name]()
