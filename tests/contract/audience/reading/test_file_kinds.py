"""A file that is not a plain table is rejected with the remedy that helps."""

import base64
import gzip
import zipfile
from pathlib import Path

import polars as pl
import pytest
from support.plans import plan, read_file, recipients

from engine.errors import DataError

# What DuckDB 2.0.1 writes: email, name, and a column `wait` INTERVAL or `payload` VARIANT.
INTERVAL = (
    "ABzY8000000t1CnO-sW-5S^r2dq`WV?6M0v<kC<}4UJT+62wXm6?!P*y`;^Gi<^z~BZ|L3@Zb0Y{B2GWvBe%-mSx_~doyo#Cxbhm"
    "0C7pXLre_HqzrI0ssli%^|g2n<7Xwjc@kr?Mh>@F2dspwf!27zh`p7uI+%bgn=NAU@fomcw4Ogjv*~jFDB=)l#A*WD$5^T+6lhO}"
    "vB*FTD<XUe<*L~RYI2(gF4)B41o)4LnAD^rI(91otN$^(b3vi?FQ?G}ZsQE-7;SIb<*xE>UD|W+16IPJ^8>5?#=GiTq0WZL)tB_j"
    "eK&45B>HJk)2+}i1EtI^9>|k=B^GI@rZbf!@$^9|#H^~5MI0*mCZdzn2i6)QdwAodVzHEocG6R?>-kP=ww5Y#`q6pc_j}@^d&~nH"
    "pxE$X08H@5zX7<@Pg?c?000"
)
VARIANT = (
    "ABzY8000000t1CpO-{l<6n-5kprR=9CewsPW2C9Z5Fn^%x=`bSg$rX`nwXJJBC#z*exf(<ATB+FdI}HX34AT6E&e6Vbl!YF)A!Bv"
    "<lwZ1fEI3SBBMzf(*P^2JOIcb*jKmG?|G`y?)n5SVj;%Lh#6uX1OY7+kjIc&Qzt~zK$EnT!=)IOE;7Ox{03-L7g5B3xwQyj8jZ+|"
    "$1M;G?y!CBUS9OuSIU<}!dw}IPV<gehH;e&q_3zTdZs7uysmUHeV#K{BA<|v_0>SSav;N!34J8Jp@J<Y<_C8@<z7TJve1DVNhMgw"
    "%1K^%6*x0WhG#(ua|VJj`5t7P@fJU}vX014W%_M_gZ(dOc^Qlnh5?4Td~Fvs9PL)+4eQJiGjul5K(3$jU)1(TMxUWXP7U6)?lni~"
    "(P2(rWS6M_v(zU+l3#__tryMNW<M%gABuRenw-+V{iJ7q=#$4uF57(1dSH%7g;!xbQctle*%5ytk(K4I3~c*|Zr;(MIZ`+MPB$<|"
    "^-8r;GwsV^$8*i5yVI=I8fv$?Zg?etsRy3P?u7ohcTYhp26h7g00"
)
PEOPLE = "email,name\nann@example.com,Ann\n"


def write_zip(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, PEOPLE)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["people.csv"], r"a ZIP archive \(list\..*\); unpack it, and name a file in it: people\.csv$"),
        (["__MACOSX/._a.csv", "a.csv", "b/"], "name a file in it: a.csv$"),
        ([f"{n}.csv" for n in range(9)], "0.csv, 1.csv, 2.csv, 3.csv, 4.csv, …"),
        (["[Content_Types].xml", "word/document.xml"], "a Word document .*; write it as CSV or Excel"),
        (["Index/Document.iwa", "Data/x"], "a Numbers document .*; export it as Excel or CSV"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "xlsx", "zip"])
def test_a_zip_file_says_what_is_in_it(names: list[str], words: str, suffix: str, tmp_path: Path) -> None:
    write_zip(tmp_path / f"list.{suffix}", *names)
    with pytest.raises(DataError, match=words):
        plan(tmp_path, source=f"list.{suffix}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "<html><body><table><tr><td>email</td></tr></table>",
            "an HTML page, despite its name .*save it as .xlsx or CSV",
        ),
        ("\ufeff\n<table><tr><td>email</td></tr></table>", "an HTML page, despite its name"),
        ("<!DOCTYPE html><title>Sign in</title>", "an HTML page .*may be an error page"),
        ('<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">', "SpreadsheetML"),
        ('<?xml version="1.0"?><people/>', "an XML document"),
        ("%PDF-1.7\n", "a PDF document"),
        ("{\\rtf1 email", "RTF"),
        ("BZh91AY&SY", "compressed with bzip2 .*decompress it"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "xls", "xlsx", "txt"])
