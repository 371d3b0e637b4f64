"""Looks up host names in daemon threads: a name server that does not answer never delays the end of the process."""

import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from engine.stopping.abandonable import run_in_daemon_thread


class DaemonResolver(AbstractResolver):
    """The system's resolver, in threads that may be abandoned."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look up a name; raises OSError where it has no address."""
        found = await run_in_daemon_thread(
            lambda: socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM), name="notification lookup"
        )
        return [self._describe(host, port, *each) for each in found]

    @staticmethod
    def _describe(host: str, port: int, family: int, _kind: int, proto: int, _name: str, address: Any) -> ResolveResult:
        return ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=family,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )

    async def close(self) -> None:
        """Do nothing."""
