"""`python -m engine`: the same as `mailrun`."""

from engine.cli.main import main

main()
