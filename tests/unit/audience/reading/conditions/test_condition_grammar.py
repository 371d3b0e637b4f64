"""`[audience] where` is judged word by word before Polars sees it: nothing is opened, and nothing is executed."""

import sys
from types import FrameType

import polars as pl
import pytest

from engine.audience.reading.conditions import condition_cursor as cursor
from engine.audience.reading.conditions import condition_grammar as grammar
from engine.audience.reading.conditions.condition_brackets import MOST_GROWTH
from engine.audience.reading.conditions.condition_grammar import rewrite
from engine.audience.reading.conditions.condition_tokens import MOST_CHARACTERS, ConditionError
from engine.audience.reading.conditions.condition_words import FUNCTIONS, FUNCTIONS_WITHOUT_ARGUMENTS
from engine.audience.reading.conditions.conditions import columns_in, rows_that_meet
from engine.audience.reading.types import ColumnTypes
from engine.errors import DataError

ROWS = pl.DataFrame(
    {
        "n": [3, -1, None, 2],
        "f": [0.5, 1.5, None, 0.25],
        "t": ["ab", "B c", None, ""],
        "d": ["2024-01-31", "2025-06-01", None, "2024-12-31"],
        "l": [[1, 2], [3], None, []],
        "ts": [["a", "b"], ["c"], None, []],
        "b": [True, False, None, True],
        "w": ["2024-01-31", "2025-06-01", None, "2024-12-31"],
        "m": ["10:30:00", "23:59:59", None, "00:00:00"],
    }
).with_columns(pl.col("d").str.to_date(), at=pl.col("w").str.to_datetime())
ARGUMENTS = [
    *("n", "f", "t", "d", "b", "l", "ts", "at", "w", "m", "w, '%Y-%m-%d'", "n, 2", "t, 'a'", "ts, 'a'", "l, 1", "f, 2"),
    *("t, 1", "b, b", "'year', d", "d, '%Y'", "'-', t, t", "t, 'a', 'b'", "t, 3, 'x'", "t, ' ', 1", "b, n, n"),
]


@pytest.mark.parametrize(
    ("where", "line", "column", "what"),
    [
        ("n = 1 AND\n  n IN (SELECT 1)", 2, 9, "uses more than one row"),
        ("n = 1 OR read_csv('x')", 1, 10, "uses a function that a condition cannot use"),
        ("n > SUM(n)", 1, 5, "uses more than one row"),
        ("lower(t) OVER () = 'x'", 1, 10, "uses more than one row"),
        ("n > ALL(l)", 1, 5, "uses more than one row"),
        ("t = \u2018x\u2019", 1, 5, "is not an SQL condition"),
        ("t = 1 /* x", 1, 7, "is not an SQL condition"),
        ("(n = 1", 1, 1, "is not an SQL condition"),
        ("CASE WHEN n = 1 THEN 2", 1, 1, "is not an SQL condition"),
        ("CAST(n AS SELECT) = 1", 1, 11, "uses more than one row"),
    ],
)
def test_what_is_refused_is_shown_with_its_place(where: str, line: int, column: int, what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        columns_in(where, ROWS.columns)
    assert caught.value.where.endswith(f"line {line}, column {column} of the condition")
    assert caught.value.what.split("\n")[line + 1] == "   " + " " * (column - 1) + "^"


def test_a_function_that_is_not_allowed_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError, match="lowr: did you mean lower"):
        columns_in("lowr(t) = 'x'", ROWS.columns)


@pytest.mark.parametrize(
    "where",
    [
        "n = 1 AND NOT t = 'x' OR b",
        "n != 1 AND n <> 2 AND n <= 3 AND n >= 4 AND n < 5 AND n > 6 AND n == 7 AND n <=> 8",
        "t LIKE 'a%' AND t NOT LIKE '%''b' AND t ILIKE 'A_' AND t NOT ILIKE 'x'",
        "t ~ 'a' AND t !~ 'b' AND t ~* 'c' AND t !~* 'd' AND t ~~ 'a%' AND t !~~ 'b' AND t ^@ 'a' AND t REGEXP 'a'",
        "n BETWEEN 1 AND 3 AND n NOT BETWEEN -1 AND +2",
        "n IN (1, 2) AND t NOT IN ('x', 'y''z') AND n IN (1, 2,) AND (n) IN (b, 3)",
        "n IS NULL OR t IS NOT NULL OR b IS TRUE OR b IS NOT FALSE OR n IS DISTINCT FROM f OR n IS NOT DISTINCT FROM 1",
        "CASE WHEN n = 1 THEN 'a' WHEN n = 2 THEN 'b' ELSE 'c' END = 'a'",
        "CASE n WHEN 1 THEN 2 END = 2 AND CASE (n) WHEN 1 THEN TRUE ELSE FALSE END",
        "CAST(n AS VARCHAR(10)) = '1' AND TRY_CAST(t AS DOUBLE PRECISION) > 1 AND CAST(t AS DECIMAL(10, 2)) < 1",
        "n::int = 1 AND d::TIMESTAMP WITH TIME ZONE > d AND CAST(l AS INT[]) = l",
        "EXTRACT(YEAR FROM d) = 2024 AND DATE_PART('month', d) = 1 AND year(d) = 2024",
        "POSITION('a' IN t) > 1 AND STRPOS(t, 'a') = 1",
        "SUBSTRING(t FROM 1 FOR 2) = 'x' AND SUBSTRING(t, 1, 2) = 'x' AND SUBSTR(t, 1) = 'x'",
        "TRIM(t) = 'x' AND TRIM(BOTH 'x' FROM t) = 'a' AND TRIM('x' FROM t) = 'y'",
        "d > DATE '2024-01-01' AND d < TIMESTAMP '2024-01-01 00:00:00' AND d - INTERVAL '1 day' > d",
        "d > d - INTERVAL '30' DAY AND d > d - INTERVAL 1 WEEK",
        "array_contains(l, 1) AND l[1] = 1 AND 1 = ANY(l) AND l = [1, 2] AND l = ARRAY[1]",
        "t || 'x' = 'y' AND n + 1 - 2 * 3 / 4 % 5 // 6 = 1 AND n & 1 | 2 = 3",
        "IF(b, 1, 2) = 1 AND COALESCE(n, 1) = 1 AND LEFT(t, 1) = 'x' AND xor(b, b) AND b XOR b",
        '"n" = 1 AND `t` = \'x\' AND "a ""b""" = 1 AND s.x.y = 1',
        "n = 1e3 OR n = .5 OR n = 1. OR x'ab' = t OR 0x1f = t",
        "n = 1 -- a comment ' \n AND /* another /* inside */ \" */ t = 'x'",
        'timestamp = 1 AND date = 2 AND order = 1 AND from = 2 AND "select" = 3 AND größe = 1 AND 名 = 2 AND a$b# = 1',
        "lower(replace(replace(t, ' ', ''), '-', '')) = 'x'",
    ],
)
def test_a_rewritten_condition_is_the_same_condition(where: str) -> None:
    """What worked before works as before: Polars makes the same expression of what is written for it."""
    assert str(pl.sql_expr(f"({rewrite(where)})")) == str(pl.sql_expr(f"({where}\n)"))


