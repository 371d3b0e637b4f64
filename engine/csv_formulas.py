"""Formulas in CSV exports: a cell that a spreadsheet would run begins with an apostrophe, in every file of mailrun.

Addresses and names come from outside, and people open these files in a spreadsheet.
"""

import polars as pl

# Characters that begin a formula in a spreadsheet, their full-width forms, and characters that would hide one.
_FORMULA = r"^[\s\p{Cf}]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]"
_DEFUSED = r"^'([=+\-@])"


def defuse_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """Put an apostrophe before each text of a frame that a spreadsheet would read as a formula.

    >>> defuse_formulas(pl.DataFrame({"name": ["=1+1", "Ann"], "row": [-1, 2]})).rows()
    [("'=1+1", -1), ('Ann', 2)]
    """
    texts = pl.col(pl.String)
    return frame.with_columns(pl.when(texts.str.contains(_FORMULA)).then("'" + texts).otherwise(texts).name.keep())


def read_defused(texts: pl.Series) -> pl.Series:
    """Return texts without the apostrophe that `defuse_formulas` put before an address.

    >>> read_defused(pl.Series(["'+ann@b.example", "o'neil@b.example"])).to_list()
    ['+ann@b.example', "o'neil@b.example"]
    """
    return texts.str.replace(_DEFUSED, "${1}") if texts.str.starts_with("'").any() else texts
