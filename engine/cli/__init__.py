"""Commands: parse, call, print. One file per command group."""
