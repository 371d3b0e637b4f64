"""Which region accepts a call that is signed for every region."""

import pytest
from support.clock import VirtualClock

from engine.sandbox.http.replies import ApiError
from engine.sandbox.http.signature import EVERY_REGION
from engine.sandbox.reach.multi_region_endpoints import MultiRegionEndpoints

BODY = b'{"EndpointId": "abcdef12.g3h"}'


@pytest.fixture(name="endpoints")
def _endpoints() -> MultiRegionEndpoints:
    return MultiRegionEndpoints(("abcdef12.g3h",), region="us-east-1", clock=VirtualClock())


@pytest.mark.parametrize(
    ("unreachable", "chosen"),
    [([], "us-east-1"), (["us-east-1"], "us-west-2"), (["us-east-1", "us-west-2"], "us-east-1")],
)
def test_primary_accepts_a_call_or_the_secondary_when_it_is_unreachable(
    endpoints: MultiRegionEndpoints, unreachable: list[str], chosen: str
):
    found = endpoints.choose_region(EVERY_REGION, BODY, lambda region: region not in unreachable)
    assert found == chosen


def test_call_that_is_signed_for_one_region_stays_there(endpoints: MultiRegionEndpoints):
    assert endpoints.choose_region("eu-west-1", BODY, lambda _: False) == "eu-west-1"


def test_call_through_an_unknown_endpoint_comes_to_the_primary(endpoints: MultiRegionEndpoints):
    assert endpoints.choose_region(EVERY_REGION, b"{}", lambda _: True) == "us-east-1"
    with pytest.raises(ApiError, match="not a JSON object"):
        endpoints.choose_region(EVERY_REGION, b"{", lambda _: True)
