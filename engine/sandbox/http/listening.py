"""What the server needs to listen: requests of any size that SES accepts, and why it cannot listen."""

import asyncio
import errno

from aiohttp import web

from engine.errors import ConfigurationError

MAX_REQUEST_BYTES = 84 * 1024 * 1024  # a 40 MB message, with room for the escapes of its JSON


def make_request(message, payload, protocol, writer, task):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - aiohttp's private types
    """Return a request that may be as large as SES accepts."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_REQUEST_BYTES)


def explain_cannot_listen(problem: OSError, where: str) -> ConfigurationError:
    """Make the error for a port or host that cannot be listened on.

    Args:
        problem: of the system.
        where: host and port.
    """
    if problem.errno == errno.EADDRINUSE:
        return ConfigurationError(
            "the sandbox cannot listen: the port is in use",
            where=where,
            remedy="stop the process that uses it, or set another port (0 selects a free one)",
        )
    return ConfigurationError(
        f"the sandbox cannot listen: {problem.strerror or problem}", where=where, remedy="set another host or port"
    )
