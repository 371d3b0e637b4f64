"""`make bench`: all benchmarks, or those that are named: python -m bench launch render.

`audience` takes numbers of rows as well: python -m bench audience 1000000 5000000.
"""

import sys

from bench import audience, carriers, delivery, feedback, guard, lag, launch, ledger, preview, rates, render, sandbox

BENCHMARKS = {
    "audience": audience.main,
    "carriers": carriers.main,
    "delivery": delivery.main,
    "feedback": feedback.main,
    "guard": guard.main,
    "lag": lag.main,
    "launch": launch.main,
    "ledger": ledger.main,
    "preview": preview.main,
    "rates": rates.main,
    "render": render.main,
    "sandbox": sandbox.main,
}

if __name__ == "__main__":
    for name in [word for word in sys.argv[1:] if not word.isdigit()] or BENCHMARKS:
        print(f"── {name}")
        BENCHMARKS[name]()
