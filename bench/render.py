"""Render and compose: microseconds a message on one core, and raw MIME against the standard library's builder."""

import time
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial
from pathlib import Path
from typing import Any

from engine.campaign.content.templates import compile_content
from engine.campaign.message import Envelope, Message, prepare_envelope
from engine.campaign.mime import Composer
from engine.campaign.render import Renderer
from engine.campaign.spec import load_campaign
from engine.campaign.unsubscribe_tokens import TokenSigner

MESSAGES = 5_000
ROUNDS = 7
CAMPAIGNS = Path(__file__).parent.parent / "campaigns"


def make_rows() -> list[dict[str, Any]]:
    """Rows as a plan holds them: strings, some null."""
    return [
        {
            "email": f"reader{number}@example.com",
            "first_name": f"Reader {number}",
            "city": "Đà Nẵng" if number % 3 else None,
            "plan": ("free", "pro", "business")[number % 3],
            "points": str(number) if number % 2 else None,
            "signed_up": "2026-10-03",
            "locale": ("en-GB", "vi-VN", "ar-EG", "de-DE")[number % 4],
        }
        for number in range(MESSAGES)
    ]


def measure(work: Callable[[], object], times: int, rounds: int = ROUNDS) -> float:
    """Return the microseconds of one call in the best round."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best / times * 1e6


def build_by_library(message: Message, envelope: Envelope) -> bytes:
    """Build the same message as plain Python code does."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = envelope.sender, message.address, message.subject
    mail["Reply-To"] = ", ".join(envelope.reply_to)
    for name, value in message.headers:
        mail[name] = value
    mail.set_content(message.text or "")
    mail.add_alternative(message.html or "", subtype="html")
    return mail.as_bytes()


def compose(composer: Composer, messages: list[Message]) -> list[bytes]:
    return [composer.compose(message) for message in messages]


def build_all(messages: list[Message], envelope: Envelope) -> list[bytes]:
    return [build_by_library(message, envelope) for message in messages]


def main() -> None:
    rows = make_rows()
    for name in ("welcome", "service-notice", "monthly-letter"):
        campaign = load_campaign(CAMPAIGNS / name)
        signer = TokenSigner([b"a key for measurements only"])
        renderer = Renderer(compile_content(campaign), campaign, run_key="bench", signer=signer)
        envelope = prepare_envelope(campaign)
        composer = Composer(envelope)

        def render(renderer: Renderer = renderer) -> list[Message]:
            return [renderer.render(row, number, row["email"]) for number, row in enumerate(rows)]

        messages = render()
        rendered = measure(render, len(rows))
        composed = measure(partial(compose, composer, messages), len(rows))
        library = measure(partial(build_all, messages[:500], envelope), 500, rounds=3)
        size = sum(len(message.html or "") for message in messages) / len(messages)
        print(f"{name}: render {rendered:.1f} µs a message (at most 60), {size:,.0f} characters of HTML")
        print(f"{name}: raw MIME {composed:.1f} µs more; email.message.EmailMessage {library:.0f} µs", end=": ")
        print(f"{library / composed:.0f} times as fast (at least 10)")


if __name__ == "__main__":
    main()