def test_file_that_is_not_a_table_is_named_with_the_remedy(text: str, words: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"list.{suffix}").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        plan(tmp_path, source=f"list.{suffix}")


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_text_with_the_name_of_a_workbook_is_read_as_text(delimiter: str, tmp_path: Path) -> None:
    (tmp_path / "list.xls").write_text(PEOPLE.replace(",", delimiter))
    plan(tmp_path, source="list.xls")
    assert recipients(tmp_path)["name"].to_list() == ["Ann"]


def test_a_workbook_with_a_password_says_so(tmp_path: Path) -> None:
    begin = b"\xd0\xcf\x11\xe0" + bytes(2000) + "EncryptedPackage".encode("utf-16-le") + bytes(2000)
    (tmp_path / "list.xlsx").write_bytes(begin)
    with pytest.raises(DataError, match=r"protected by a password .*; remove the password"):
        plan(tmp_path, source="list.xlsx")


NAMES = ["Анна Каренина", "王小明上", "Ünï", "Ann", "日本太郎"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("declared", [None, "utf-16", "utf-8"])
def test_utf_16_without_a_mark_is_recognized_in_any_script(
    encoding: str, name: str, declared: str | None, tmp_path: Path
) -> None:
    text = f"email,{name}\n" + "".join(f"a{n}@x.example,{name * 3}\n" for n in range(5))
    (tmp_path / "list.csv").write_bytes(text.encode(encoding))
    found = plan(tmp_path, encoding=declared)
    assert recipients(tmp_path)[name].to_list() == [name * 3] * 5
    assert found.notes == (f"list.csv: read as {encoding.upper()}, as its bytes suggest",)


def test_a_few_damaged_bytes_do_not_make_utf_16_of_a_declared_encoding(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b'email,name\n\0"\0@example.com,\n' + b"ann@example.com,Ann\n")
    found = plan(tmp_path, encoding="utf-8", lenient=True)
    assert recipients(tmp_path)["address"].to_list() == ["ann@example.com"]
    assert not any("UTF-16" in note for note in found.notes)


def unpack(path: Path, packed: str) -> None:
    path.write_bytes(gzip.decompress(base64.b85decode(packed)))


def test_an_unused_interval_is_not_read_and_named(tmp_path: Path) -> None:
    unpack(tmp_path / "a.parquet", INTERVAL)
    for columns in (frozenset(["name"]), None):
        found = plan(tmp_path, source="a.parquet", columns=columns)
        assert (found.accepted, "wait" in found.columns) == (1, False)
        assert found.notes == (
            "a.parquet: the column wait has the type INTERVAL, which cannot be read; it is not read",
        )


def test_an_interval_that_is_used_is_refused_with_the_remedy(tmp_path: Path) -> None:
    unpack(tmp_path / "a.parquet", INTERVAL)
    with pytest.raises(DataError, match=r"the column wait has the type INTERVAL.*CAST\(wait AS VARCHAR\)"):
        plan(tmp_path, source="a.parquet", columns=frozenset(["wait"]))
    with pytest.raises(DataError, match="the column wait has the type INTERVAL"):
        plan(tmp_path, source="a.parquet", where="wait IS NULL", columns=frozenset())


def test_a_column_of_a_type_that_nobody_reads_yet_is_named_with_the_remedy(tmp_path: Path) -> None:
    unpack(tmp_path / "a.parquet", VARIANT)
    with pytest.raises(DataError, match=r"the type of a column: payload \(VARIANT\) \(a.parquet\); write .*VARCHAR"):
        plan(tmp_path, source="a.parquet", columns=frozenset(["name"]))


def test_damaged_parquet_file_is_not_reported_as_a_newer_format(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["a@x.example"] * 99}).write_parquet(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    for cut in range(1, len(whole) - 4, 7):
        (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2] + b"\0" + whole[len(whole) // 2 + 1 :][:-cut])
        with pytest.raises(DataError, match="the file cannot be read: "):
            read_file(tmp_path / "a.parquet")
