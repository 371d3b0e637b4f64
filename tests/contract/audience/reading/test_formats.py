"""The same content in any format is the same plan."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from backports import zstd
from support.plans import all_excluded, plan, recipients

CONTENT = pl.DataFrame(
    {
        "email": [
            "ann@example.com",
            "ANN@example.com",
            None,
            "nobody",
            "Bob <bob@example.com>",
            "eve@bücher.example",
            "zoe@example.com",
            "max@example.com",
        ],
        "name": ["Ann", "Ann, again", "x", "y", 'Bob "B" Lee', "Ève\nTwo", None, "Max"],
        "points": ["150", "250", "1", "2", "300", "400", "500", "50"],
    }
)


def csv(
    encoding: str = "utf-8", compress: Callable[[bytes], bytes] = bytes, **options: Any
) -> Callable[[Path], object]:
    """Write the content as CSV."""
    return lambda path: path.write_bytes(compress(CONTENT.write_csv(**options).encode(encoding)))


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.csv": csv(),
    "b.csv": csv(separator=";"),
    "c.txt": csv(separator="|", quote_style="always"),
    "d.tsv": csv(separator="\t", line_terminator="\r\n"),
    "e.csv": csv("utf-16"),
    "f.csv": csv("utf-8-sig"),
    "g.csv": csv("windows-1252"),
    "h.csv.gz": csv(compress=gzip.compress),
    "i.csv.zst": csv(compress=zstd.compress),
    "j.parquet": CONTENT.write_parquet,
    "k.parquet": lambda path: CONTENT.write_parquet(path, row_group_size=3),
    "l.parquet": lambda path: CONTENT.cast({"name": pl.Categorical}).write_parquet(path),
    "m.arrow": CONTENT.write_ipc,
    "n.arrow": lambda path: CONTENT.write_ipc(path, compression="zstd"),
    "o.arrows": CONTENT.write_ipc_stream,
    "p.ndjson": CONTENT.write_ndjson,
    "q.jsonl.gz": lambda path: path.write_bytes(gzip.compress(CONTENT.write_ndjson().encode())),
    "r.xlsx": CONTENT.write_excel,
}


def describe(folder: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    kept = recipients(folder).select("row", "address", "key", "name", "points").rows()
    return kept, all_excluded(folder).select(
        "row", "address", "reason", pl.col("detail").str.replace(r" in .*", "")
    ).rows()


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("where", [None, "CAST(points AS INTEGER) > 100"])
def test_the_same_content_in_any_format_is_the_same_plan(name: str, where: str | None, tmp_path: Path) -> None:
    CONTENT.write_csv(tmp_path / "truth.csv")
    options = {"where": where, "required": ["name"], "order_key": "campaign"}
    truth = plan(tmp_path, source="truth.csv", **options)  # type: ignore[arg-type]
    expected = describe(tmp_path)
    WRITERS[name](tmp_path / name)
    found = plan(tmp_path, source=name, **options)  # type: ignore[arg-type]
    assert describe(tmp_path) == expected
    assert (found.rows_read, found.accepted, found.excluded) == (truth.rows_read, truth.accepted, truth.excluded)
    assert {lease.rows for lease in found.leases} == {found.accepted}


def test_a_folder_of_all_formats_is_one_audience(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, write in WRITERS.items():
        write(folder / name)
    found = plan(tmp_path, source="lists", required=["name"])
    copies = len(WRITERS)
    assert found.rows_read == 8 * copies
    assert (found.accepted, found.excluded["duplicate"]) == (4, 6 * copies - 5)
    assert set(recipients(tmp_path)["file"]) == {"lists/a.csv"}
