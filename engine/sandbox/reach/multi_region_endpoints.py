"""Multi-region endpoints: each belongs to the region that it was created in, and sends through two.

Source: SES API v2 reference, `CreateMultiRegionEndpoint` and `MultiRegionEndpoint`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from hashlib import blake2b
from operator import itemgetter
from typing import Any

from engine.clock import Clock
from engine.sandbox.http.replies import ApiError, SandboxReply, already_exists, bad_request, not_found, result
from engine.sandbox.http.signature import EVERY_REGION
from engine.sandbox.ses.draft import Draft
from engine.sandbox.ses.members import items, required
from engine.sandbox.ses.paging import page_of, read_page_request
from engine.sandbox.ses.sending import parse_request

Query = dict[str, list[str]]
_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)
_SECONDARY = "us-west-2"
_PATH = "/v2/email/multi-region-endpoints"


class MultiRegionEndpoints:
    """The multi-region endpoints of all regions; one is ready as soon as it is created.

    Args:
        ids: of those that exist; None means that an endpoint of any id exists.
        region: the primary one of those that exist.
        clock: the wall clock of their creation.
    """

    def __init__(self, ids: Iterable[str] | None, *, region: str, clock: Clock) -> None:
        self._any_id = ids is None
        self._region, self._clock = region, clock
        self._by_name = {(region, one): self._make(one, one, [region, _SECONDARY]) for one in ids or ()}

    def operations(self, region: str) -> Mapping[tuple[str, str], Callable[[str, Query, bytes], SandboxReply]]:
        """Return the operations of a region, by method and path; `*` in a path is a parameter."""
        return {
            ("POST", _PATH): partial(self._create, region),
            ("GET", _PATH): partial(self._list, region),
            ("GET", _PATH + "/*"): partial(self._get, region),
            ("DELETE", _PATH + "/*"): partial(self._delete, region),
        }

    def choose_region(self, region: str, body: bytes, is_reachable: Callable[[str], bool]) -> str:
        """Choose the region that accepts a call: the one that it is signed for, or one of its endpoint.

        Args:
            region: what the call is signed for.
            body: of the call.
            is_reachable: whether a region can be reached; if the primary cannot, the secondary accepts the call.

        Raises:
            ApiError: MalformedHttpRequestException.
        """
        if region != EVERY_REGION:
            return region
        endpoint_id = parse_request(body).get("EndpointId")
        named = [one["Regions"] for one in self._by_name.values() if one["EndpointId"] == endpoint_id]
        regions: list[str] = named[0] if named else [self._region]
        return next(filter(is_reachable, regions), regions[0])

    def check_may_send(self, draft: Draft, region: str) -> None:
        """Refuse a send through an endpoint that does not exist, or that is not signed for every region.

        Args:
            draft: with the id of the endpoint, if it names one.
            region: what the call is signed for.

        Raises:
            ApiError: IncompleteSignature or NotFoundException.
        """
        endpoint_id = draft.reach.endpoint_id
        if endpoint_id is None:
            return
        if region != EVERY_REGION:
            text = "A send through a multi-region endpoint must be signed with Signature Version 4A."
            raise ApiError("IncompleteSignature", text, status=403)
        if not self._any_id and endpoint_id not in {one["EndpointId"] for one in self._by_name.values()}:
            raise not_found(f"Multi-region endpoint <{endpoint_id}> does not exist.")

    def _make(self, name: str, endpoint_id: str, regions: list[str]) -> dict[str, Any]:
        at: datetime = self._clock.now()
        return {
            "EndpointName": name,
            "EndpointId": endpoint_id,
            "Status": "READY",
            "Regions": regions,
            "CreatedTimestamp": at.timestamp(),
            "LastUpdatedTimestamp": at.timestamp(),
        }

    def _create(self, region: str, _: str, __: Query, body: bytes) -> SandboxReply:
        request = parse_request(body)
        name = required(request, "EndpointName", str)
        routes = items(required(request, "Details", dict), "RoutesDetails", dict, path="Details.")
        if _NAME.fullmatch(name) is None:
            raise bad_request(f"EndpointName <{name}>: only letters, digits, - and _ are allowed, up to 64.")
        if len(routes) != 1:
            raise bad_request("Details.RoutesDetails must have exactly one route.")
        secondary = required(routes[0], "Region", str, path="Details.RoutesDetails.")
        if secondary == region:
            raise bad_request("The secondary region must not be the primary one.")
        if (region, name) in self._by_name:
            raise already_exists(f"Multi-region endpoint <{name}> already exists.")
        endpoint_id = f"{blake2b(f'{region}/{name}'.encode(), digest_size=4).hexdigest()}.g3h"
        self._by_name[region, name] = self._make(name, endpoint_id, [region, secondary])
        return result({"Status": "CREATING", "EndpointId": endpoint_id})

    def _list(self, region: str, _: str, query: Query, __: bytes) -> SandboxReply:
        listed = [one for (primary, _), one in sorted(self._by_name.items()) if primary == region]
        page, more = page_of(listed, key=itemgetter("EndpointName"), request=read_page_request(query, {}))
        return result({"MultiRegionEndpoints": page, **more})

    def _get(self, region: str, name: str, _: Query, __: bytes) -> SandboxReply:
        found = dict(self._find(region, name))
        return result(found | {"Routes": [{"Region": route} for route in found.pop("Regions")]})

    def _delete(self, region: str, name: str, _: Query, __: bytes) -> SandboxReply:
        self._find(region, name)
        del self._by_name[region, name]
        return result({"Status": "DELETING"})

    def _find(self, region: str, name: str) -> dict[str, Any]:
        if (region, name) not in self._by_name:
            raise not_found(f"Multi-region endpoint <{name}> does not exist.")
        return self._by_name[region, name]
