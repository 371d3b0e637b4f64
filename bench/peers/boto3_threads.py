"""A common script without asyncio: boto3 in threads. No plan, no ledger.

Usage: python -m bench.peers.boto3_threads WORKSPACE MESSAGES THREADS; SES is found as botocore finds it.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config

from bench.peers.common import Row, make_renderer, read_recipients


def send_all(workspace: Path, messages: int, threads: int) -> None:
    make_parameters = make_renderer(workspace)
    config = Config(max_pool_connections=threads, retries={"total_max_attempts": 1, "mode": "standard"})
    client = boto3.client("sesv2", config=config)

    def send(row: Row) -> None:
        client.send_email(**make_parameters(row))

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(send, read_recipients(workspace, messages)):
            pass


if __name__ == "__main__":
    send_all(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
