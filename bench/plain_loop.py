"""A common script: read the file, render, send with aiobotocore, a semaphore and gather. No ledger, no plan.

Usage: python -m bench.plain_loop WORKSPACE CONCURRENCY; SES is found as botocore finds it.
"""

import asyncio
import csv
import sys
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from jinja2 import Environment, FileSystemLoader, select_autoescape


async def send_all(workspace: Path, concurrency: int) -> int:
    """Send the welcome campaign to every address of the file; returns how many."""
    templates = Environment(
        loader=FileSystemLoader(workspace / "campaigns" / "welcome"), autoescape=select_autoescape(["html", "html.j2"])
    )
    html, text = templates.get_template("body.html.j2"), templates.get_template("body.txt.j2")
    subject = templates.from_string("Welcome, {{ first_name }}")
    with (workspace / "audiences" / "bench.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    slots = asyncio.Semaphore(concurrency)
    config = AioConfig(max_pool_connections=concurrency, retries={"total_max_attempts": 1, "mode": "standard"})

    async def send(client: Any, row: dict[str, str]) -> None:
        async with slots:
            context = {**row, "recipient": row, "unsubscribe_url": f"https://acme.example/u/{row['email']}"}
            await client.send_email(
                FromEmailAddress="Acme News <news@acme.example>",
                Destination={"ToAddresses": [row["email"]]},
                Content={
                    "Simple": {
                        "Subject": {"Data": subject.render(context), "Charset": "UTF-8"},
                        "Body": {
                            "Html": {"Data": html.render(context), "Charset": "UTF-8"},
                            "Text": {"Data": text.render(context), "Charset": "UTF-8"},
                        },
                    }
                },
            )

    async with get_session().create_client("sesv2", config=config) as client:
        await asyncio.gather(*(send(client, row) for row in rows))
    return len(rows)


if __name__ == "__main__":
    print(asyncio.run(send_all(Path(sys.argv[1]), int(sys.argv[2]))))
