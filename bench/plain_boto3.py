"""A common script without asyncio: boto3 in threads, or one call after the other. No ledger, no plan.

Usage: python -m bench.plain_boto3 WORKSPACE THREADS; SES is found as botocore finds it.
"""

import csv
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config
from jinja2 import Environment, FileSystemLoader, select_autoescape


def send_all(workspace: Path, threads: int) -> int:
    """Send the welcome campaign to every address of the file; returns how many."""
    templates = Environment(
        loader=FileSystemLoader(workspace / "campaigns" / "welcome"), autoescape=select_autoescape(["html", "html.j2"])
    )
    html, text = templates.get_template("body.html.j2"), templates.get_template("body.txt.j2")
    subject = templates.from_string("Welcome, {{ first_name }}")
    config = Config(max_pool_connections=threads, retries={"total_max_attempts": 1, "mode": "standard"})
    client = boto3.client("sesv2", config=config)

    def send(row: dict[str, str]) -> None:
        context = {**row, "recipient": row, "unsubscribe_url": f"https://acme.example/u/{row['email']}"}
        client.send_email(
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

    with (workspace / "audiences" / "bench.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(send, rows):
            pass
    return len(rows)


if __name__ == "__main__":
    print(send_all(Path(sys.argv[1]), int(sys.argv[2])))
