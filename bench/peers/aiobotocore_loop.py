"""A common script: render and send with aiobotocore, a semaphore and gather. No plan, no ledger.

Usage: python -m bench.peers.aiobotocore_loop WORKSPACE MESSAGES CONCURRENCY; SES is found as botocore finds it.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from bench.peers.common import Row, make_renderer, read_recipients


async def send_all(workspace: Path, messages: int, concurrency: int) -> None:
    make_parameters = make_renderer(workspace)
    slots = asyncio.Semaphore(concurrency)
    config = AioConfig(max_pool_connections=concurrency, retries={"total_max_attempts": 1, "mode": "standard"})

    async def send(client: Any, row: Row) -> None:
        async with slots:
            await client.send_email(**make_parameters(row))

    async with get_session().create_client("sesv2", config=config) as client:
        await asyncio.gather(*(send(client, row) for row in read_recipients(workspace, messages)))


if __name__ == "__main__":
    asyncio.run(send_all(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
