"""`make bench`: all benchmarks, or those that are named: python -m bench [launch] [ledger] [render] [sandbox]."""

import sys

from bench import launch, ledger, render, sandbox

BENCHMARKS = {"launch": launch.main, "ledger": ledger.main, "render": render.main, "sandbox": sandbox.main}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"── {name}")
        BENCHMARKS[name]()
