"""Alignment is that of organizational domains, by the vectors of the Public Suffix List."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.authentication.alignment import find_organizational_domain, is_aligned

# Of https://github.com/publicsuffix/list/blob/main/tests/test_psl.txt
VECTORS = {
    "example.com": "example.com",
    "b.example.com": "example.com",
    "a.b.example.com": "example.com",
    "b.example.uk.com": "example.uk.com",
    "a.b.example.co.uk": "example.co.uk",
    "test.ac": "test.ac",
    "b.test.ac.jp": "test.ac.jp",
    "a.b.ide.kyoto.jp": "b.ide.kyoto.jp",
    "a.b.c.kobe.jp": "b.c.kobe.jp",
    "www.city.kobe.jp": "city.kobe.jp",
    "a.b.test.ck": "b.test.ck",
    "www.www.ck": "www.ck",
    "www.test.k12.ak.us": "test.k12.ak.us",
    "a.b.xn--85x722f.com.cn": "xn--85x722f.com.cn",
}
SUFFIXES = st.sampled_from(["com", "co.uk", "example", "kobe.jp", "github.io", "xn--p1ai"])
LABELS = st.lists(st.sampled_from(["a", "b", "mail", "x-1", "xn--bcher-kva"]), max_size=4)
DOMAINS = st.builds(lambda labels, name, suffix: ".".join([*labels, name, suffix]), LABELS,
                    st.sampled_from(["acme", "other"]), SUFFIXES)  # fmt: skip


@pytest.mark.parametrize(("domain", "organization"), VECTORS.items())
def test_organizational_domain_is_that_of_the_list(domain: str, organization: str):
    assert find_organizational_domain(domain) == organization


@given(one=DOMAINS, other=DOMAINS)
def test_alignment_is_symmetric_and_strict_implies_relaxed(one: str, other: str):
    relaxed, strict = is_aligned(one, other), is_aligned(one, other, strict=True)
    assert relaxed == is_aligned(other, one)
    assert strict == (one == other)
    assert relaxed or not strict
    assert relaxed == (find_organizational_domain(one) == find_organizational_domain(other))


@given(domain=DOMAINS, label=st.sampled_from(["a", "bounce"]))
def test_subdomain_aligns_relaxed_only(domain: str, label: str):
    own = f"own.{domain}"  # acme.kobe.jp is a public suffix
    assert is_aligned(f"{label}.{own}", own)
    assert not is_aligned(f"{label}.{own}", own, strict=True)
