"""`make bench`: all benchmarks, or those that are named: python -m bench [delivery] [rates] [carriers] …."""

import sys

from bench import carriers, delivery, launch, rates, render, sandbox

BENCHMARKS = {
    "delivery": delivery.main,
    "rates": rates.main,
    "carriers": carriers.main,
    "launch": launch.main,
    "render": render.main,
    "sandbox": sandbox.main,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"── {name}")
        BENCHMARKS[name]()
