"""Workspaces to measure delivery with: a sample campaign, and an audience as people have them."""

import csv
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench import ROOT

_SAMPLE = ROOT / "audiences" / "subscribers.csv"
_HOSTS = ("gmail.com", "Yahoo.com", "outlook.com", "mail.example")
# A fifth of them international.
_DOMAINS = tuple(f"Bäckerei-{n}.example" if n % 5 == 3 else f"shop{n}.example" for n in range(300))


def make_workspace(folder: Path, *, bulk: bool = False, campaign: str = "welcome") -> Path:
    """Make a workspace with a sample campaign; its audience is written by write_audience."""
    workspace = folder / "workspace"
    for name in (campaign, "_shared"):
        shutil.copytree(ROOT / "campaigns" / name, workspace / "campaigns" / name)
    (workspace / "audiences").mkdir()
    toml = workspace / "campaigns" / campaign / "campaign.toml"
    text = toml.read_text(encoding="utf-8").replace("audiences/subscribers.csv", "audiences/bench.csv")
    toml.write_text(text + ('\n[delivery]\ncall = "bulk"\n' if bulk else ""), encoding="utf-8")
    return workspace


def write_audience(workspace: Path, accepted: int) -> None:
    """Write an audience of which a plan accepts so many rows, and the addresses to suppress.

    Names, cities and the other columns are those of the sample's people, in many alphabets, with nulls; `points` differ
    from row to row. Addresses have capitals, display names, blanks around them and international domains (one in ten).
    Further rows repeat an address in capitals (one for ten people), are suppressed (one for 20) or invalid.
    """
    people, draw = read_people(), random.Random(14)  # noqa: S311 - the same audience each time
    with (
        (workspace / "audiences" / "bench.csv").open("w", encoding="utf-8", newline="") as file,
        (workspace / "audiences" / "suppressed.csv").open("w", encoding="utf-8") as suppressed,
    ):
        rows = csv.writer(file)
        rows.writerow(["email", *people[0]])
        suppressed.write("email,reason,topic\n")
        for number in range(accepted):
            points = str(number * 7919 % 1000) if number % 7 else ""
            values = list((people[number % len(people)] | {"points": points}).values())
            rows.writerow([_write_mailbox(number, values), *values])
            chance = draw.random()
            if chance < 0.10:
                rows.writerow([_make_address(draw.randrange(number + 1)).upper(), *values])
            elif chance < 0.15:
                rows.writerow([f"Gone.{_make_address(number)}", *values])
                suppressed.write(f"gone.{_make_address(number)},unsubscribed,\n")
            elif chance < 0.16:
                rows.writerow([f"User..{number}@shop.example", *values])


def read_people() -> list[dict[str, str]]:
    """Return the sample's people without their addresses."""
    with _SAMPLE.open(encoding="utf-8", newline="") as file:
        people = [row for row in csv.DictReader(file) if None not in row and None not in row.values()]
    return [{name: value for name, value in row.items() if name != "email"} for row in people]


def _make_address(number: int) -> str:
    domains = _HOSTS if number % 2 else _DOMAINS
    return f"User.{number}@{domains[number // 2 % len(domains)]}"


def _write_mailbox(number: int, values: Sequence[str]) -> str:
    address = _make_address(number)
    match number % 10:
        case 0:
            return f'"{values[1]}, {values[0]}" <{address}>'
        case 1:
            return f" {address} "
        case 2 | 3 | 4:
            return address.lower()
        case _:
            return address
