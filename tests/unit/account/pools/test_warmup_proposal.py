"""The proposed caps of a warm-up."""

import tomllib

import pytest

from engine.account.pools.addresses import DedicatedAddress
from engine.account.pools.warmup_proposal import DAYS, FIRST_DAY, FULL, WarmupProposal, propose_warmup
from engine.campaign.spec_sections import WarmupSpec


def make_address(percentage: int, status: str = "IN_PROGRESS") -> DedicatedAddress:
    return DedicatedAddress("198.51.100.7", status, percentage)


def propose(*addresses: DedicatedAddress) -> WarmupProposal:
    proposal = propose_warmup(addresses)
    assert proposal is not None
    return proposal


def test_a_new_address_gets_caps_for_the_whole_warm_up():
    caps = propose(make_address(0)).caps
    assert (len(caps), caps[0], caps[-1]) == (DAYS, FIRST_DAY, FULL)
    assert list(caps) == sorted(caps)


def test_an_address_half_way_gets_the_caps_that_are_left():
    new, half = propose(make_address(0)).caps, propose(make_address(50)).caps
    assert half == new[-len(half) :]
    assert len(half) == 23


def test_caps_add_up_over_addresses():
    one, two = propose(make_address(20)).caps, propose(make_address(20), make_address(20)).caps
    assert all(1.8 * a <= b <= 2.2 * a for a, b in zip(one, two, strict=True))
    with_ready = propose(make_address(20), make_address(100, "DONE")).caps
    assert with_ready[0] > FULL * 0.98
    assert with_ready[-1] == 2 * FULL


def test_caps_end_with_the_last_address():
    assert len(propose(make_address(90), make_address(20)).caps) == len(propose(make_address(20)).caps)


@pytest.mark.parametrize(
    "addresses",
    [[], [make_address(100, "DONE")], [make_address(-1, "NOT_APPLICABLE")], [make_address(100)]],
)
def test_nothing_is_proposed_when_no_address_is_warming_up(addresses: list[DedicatedAddress]) -> None:
    assert propose_warmup(addresses) is None


@pytest.mark.parametrize("percentage", [0, 1, 50, 99])
def test_the_proposal_is_a_section_that_campaign_toml_accepts(percentage: int) -> None:
    proposal = propose(make_address(percentage))
    read = tomllib.loads("\n".join(proposal.to_toml()))
    assert WarmupSpec.model_validate(read["warmup"]).caps == proposal.caps


def test_the_proposal_says_what_it_assumes():
    assumptions = "\n".join(propose(make_address(40)).assumptions)
    assert "198.51.100.7 at 40 %" in assumptions
    assert "45 days" in assumptions
    assert "50,000" in assumptions
