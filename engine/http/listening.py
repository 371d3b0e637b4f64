"""Listens at an address, or says why it cannot."""

import errno

from aiohttp import web

from engine.errors import ConfigurationError


async def listen(runner: web.ServerRunner, host: str, port: int, *, server: str, remedy: str) -> str:
    """Listen; return the URL.

    Args:
        runner: of the server; set up.
        host: name or address.
        port: 0 chooses a free one.
        server: what listens, for the error.
        remedy: what to do where it cannot.

    Raises:
        ConfigurationError: it cannot listen there.
    """
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as problem:
        in_use = problem.errno == errno.EADDRINUSE
        raise ConfigurationError(
            f"{server} cannot listen: {'the port is in use' if in_use else problem.strerror or problem}",
            where=f"{host}:{port}",
            remedy=remedy,
        ) from problem
    bound = runner.addresses[0][1]
    return f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
