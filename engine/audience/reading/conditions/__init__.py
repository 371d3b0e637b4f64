"""Conditions in [audience] filter: SQL expressions over the columns of a row."""
