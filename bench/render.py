"""Microseconds to render one message: subject, some 3 KB of HTML and a text part, on one core.

Run from the project's folder: python bench/render.py
"""

import time
from pathlib import Path
from typing import Any

from engine.campaign.html_text import derive_text
from engine.campaign.render import Renderer
from engine.campaign.spec import load_campaign
from engine.campaign.templates import compile_content
from engine.campaign.unsubscribe import TokenSigner

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
        }
        for number in range(MESSAGES)
    ]


def measure(renderer: Renderer, rows: list[dict[str, Any]]) -> float:
    """Return the microseconds a message of the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for number, row in enumerate(rows):
            renderer.render(row, number, row["email"])
        best = min(best, time.perf_counter() - begin)
    return best / len(rows) * 1e6


def main() -> None:
    rows = make_rows()
    for name in ("welcome", "service-notice"):
        campaign = load_campaign(CAMPAIGNS / name)
        signer = TokenSigner([b"a key for measurements only"])
        renderer = Renderer(compile_content(campaign), campaign, run_key="bench", signer=signer)
        html = renderer.render(rows[1], 1, "reader@example.com").html or ""
        print(f"{name}: {measure(renderer, rows):.1f} µs a message, {len(html)} characters of HTML")
        begin = time.perf_counter()
        for _ in range(500):
            derive_text(html)
        derived = (time.perf_counter() - begin) / 500 * 1e6
        print(f"{name}: {derived:.0f} µs more where the text is derived from the HTML")


if __name__ == "__main__":
    main()