def test_keyword_is_a_column_in_the_place_of_a_column() -> None:
    assert columns_in("interval = 1 AND user = 'x' AND with = 2", ["interval", "user", "with"]) == {
        "interval",
        "user",
        "with",
    }


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_an_allowed_function_looks_at_its_row_alone(name: str) -> None:
    """A row's result is the same whether it is judged with the others or alone: batches may have any size."""
    judged = 0
    for arguments in ARGUMENTS:
        try:
            call = pl.sql_expr(rewrite(f"{name}({arguments})"))
            whole = ROWS.select(x=call)["x"].to_list()
        except (ConditionError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        alone = [value for row in range(ROWS.height) for value in ROWS[row].select(x=call)["x"].to_list()]
        assert str(alone) == str(whole)  # NaN is like itself
        judged += 1
    assert judged, "no arguments fit it"


@pytest.mark.parametrize("name", sorted(FUNCTIONS_WITHOUT_ARGUMENTS))
def test_a_function_without_arguments_is_allowed(name: str) -> None:
    assert not pl.sql_expr(rewrite(f"{name}()")).meta.root_names()


@pytest.mark.parametrize(
    "where",
    [
        "n = 1" + " OR n = 1" * grammar.MOST_OPERATORS,
        "(" * (cursor.MOST_DEPTH + 1) + "n = 1" + ")" * (cursor.MOST_DEPTH + 1),
        "t = '" + "x" * MOST_CHARACTERS + "'",
        "t" + " || t" * MOST_GROWTH + " = 'x'",
        "lpad(t, 100000) = 'x'",
        "rpad(t, n) = 'x'",
        f"replace(replace(t, 'a', '{'a' * 100}'), 'a', '{'a' * 100}') = 'x'",
        "replace(replace(t, 'a', t), 'a', t) = 'x'",
        f"array_to_string(string_to_array(array_to_string(ts, '{'a' * 100}'), ''), '{'a' * 100}') = 'x'",
        f"concat({', '.join(['t'] * (MOST_GROWTH + 1))}) = 'x'",
    ],
)
def test_a_condition_that_would_need_too_much_is_refused(where: str) -> None:
    with pytest.raises(DataError, match="where is too large"):
        columns_in(where, ROWS.columns)


def test_the_longest_chain_is_evaluated() -> None:
    """Polars goes down a chain by recursion: at the limit its stack is far from its end."""
    where = "n = 0" + " OR n = 1" * ((grammar.MOST_OPERATORS - 3) // 2) + " OR n = 2"
    with pytest.raises(ConditionError):
        rewrite(f"{where} OR n = 3")
    types = ColumnTypes({"n"}, are_text=False)
    assert rows_that_meet(where, ROWS, types).to_list() == [False, False, False, True]


@pytest.mark.parametrize(
    "unit",
    [
        "(",
        "[",
        "'a' ",
        "''",
        '"a" ',
        "NOT ",
        "n = 1 OR ",
        "/* ",
        "-- x\n",
        "CASE ",
        "a.",
        "a, ",
        "- ",
        "/*/",
        "a" * 20,
        " ",
    ],
)
def test_reading_a_condition_is_linear_in_its_length(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the text is at most 2.5 times the work, counted as calls, for what is refused as for what is not."""
    monkeypatch.setattr(grammar, "MOST_OPERATORS", 1_000_000)
    monkeypatch.setattr(cursor, "MOST_DEPTH", 1_000_000)

    def count(text: str) -> int:
        calls = 0

        def profile(_frame: FrameType, _event: str, _argument: object) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(profile)
        try:
            rewrite(text)
        except ConditionError:
            pass
        finally:
            sys.setprofile(None)
        return calls

    once, twice = count(unit * 500), count(unit * 1000)
    assert twice <= 2.5 * once + 100


def test_an_error_of_types_shows_no_address() -> None:
    cells = pl.DataFrame({"email": ["ann@example.com", "bob"], "n": [1, 2]})
    with pytest.raises(DataError, match="email is text, for example 'bob'"):
        rows_that_meet("email > n", cells, ColumnTypes({"email", "n"}, are_text=False))
