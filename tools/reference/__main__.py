"""Write the generated parts of docs/reference, or check that they are current.

Run from the project's folder:

    python -m tools.reference           # write
    python -m tools.reference --check   # exit with 1 and name every page that is stale
"""

import sys

from tools.reference.pages import REFERENCE, find_stale, update_pages


def main(arguments: list[str]) -> int:
    """Update or check the pages; returns the exit code."""
    if arguments != ["--check"]:
        for page in update_pages():
            print(f"updated {page.relative_to(REFERENCE.parent.parent)}")
        return 0
    stale = find_stale()
    for page in stale:
        print(f"{page.relative_to(REFERENCE.parent.parent)} is stale; run: make reference", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
