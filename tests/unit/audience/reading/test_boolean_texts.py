"""A boolean is a boolean in a condition, whatever its format."""

import polars as pl

from engine.audience.reading.boolean_texts import BooleanText, iterate_rows


def test_boolean_text_is_printed_and_compared_unchanged() -> None:
    text = BooleanText("FALSE")
    assert f"{text}" == "FALSE"
    assert text == "FALSE"
    assert text != "false"
    assert text == False  # noqa: E712 - as a template writes it
    assert text != True  # noqa: E712
    assert {"FALSE": 1}[text] == 1


def test_other_words_are_text() -> None:
    rows = iterate_rows(pl.DataFrame({"a": ["no", "0", "FALSCH", "falsehood", None, "true"]}))
    assert [type(row["a"]) for row in rows] == [str, str, str, str, type(None), BooleanText]
