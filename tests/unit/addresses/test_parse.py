# ruff: noqa: RUF001 - full-width letters are what this is about
"""Valid addresses, and the faults of invalid ones."""

import polars as pl
import pytest

from engine.addresses.parse import judge_addresses


def judge(address: str | None) -> tuple[str | None, str | None, str | None]:
    """The address, its key and its fault."""
    answer = judge_addresses(pl.Series([address], dtype=pl.String)).row(0)
    return answer[0], answer[1], answer[2]


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("ann@example.com", "ann@example.com"),
        ("Ann.Lee@Example.COM", "Ann.Lee@example.com"),
        ("  ann@example.com\t", "ann@example.com"),
        ("\u200bann@example.com\ufeff", "ann@example.com"),
        ("\u00a0ann@example.com\u3000", "ann@example.com"),
        ("Ann Lee <ann@example.com>", "ann@example.com"),
        ('"Lee, Ann @ home" < ann@example.com >', "ann@example.com"),
        ("<ann@example.com>", "ann@example.com"),
        ('"<ann@example.com>" <ann@example.com>', "ann@example.com"),
        ("ann@example.com (Ann Lee)", "ann@example.com"),
        ("ann@example.com <ann@example.com>", "ann@example.com"),
        ("Lee, Ann <ann@example.com>", "ann@example.com"),
        ("Ann@example.com (Ann (Sales) Lee, <home>)", "Ann@example.com"),
        ("ann@i❤.example", "ann@xn--i-7iq.example"),
        ("ann@xn--i-7iq.example", "ann@xn--i-7iq.example"),
        ("ann@❤️.example", "ann@xn--qei.example"),
        ("ann@👍🏽.example", "ann@xn--on8h5e.example"),
        ("ann@日本❤.bäckerei.example", "ann@xn--qeiv64sb2a.xn--bckerei-5wa.example"),
        ("ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ann@example.com"),
        ("ann@ＥＸＡＭＰＬＥ.com", "ann@example.com"),
        ("ann@bäckerei.example", "ann@xn--bckerei-5wa.example"),
        ("ann@BÄCKEREI.example", "ann@xn--bckerei-5wa.example"),
        ("ann@XN--bckerei-5wa.example", "ann@xn--bckerei-5wa.example"),
        ("ann@例子。example", "ann@xn--fsqu00a.example"),
        ("a!#$%&'*+/=?^_`{|}~-z@example.com", "a!#$%&'*+/=?^_`{|}~-z@example.com"),
        (f"{'a' * 64}@example.com", f"{'a' * 64}@example.com"),
        (f"a@{'b' * 63}.example", f"a@{'b' * 63}.example"),
        ("a@1.example", "a@1.example"),
        ("success+00001@simulator.amazonses.com", "success+00001@simulator.amazonses.com"),
    ],
)
def test_common_spellings_of_an_address_are_read_as_ses_reads_them(raw: str, address: str) -> None:
    assert judge(raw) == (address, address.lower(), None)


@pytest.mark.parametrize("raw", [None, "", "   ", "\u3000", "\u200b", "\ufeff \t"])
def test_blank_is_neither_an_address_nor_a_fault(raw: str | None) -> None:
    assert judge(raw) == (None, None, None)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ("ann.example.com", "there is no @"),
        ("<>", "there is no @"),
        ('"ann"@example.com', "a quoted local part is not supported by SES"),
        ('"a@b"@example.com', "a quoted local part is not supported by SES"),
        ("ann@lee@example.com", "there is more than one @"),
        ("ann@example.com, bob@example.com", "there is more than one @"),
        ("ann lee@example.com", "it contains a space or a control character"),
        ("ann@example\u0007.com", "it contains a space or a control character"),
        ("ann@example.com\nbcc: bob", "it contains a space or a control character"),
        ("@example.com", "there is nothing before the @"),
        ("ann@", "there is nothing after the @"),
        ("jürgen@example.com", "the part before the @ has characters outside ASCII, which SES cannot send to"),
        ("a\u200bnn@example.com", "the part before the @ has characters outside ASCII, which SES cannot send to"),
        (".ann@example.com", "the part before the @ begins or ends with a dot, or has two in a row"),
        ("ann.@example.com", "the part before the @ begins or ends with a dot, or has two in a row"),
        ("ann..lee@example.com", "the part before the @ begins or ends with a dot, or has two in a row"),
        ("mailto:ann@example.com", "the part before the @ has a character that is not allowed there"),
        ("ann<lee@example.com", "the part before the @ has a character that is not allowed there"),
        (f"{'a' * 65}@example.com", "the part before the @ is longer than 64 characters"),
        ("ann@.example.com", "the domain begins or ends with a dot, or has two in a row"),
        ("ann@example.com.", "the domain begins or ends with a dot, or has two in a row"),
        ("ann@example..com", "the domain begins or ends with a dot, or has two in a row"),
        (f"ann@{'b' * 64}.example", "a part of the domain is longer than 63 characters"),
        (f"ann@mail.{'b' * 64}", "a part of the domain is longer than 63 characters"),
        ("ann@xn--.example", "the domain is not a valid international domain name"),
        ("ann@☃☃\u200d.example", "the domain is not a valid international domain name"),
        ("bob@example.com, Ann <ann@example.com>", "there is more than one @"),
        ("bob@example.com (Bob), ann@example.com (Ann)", "there is more than one @"),
        ("ann@❤_.example", "the domain is not a valid international domain name"),
        ("ann@xn--i-7ir❤.example", "the domain is not a valid international domain name"),
        ("ann@mail_server.example", "the domain has a character that is not allowed there"),
        ("ann@[192.0.2.7]", "the domain has a character that is not allowed there"),
        ("ann@localhost", "the domain has no dot"),
        ("ann@-mail.example", "a part of the domain begins or ends with a hyphen"),
        ("ann@mail-.example", "a part of the domain begins or ends with a hyphen"),
        ("ann@192.0.2.7", "the domain ends with a number"),
        (f"a@{'.'.join(['c' * 60] * 5)}", "it is longer than 254 characters"),
    ],
)
def test_unmailable_address_has_a_fault(raw: str, fault: str) -> None:
    assert judge(raw) == (None, None, fault)


def test_254_characters_are_an_address_and_255_are_not() -> None:
    domain = ".".join(["d" * 60] * 4)
    at_the_limit = f"{'a' * (254 - len(domain) - 1)}@{domain}"
    assert judge(at_the_limit)[2] is None
    assert judge("a" + at_the_limit)[2] == "it is longer than 254 characters"


def test_judged_addresses_are_in_the_order_of_the_input() -> None:
    raw = ["Ann <ann@example.com>", "bob@example.com", None, "nobody", "eve@bäckerei.example", "Zoe@EXAMPLE.com"]
    assert judge_addresses(pl.Series(raw)).get_column("key").to_list() == [
        *("ann@example.com", "bob@example.com", None, None),
        *("eve@xn--bckerei-5wa.example", "zoe@example.com"),
    ]


def test_judging_no_addresses_returns_no_rows() -> None:
    assert judge_addresses(pl.Series([], dtype=pl.String)).shape == (0, 3)
