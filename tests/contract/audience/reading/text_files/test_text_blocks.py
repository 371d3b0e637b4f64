"""Text in any encoding and compression is read correctly or refused; a guess is reported."""

import gzip
from pathlib import Path

import pytest
from backports import zstd
from support.plans import excluded, plan, read_file, recipients

from engine.audience.reading.text_files.text_encoding import detect_encoding
from engine.errors import DataError

TEXT = "email,name\nann@example.com,Ünï\nbob@example.com,Đặng\n"
WESTERN = "email;name;city\n" + "".join(
    f"user{n}@example.com;{name};{city}\n"
    for n, (name, city) in enumerate(
        [("Jürgen Müller", "Köln"), ("Françoise Lefèvre", "Orléans"), ("José Núñez", "Málaga"), ("Søren Kjær", "Århus")]
        * 8
    )
)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_unicode_is_known_by_its_mark_or_its_bytes(encoding: str, tmp_path: Path) -> None:
    mark = "\ufeff" if encoding.startswith("utf-32-") else ""
    path = tmp_path / "list.csv"
    path.write_bytes((mark + TEXT).encode(encoding))
    assert read_file(path)[1].rows() == [("ann@example.com", "Ünï"), ("bob@example.com", "Đặng")]


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("windows-1252", "Jürgen · Köln €"),
        ("iso-8859-15", "Œuvre €"),
        ("iso-8859-2", "Łukasz Żak"),
        ("windows-1251", "Анна"),
        ("shift_jis", "日本太郎ソ"),
        ("gb18030", "王小明"),
        ("utf-16-be", "Ünï"),
    ],
)
def test_declared_encoding_is_used(encoding: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(f"email,name\nann@example.com,{name}\n".encode(encoding))
    plan(tmp_path, encoding=encoding)
    assert recipients(tmp_path)["name"].to_list() == [name]


@pytest.mark.parametrize("declared", ["utf-8", "windows-1252"])
def test_byte_order_mark_overrides_the_declared_encoding(declared: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(TEXT.encode("utf-16"))
    assert read_file(path, encoding=declared)[1]["name"].to_list() == ["Ünï", "Đặng"]


def test_western_file_is_read_as_windows_1252_and_reported(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(WESTERN.encode("windows-1252"))
    found = plan(tmp_path)
    assert found.accepted == 32
    assert min(recipients(tmp_path)["name"]) == "Françoise Lefèvre"
    assert found.notes[0].startswith("list.csv: read as windows-1252, as its bytes suggest")


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("shift_jis", ["山田太郎", "佐藤花子", "鈴木一郎", "高橋美咲", "東京都新宿区"]),
        ("windows-1251", ["Анна Иванова", "Пётр Сергеев", "Мария Кузнецова", "Нижний Новгород"]),
    ],
)
def test_other_scripts_are_recognized_from_enough_text(encoding: str, names: list[str], tmp_path: Path) -> None:
    rows = "".join(f"u{n}@example.com,{name}\n" for n, name in enumerate(names * 10))
    (tmp_path / "list.csv").write_bytes(("email,name\n" + rows).encode(encoding))
    plan(tmp_path)
    assert set(recipients(tmp_path)["name"]) == set(names)


def test_a_file_that_mixes_encodings_is_refused(tmp_path: Path) -> None:
    lines = ["é".encode()] + ["é".encode("latin-1")] * 3
    (tmp_path / "list.csv").write_bytes(
        b"email,n\n" + b"".join(b"a%d@x.example,%s\n" % pair for pair in enumerate(lines))
    )
    with pytest.raises(DataError, match=r"mixes encodings: 1 of its first 4 lines .*list\.csv.*--lenient"):
        plan(tmp_path)
    assert plan(tmp_path, lenient=True).excluded == {"malformed_row": 3}
    assert [line for line, _, _ in excluded(tmp_path)] == [3, 4, 5]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_leniently_an_encoding_is_guessed_as_strictly(line_end: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(WESTERN.replace("\n", line_end).encode("windows-1252"))
    strictly = plan(tmp_path)
    names = recipients(tmp_path)["name"].to_list()
    assert plan(tmp_path, lenient=True) == strictly
    assert (strictly.accepted, recipients(tmp_path)["name"].to_list()) == (32, names)


def test_lenient_reading_of_an_unknown_encoding_keeps_its_ascii(
    tmp_path: Path,
) -> None:
    (tmp_path / "list.csv").write_bytes(b"email,name\nann@example.com,Ann\nbob@example.com,\xa0\xff\xfd\x80\n")
    with pytest.raises(DataError, match="its encoding cannot be determined"):
        plan(tmp_path)
    found = plan(tmp_path, lenient=True)
    assert (found.accepted, found.excluded) == (1, {"malformed_row": 1})


def test_byte_outside_the_declared_encoding_makes_the_row_malformed(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"email,name\nann@example.com,\x81\nbob@example.com,B\xf6b\n")
    assert plan(tmp_path, encoding="windows-1252").excluded == {"malformed_row": 1}
    assert excluded(tmp_path) == [(2, "malformed_row", "it has a byte that is not a character in the file's encoding")]


def test_utf_8_is_recognized_after_any_amount_of_ascii(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.audience.reading.text_files.text_blocks.BLOCK_BYTES", 64)
    monkeypatch.setattr("engine.audience.reading.text_files.text_encoding.READ_BYTES", 64)
    path = tmp_path / "list.csv"
    for pad in range(64):
        path.write_bytes(b"x" * pad + b"\n" + "é".encode() * 40 + b"\n")
        assert detect_encoding(path, name="list.csv", declared=None, lenient=False).name == "utf-8"


def _compress(data: bytes, suffix: str) -> bytes:
    return gzip.compress(data) if suffix == ".gz" else zstd.compress(data)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("name", ["list.csv{}", "list.csv", "list.tsv{}", "list.ndjson{}"])
def test_compressed_text_is_known_by_its_bytes(suffix: str, name: str, tmp_path: Path) -> None:
    text = {"list.tsv{}": "email\tn\na@x.example\t1\n", "list.ndjson{}": '{"email":"a@x.example","n":1}\n'}
    path = tmp_path / name.format(suffix)
    path.write_bytes(_compress(text.get(name, "email,n\na@x.example,1\n").encode(), suffix))
    assert plan(tmp_path, source=path.name).accepted == 1


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_cut_compressed_file_is_refused_unless_leniently(suffix: str, tmp_path: Path) -> None:
    lines = "".join(f"user{n * 7919 % 100003}@mail{n % 13}.example,{n}\n" for n in range(60_000))
    whole = _compress(("email,n\n" + lines).encode(), suffix)
    (tmp_path / f"list.csv{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="the compressed file is truncated: its end is missing"):
        plan(tmp_path, source=f"list.csv{suffix}")
    assert plan(tmp_path, source=f"list.csv{suffix}", lenient=True).rows_read > 1000


def test_a_damaged_compressed_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(("email\n" + "a@x.example\n" * 9999).encode()))
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "list.csv.gz").write_bytes(data)
    with pytest.raises(DataError, match="the compressed file is"):
        plan(tmp_path, source="list.csv.gz")
