"""`python -m engine`: the same as `mailrun`."""

from engine.cli.main import main

if __name__ == "__main__":  # a preview's processes import this module as well
    main()
