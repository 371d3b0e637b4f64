"""The report in a bucket, and as a file of this machine."""

import os
import stat
from pathlib import Path

import pytest
from support import s3
from support.report_figures import make_figures

from engine.errors import ConfigurationError
from engine.report.run_report.report_file import save_report, write_report
from engine.report.run_report.report_place import remove_report
from engine.store.s3 import S3Store

KEY = "runs/welcome/2026-12-01/report/report.html"


def test_report_is_written_into_a_bucket_and_replaced(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in s3.environment(moto).items():
        monkeypatch.setenv(name, value)
    store = S3Store(f"s3://{s3.BUCKET}/{tmp_path.name}", tmp_path / "local")
    assert write_report(store, make_figures()) == f"s3://{s3.BUCKET}/{tmp_path.name}/{KEY}"
    assert b"Did everybody get it?" in (store.read(KEY) or b"")
    write_report(store, make_figures(subject="Once more"))
    assert b"Once more" in (store.read(KEY) or b"")
    remove_report(store, "welcome/2026-12-01")
    assert store.read(KEY) is None
    remove_report(store, "welcome/2026-12-01")


def test_saved_report_is_private_and_replaces_an_earlier_one(tmp_path: Path):
    path = tmp_path / "report.html"
    path.write_text("earlier")
    path.chmod(0o644)
    assert save_report(path, make_figures()) == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_saved_report_names_the_option_where_it_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="the report cannot be written there"):
        save_report(tmp_path / "file" / "report.html", make_figures())


def test_device_or_pipe_is_never_replaced_and_a_link_stays(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link.html"
    os.mkfifo(pipe)
    link.symlink_to("real.html")
    for place in (pipe, tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            save_report(place, make_figures())
    assert pipe.is_fifo()
    assert save_report(link, make_figures()) == str(tmp_path / "real.html")
    assert link.is_symlink()
