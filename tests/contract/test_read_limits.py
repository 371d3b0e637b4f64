"""Small files that unpack to much: each limit is checked before memory is used, and its error names the setting."""

import gzip
import re
import struct
from contextlib import suppress
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from backports import zstd
from support.paths import DOCS
from support.plans import plan

from engine import read_limits
from engine.audience.reading.binary.arrow_sizes import read_batch_sizes
from engine.audience.reading.binary.parquet_sizes import read_group_sizes
from engine.audience.reading.sources import find_sources
from engine.audience.reading.tables import Reading, open_table, read_batches
from engine.audience.reading.workbooks import zip_directory
from engine.audience.spec import AudienceSpec
from engine.errors import DataError
from engine.feedback.events.files import read_file
from engine.read_limits import ReadLimits
from engine.settings import load_settings

LINE = b"ann@example.com,1,2,3,4\n"


def read(folder: Path, name: str, limits: ReadLimits) -> pl.DataFrame:
    (source,) = find_sources(name, folder, limits=limits)
    table = open_table(source, Reading())
    return pl.concat([batch.load().cells for batch in read_batches([table], list(table.columns), table.columns)])


def refused(folder: Path, name: str, limits: ReadLimits, setting: str) -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder, name, limits)
    assert f"[limits] {setting} in mailrun.toml, or MAILRUN_LIMITS_{setting.upper()}, raises" in caught.value.remedy
    assert name in caught.value.where
    return caught.value


@pytest.fixture
def _low_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_limits, "RATIO_FLOOR", 100_000)


@pytest.mark.usefixtures("_low_floor")
@pytest.mark.parametrize("suffix", ["gz", "zst"])
@pytest.mark.parametrize("rows", [b"email,a,b,c,d\n" + LINE * 20_000, b'{"email":"ann@example.com"}\n' * 20_000])
def test_text_is_counted_while_it_is_unpacked(suffix: str, rows: bytes, tmp_path: Path) -> None:
    name = f"list.{'csv' if rows.startswith(b'email') else 'ndjson'}.{suffix}"
    (tmp_path / name).write_bytes(gzip.compress(rows) if suffix == "gz" else zstd.compress(rows))
    refused(tmp_path, name, ReadLimits(ratio=10), "ratio")
    assert read(tmp_path, name, ReadLimits(ratio=1_000_000)).height == 20_000


def test_what_is_small_unpacks_to_any_multiple(tmp_path: Path) -> None:
    (tmp_path / "list.csv.gz").write_bytes(gzip.compress(b"email,a,b,c,d\n" + LINE * 20_000))
    assert read(tmp_path, "list.csv.gz", ReadLimits(ratio=10)).height == 20_000


def test_the_size_that_a_file_unpacks_to_is_limited_whatever_its_own() -> None:
    limits = ReadLimits(unpacked_gb=2)
    limits.check_unpacked(2_000_000_000, 1_000_000_000, "a")
    with pytest.raises(DataError, match=r"more than 2 GB .*\[limits\] unpacked_gb"):
        limits.check_unpacked(2_000_000_001, 1_000_000_000, "a")


@pytest.mark.parametrize("name", ["list.csv", "list.ndjson", "list.csv.gz"])
def test_a_line_without_an_end_is_not_kept_in_memory(name: str, tmp_path: Path) -> None:
    endless = (b'{"email":"' if "json" in name else b"email\n") + b"x" * 19_000_000
    (tmp_path / name).write_bytes(gzip.compress(endless, 1) if name.endswith("gz") else endless)
    error = refused(tmp_path, name, ReadLimits(line_mb=10), "line_mb")
    assert error.what == "a line or cell is longer than 10 MB"


