"""The operations of dedicated IP pools and addresses, by method and path."""

from collections.abc import Callable, Mapping
from operator import itemgetter

from engine.sandbox.dedicated.addresses import DedicatedAddresses
from engine.sandbox.http.replies import SandboxReply, result
from engine.sandbox.ses.paging import page_of, read_page_request
from engine.sandbox.ses.sending import parse_request

Query = dict[str, list[str]]


class PoolOperations:
    """Answers the operations.

    Args:
        addresses: of the account.
    """

    def __init__(self, addresses: DedicatedAddresses) -> None:
        self._addresses = addresses

    def routes(self) -> Mapping[tuple[str, str], Callable[[str, Query, bytes], SandboxReply]]:
        """Return the operations by method and path; `*` in a path is a parameter."""
        pool, address = "/v2/email/dedicated-ip-pools", "/v2/email/dedicated-ips"
        return {
            ("POST", pool): self._create_pool,
            ("GET", pool): self._list_pools,
            ("GET", pool + "/*"): self._get_pool,
            ("DELETE", pool + "/*"): self._delete_pool,
            ("PUT", pool + "/*/scaling"): self._scale_pool,
            ("GET", address): self._list_addresses,
            ("GET", address + "/*"): self._get_address,
            ("PUT", address + "/*/pool"): self._move,
            ("PUT", address + "/*/warmup"): self._warm_up,
            ("PUT", "/v2/email/account/dedicated-ips/warmup"): self._set_auto_warmup,
        }

    def _create_pool(self, _: str, __: Query, body: bytes) -> SandboxReply:
        self._addresses.create_pool(parse_request(body))
        return result({})

    def _list_pools(self, _: str, query: Query, __: bytes) -> SandboxReply:
        page, more = page_of(self._addresses.pools(), key=str, request=read_page_request(query, {}))
        return result({"DedicatedIpPools": page, **more})

    def _get_pool(self, name: str, _: Query, __: bytes) -> SandboxReply:
        return result({"DedicatedIpPool": self._addresses.pool(name)})

    def _delete_pool(self, name: str, _: Query, __: bytes) -> SandboxReply:
        self._addresses.delete_pool(name)
        return result({})

    def _scale_pool(self, name: str, _: Query, body: bytes) -> SandboxReply:
        self._addresses.scale_pool(name, parse_request(body))
        return result({})

    def _list_addresses(self, _: str, query: Query, __: bytes) -> SandboxReply:
        listed = self._addresses.addresses(query.get("PoolName", [None])[0])
        page, more = page_of(listed, key=itemgetter("Ip"), request=read_page_request(query, {}))
        return result({"DedicatedIps": page, **more})

    def _get_address(self, ip: str, _: Query, __: bytes) -> SandboxReply:
        return result({"DedicatedIp": self._addresses.address(ip)})

    def _move(self, ip: str, _: Query, body: bytes) -> SandboxReply:
        self._addresses.move(ip, parse_request(body))
        return result({})

    def _warm_up(self, ip: str, _: Query, body: bytes) -> SandboxReply:
        self._addresses.warm_up(ip, parse_request(body))
        return result({})

    def _set_auto_warmup(self, _: str, __: Query, body: bytes) -> SandboxReply:
        self._addresses.set_auto_warmup(parse_request(body))
        return result({})
