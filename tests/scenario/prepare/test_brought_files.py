"""Files from spreadsheets and other programs are mailed to the addresses, and with the values, that they show."""

import polars as pl
import xlsxwriter
from support.invariants import check_invariants
from support.world import CAMPAIGN, World

SUBJECT = "{% if vip %}Dear VIP{% else %}Dear reader{% endif %} {{ zip }}"
MINE = CAMPAIGN.replace("Hello {{ first_name }}", SUBJECT)


def subjects(world: World) -> dict[str, str]:
    return {message["to"][0]: message["subject"] for message in world.accepted()}


def test_a_workbook_is_mailed_as_its_program_shows_it(world: World) -> None:
    with xlsxwriter.Workbook(world.folder / "audiences" / "people.xlsx") as book:
        lists = book.add_worksheet("Lists")
        lists.write_column(0, 0, ["email", "lookup@example.com"])
        lists.hide()
        sheet = book.add_worksheet("Contacts")
        sheet.activate()
        sheet.write_row(0, 0, ["email\u200b", "zip", "vip"])
        zip_code = book.add_format({"num_format": "00000"})
        for row, (address, number, vip) in enumerate(
            [("ann@example.com", 1234, True), ("filtered@example.com", 2, True), ("bob@example.com", 98765, False)], 1
        ):
            sheet.write(row, 0, address)
            sheet.write(row, 1, number, zip_code)
            sheet.write(row, 2, vip)
        sheet.set_row(2, None, None, {"hidden": True})
    (world.folder / "audiences" / "~$people.xlsx").write_bytes(b"\x03Ann")
    world.write(
        "campaigns/hello/campaign.toml",
        MINE.replace("people.csv", "*.xlsx"),
    )
    world.write("campaigns/hello/body.txt.j2", "Hi\n")
    launched = world.launch("--yes")
    assert launched.code == 0, launched.stderr
    assert check_invariants(world)
    assert subjects(world) == {"ann@example.com": "Dear VIP 01234", "bob@example.com": "Dear reader 98765"}


def test_opted_out_addresses_are_not_mailed_with_any_line_end(world: World) -> None:
    people = [f"user{n}@example.com" for n in range(6)]
    rows = [f"{address},{n},FALSE" for n, address in enumerate(people)]
    (world.folder / "audiences" / "people.csv").write_bytes(
        ("email,zip,vip\r" + "\r".join(rows[:3]) + "\r\n" + "\n".join(rows[3:])).encode()
    )
    (world.folder / "gone.csv").write_bytes(f"email\r{people[0]}\r{people[4]}\n".encode())
    toml = MINE + '\n[suppression]\nfiles = ["gone.csv"]\n'
    world.write("campaigns/hello/campaign.toml", toml)
    world.write("campaigns/hello/body.txt.j2", "Hi\n")
    (world.folder / "more.csv").write_bytes(f'email,name\r{people[1]},"a\rb"\r\n'.encode())
    assert world.run("suppress", "import", "more.csv").code == 0
    launched = world.launch("--yes")
    assert launched.code == 0, launched.stderr
    assert check_invariants(world)
    assert subjects(world) == {people[n]: f"Dear reader {n}" for n in (2, 3, 5)}


def test_a_missing_number_is_never_printed(world: World) -> None:
    nan = float("nan")
    frame = pl.DataFrame(
        {"email": [f"{name}@example.com" for name in "abc"], "zip": [1200.0, nan, None], "vip": [True, False, None]}
    )
    frame.write_parquet(world.folder / "audiences" / "people.parquet")
    toml = MINE.replace("people.csv", "people.parquet")
    world.write(
        "campaigns/hello/campaign.toml", toml.replace("[content]", "[audience.defaults]\nzip = 0.5\n\n[content]")
    )
    world.write("campaigns/hello/body.txt.j2", "Hi\n")
    launched = world.launch("--yes")
    assert launched.code == 0, launched.stderr
    assert check_invariants(world)
    found = subjects(world)
    assert (found["b@example.com"], found["c@example.com"]) == ("Dear reader 0.5", "Dear reader 0.5")
    assert found["a@example.com"].startswith("Dear VIP 1")