@pytest.mark.parametrize("name", ["list.csv", "list.ndjson", "list.parquet"])
def test_the_number_of_columns_is_limited(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"email": ["ann@example.com"], **{f"c{number}": [number] for number in range(200)}})
    if name.endswith("csv"):
        frame.write_csv(tmp_path / name)
    elif name.endswith("ndjson"):
        frame.write_ndjson(tmp_path / name)
    else:
        frame.write_parquet(tmp_path / name)
    assert read(tmp_path, name, ReadLimits(columns=201)).width == 201
    refused(tmp_path, name, ReadLimits(columns=200), "columns")


def test_names_of_a_header_are_counted_before_they_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.audience.reading.csv_dialect.read_header", None)
    (tmp_path / "list.csv").write_text("email" + ",a" * 200 + "\n")
    refused(tmp_path, "list.csv", ReadLimits(columns=200), "columns")


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_a_value_that_is_nested_too_deeply_is_a_malformed_row(opening: str, closing: str, tmp_path: Path) -> None:
    deep = [f'{{"email":"ann@example.com","x":{opening * n}1{closing * n}}}' for n in (63, 64, 900)]
    (tmp_path / "list.ndjson").write_text("\n".join(deep) + "\n")
    found = plan(tmp_path, source="list.ndjson", columns=frozenset())
    assert (found.accepted, found.excluded) == (1, {"malformed_row": 2})


def test_names_of_an_object_are_counted_before_types_are_inferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pl, "read_ndjson", None)
    names = ",".join(f'"{number}":1' for number in range(300))
    (tmp_path / "list.ndjson").write_text(f"{{{names}}}\n")
    refused(tmp_path, "list.ndjson", ReadLimits(columns=200), "columns")


ROWS = 2_500_000


def constants() -> pl.DataFrame:
    """Columns of equal values, which take next to nothing in a file, and 100 MB or more in memory."""
    frame = pl.DataFrame({"email": ["ann@example.com"], **{f"c{number}": [number] for number in range(4)}})
    return frame.select(pl.all().repeat_by(ROWS).explode())


@pytest.mark.parametrize("name", ["list.parquet", "list.arrows"])
def test_what_is_decoded_at_once_is_limited(name: str, tmp_path: Path) -> None:
    if name.endswith("parquet"):
        constants().write_parquet(tmp_path / name, row_group_size=ROWS)
    else:
        constants().write_ipc_stream(tmp_path / name, compression="zstd")
    assert (tmp_path / name).stat().st_size < 2_000_000
    refused(tmp_path, name, ReadLimits(batch_mb=100), "batch_mb")


@pytest.mark.usefixtures("_low_floor")
@pytest.mark.parametrize("name", ["list.parquet", "list.arrow", "list.arrows"])
def test_ratio_of_binary_files_is_checked_by_their_metadata(name: str, tmp_path: Path) -> None:
    frame = constants().head(50_000)
    if name.endswith("parquet"):
        frame.write_parquet(tmp_path / name)
    elif name.endswith("arrow"):
        frame.write_ipc(tmp_path / name, compression="zstd")
    else:
        frame.write_ipc_stream(tmp_path / name, compression="lz4")
    refused(tmp_path, name, ReadLimits(ratio=10), "ratio")
    assert read(tmp_path, name, ReadLimits(ratio=1_000_000)).height == 50_000


def test_one_text_that_many_cells_refer_to_is_seen(tmp_path: Path) -> None:
    """A long text in a dictionary takes space once in the file, and once for each row in memory."""
    long = pl.DataFrame({"email": ["ann@example.com"] * 50, "text": ["x" * 12_000_000] * 50})
    long.write_parquet(tmp_path / "list.parquet")
    refused(tmp_path, "list.parquet", ReadLimits(line_mb=10), "line_mb")
    refused(tmp_path, "list.parquet", ReadLimits(batch_mb=100), "batch_mb")
    within = long.select("email", texts=pl.concat_list("text"))
    within.write_parquet(tmp_path / "list.parquet")
    refused(tmp_path, "list.parquet", ReadLimits(line_mb=10), "line_mb")


