# ruff: noqa: RUF001, RUF005 - letters that look alike are what this is about
"""The fast way of judging addresses gives what the rules give, row by row, for anything that people write."""

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.addresses.parse import judge_addresses
from engine.addresses.rules import check_texts, read_texts

SMALL = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
LOCALS = st.sampled_from(
    [
        "ann",
        "User.123",
        "a+b",
        "O'Neil",
        '"a b"',
        '"a@b"',
        "a..b",
        ".a",
        "a.",
        "a b",
        "jürgen",
        "аnn",
        "ａｎｎ",
        "",
        "a,b",
    ]
    + ["l" * 64, "L" * 65, "a\x00b", "a\u200bb", "a(b)", "mailto:ann", "a;b", "(c)a", "a\\b", "=?utf-8?q?a?="]
)
LABELS = st.sampled_from(
    [
        "example",
        "EXAMPLE",
        "com",
        "bäckerei",
        "BÄCKEREI",
        "xn--bckerei-5wa",
        "XN--BCKEREI-5WA",
        "xn--",
        "例子",
        "ｆｕｌｌ",
        "7",
    ]
    + [
        "❤",
        "👍🏽",
        "\u200d",
        "paypаl",
        "שלום",
        "a\u0301",
        "\u0301a",
        "ß",
        "ﬀ",
        "a_b",
        "-a",
        "a-",
        "a--b",
        "",
        "l" * 63,
        "L" * 64,
    ]
    + [
        "a b",
        "a\tb",
        "a\nb",
        "a\u00a0b",
        "a\u00adb",
        "＠",
        "（x）",
        "＜a＞",
        "℀",
        "[192",
        "a,b",
        "a;b",
        '"',
        "%41",
        "\ufdd0",
        "\ufeff",
    ]
)
DOTS = st.sampled_from([".", ".", ".", ".", "。", "．", "..", ".\u200b", ""])
DOMAINS = st.builds(
    lambda labels, dots, end: "".join(label + dot for label, dot in zip(labels, dots, strict=False)) + end,
    st.lists(LABELS | SMALL, min_size=1, max_size=5),
    st.lists(DOTS, min_size=5, max_size=5),
    st.sampled_from(["com", "com", "example", "例子", "", ".", "123"]),
)
AROUND = st.sampled_from(
    ["{}", "{}", "{}", " {} ", "\u200b{}\ufeff", "{}\n", "\u00a0{}\u3000", "<{}>", "Ann Lee <{}>", "Lee, Ann < {} >"]
    + [
        '"Lee, Ann @ home" <{}>',
        '"a\\"b" <{}>',
        "ann@x.example, Ann <{}>",
        "{} (Ann)",
        "{} (Ann (home), <x>)",
        "(Ann) {}",
    ]
    + [
        "{}, bob@x.example",
        "{};{}",
        "{} {}",
        "<{}",
        "{}>",
        "Ann <{}> Lee",
        "Änn <{}>",
        "＜{}＞",
        "{}\x07",
        "{}@",
        "@{}",
        "{}\u0338",
    ]
)
ADDRESSES = st.builds(
    lambda local, at, domain, around: around.replace("{}", local + at + domain),
    LOCALS | SMALL,
    st.sampled_from(["@", "@", "@", "@", "@", "＠", "", "@@", " @ "]),
    DOMAINS,
    AROUND,
)


@settings(max_examples=300, deadline=None)
@given(
    raw=st.lists(st.none() | ADDRESSES | st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=25)
)
@example(raw=[f"{'a' * length}@{'.'.join(['d' * 60] * 4)}" for length in (9, 10, 11)])
@example(
    raw=["Ann@example.com\u0338", "Ann@\u0338example.com", "Ann@＠example.com", "Ann@bär.example＞", "Ann@xn--.example"]
)
@example(raw=["ann@example.com", "Ann@EXAMPLE.com", "ann@@x", None, "", "Ann <Ann@bär.example>", " Bob@bär.example "])
def test_judge_addresses_equals_judging_by_every_rule(raw: list[str | None]) -> None:
    series = pl.Series(raw, dtype=pl.String)
    by_rules = check_texts(read_texts(series))
    key = pl.col("address").str.to_lowercase().alias("key")
    expected = by_rules.select("address", key, "fault")
    assert judge_addresses(series).rows() == expected.rows()


@settings(max_examples=100, deadline=None)
@given(raw=st.lists(ADDRESSES, min_size=1, max_size=25))
def test_judge_addresses_depends_on_no_other_row(raw: list[str]) -> None:
    alone = [judge_addresses(pl.Series([address])).row(0) for address in raw]
    assert judge_addresses(pl.Series(raw)).rows() == alone
