"""The sample audience: the same bytes every time, no real people, and nearly nine in ten rows mailable."""

import importlib.util
import re
from pathlib import Path

import polars as pl
from support.paths import ROOT
from support.plans import plan

FILES = ("subscribers.csv", "suppressed.csv")
RESERVED = re.compile(r"@(.+\.)?(example\.(com|net|org)|example|test|simulator\.amazonses\.com)$")


def test_the_script_writes_the_same_bytes_every_time(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_sample", ROOT / "audiences" / "make_sample.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write_sample(tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (ROOT / "audiences" / name).read_bytes()


def test_sample_is_mostly_mailable_and_shows_every_usual_reason(tmp_path: Path) -> None:
    found = plan(
        ROOT,
        source="audiences/subscribers.csv",
        defaults={"first_name": "there"},
        suppressed=["audiences/suppressed.csv"],
        topic="newsletter",
        into=tmp_path,
    )
    assert 0.87 < found.accepted / found.rows_read < 0.91
    assert list(found.excluded) == [
        *("malformed_row", "missing_address", "invalid_address", "duplicate", "suppressed"),
    ]
    keys = pl.read_parquet(tmp_path / "recipients-0000.parquet").get_column("key").to_list()
    assert [key for key in keys if not RESERVED.search(key)] == []
    assert sum("@simulator.amazonses.com" in key for key in keys) > 30
    assert sum("@xn--" in key for key in keys) > 0