def test_wrong_page_sizes_in_a_parquet_footer_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pl.select(n=pl.int_range(500_000)).write_parquet(path, use_pyarrow=False, statistics=False)
    (true,) = {group.unpacked for group in read_group_sizes(path)}
    content = path.read_bytes()
    changed = content.replace(varint(true), varint(true // 2))  # of the same length, so that all offsets stay
    assert changed != content
    assert len(changed) == len(content)
    path.write_bytes(changed)
    (believed,) = {group.unpacked for group in read_group_sizes(path)}
    assert believed >= 0.99 * true


def varint(number: int) -> bytes:
    """A number as Thrift's compact protocol writes it."""
    number *= 2
    written = []
    while number >= 128:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_arrow_says_what_it_unpacks_to(compression: Literal["uncompressed", "lz4", "zstd"], tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": range(10_000), "t": pl.Series(["a", "b"] * 5_000, dtype=pl.Categorical)})
    frame.write_ipc(tmp_path / "a", compression=compression)
    frame.write_ipc_stream(tmp_path / "b", compression=compression)
    for name in ("a", "b"):
        assert sum(batch.unpacked for batch in read_batch_sizes(tmp_path / name)) >= 8 * 10_000


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows"])
def test_damaged_binary_files_are_refused_in_time(suffix: str, tmp_path: Path) -> None:
    """With any byte changed, reading the sizes ends, and raises only errors that are translated."""
    path = tmp_path / f"list.{suffix}"
    frame = pl.DataFrame({"email": [f"u{n}@example.com" for n in range(50)], "n": range(50)})
    if suffix == "parquet":
        frame.write_parquet(path)
    elif suffix == "arrow":
        frame.write_ipc(path)
    else:
        frame.write_ipc_stream(path)
    content = path.read_bytes()
    sizes = read_group_sizes if suffix == "parquet" else read_batch_sizes
    for place in range(8, len(content), max(len(content) // 150, 1)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with suppress(OSError, ValueError, LookupError, RecursionError, TypeError, struct.error):
            list(sizes(path))


def test_a_directory_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile  # noqa: PLC0415 - for this test alone

    with zipfile.ZipFile(tmp_path / "list.xlsx", "w") as file:
        for number in range(100):
            file.writestr(f"xl/{number}.xml", "")
    monkeypatch.setattr(zip_directory, "_DIRECTORY_BYTES", 1_000)
    with pytest.raises(DataError, match="its directory is too large"):
        read(tmp_path, "list.xlsx", ReadLimits())


@pytest.mark.usefixtures("_low_floor")
def test_event_files_are_counted_too(tmp_path: Path) -> None:
    (tmp_path / "events.gz").write_bytes(gzip.compress(b" {} \n" * 200_000))
    with pytest.raises(DataError, match=r"\[limits\] ratio"):
        list(read_file(tmp_path / "events.gz", "events.gz", lambda _: None, ReadLimits(ratio=10)))


def test_limits_in_a_campaign_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="limits"):
        AudienceSpec.model_validate({"source": "a.csv", "limits": {"cells": 10**11}})
    (tmp_path / "mailrun.toml").write_text("[limits]\ncells = 2_000\nratio = 20\n")
    monkeypatch.setenv("MAILRUN_LIMITS_RATIO", "30")
    limits = load_settings(tmp_path).limits
    assert (limits.cells, limits.ratio, limits.columns) == (2_000, 30, 16_384)


def test_the_limits_are_those_of_docs() -> None:
    text = (DOCS / "reference" / "audience-files.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| ([0-9,]+) \|", text, re.MULTILINE))
    fields = ReadLimits().model_dump()
    assert {key: int(told[key].replace(",", "")) for key in fields} == fields


def test_a_suppression_list_has_the_same_limits(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\nann@example.com\n")
    (tmp_path / "gone.csv").write_bytes(b"email\n" + b"x" * 60_000_000)
    with pytest.raises(DataError, match=r"gone.csv.*\[limits\] line_mb"):
        plan(tmp_path, suppressed=["gone.csv"])
