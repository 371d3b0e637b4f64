"""What the scripts in Python share: the recipients, and the message as the parameters of SendEmail.

The message is the one that mailrun sends for the welcome campaign: the same parts, headers and tags.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape

Row = dict[str, Any]


def read_recipients(workspace: Path, count: int) -> list[Row]:
    """Read the first recipients of the plan."""
    with (workspace / "recipients.ndjson").open(encoding="utf-8") as file:
        return [json.loads(line) for line in islice(file, count)]


def make_renderer(workspace: Path) -> Callable[[Row], dict[str, Any]]:
    """Compile the templates; return a function that makes the parameters of SendEmail for a recipient."""
    environment = Environment(
        loader=FileSystemLoader(workspace / "campaigns" / "welcome"),
        autoescape=select_autoescape(["html", "html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html, text = environment.get_template("body.html.j2"), environment.get_template("body.txt.j2")
    subject = environment.from_string("Welcome, {{ first_name }}")

    def make_parameters(row: Row) -> dict[str, Any]:
        link = f"https://acme.example/u/{make_token(row['address'])}"
        context = {**row, "recipient": row, "unsubscribe_url": link}
        return {
            "FromEmailAddress": "Acme News <news@acme.example>",
            "ReplyToAddresses": ["hello@acme.example"],
            "Destination": {"ToAddresses": [row["address"]]},
            "EmailTags": [
                {"Name": "mailrun-campaign", "Value": "welcome"},
                {"Name": "mailrun-key", "Value": "bench"},
                {"Name": "mailrun-row", "Value": str(row["row"])},
            ],
            "Content": {
                "Simple": {
                    "Subject": {"Data": subject.render(context), "Charset": "UTF-8"},
                    "Body": {
                        "Html": {"Data": html.render(context), "Charset": "UTF-8"},
                        "Text": {"Data": text.render(context), "Charset": "UTF-8"},
                    },
                    "Headers": [
                        {"Name": "List-Unsubscribe", "Value": f"<mailto:unsubscribe@acme.example>, <{link}>"},
                        {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
                        {"Name": "List-Id", "Value": "<newsletter.acme.example>"},
                    ],
                }
            },
        }

    return make_parameters


def make_token(address: str) -> str:
    """Sign an address, as an unsubscribe link needs."""
    subject = f"{address}\0newsletter".encode()
    return f"{_encode(subject)}.{_encode(hmac.digest(b'a key for measurements only', subject, hashlib.sha256)[:16])}"


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
