"""The file for node_exporter: whole at every moment, and no job overwrites what another one knows."""

import os
from collections.abc import Mapping
from pathlib import Path
from threading import Thread

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.errors import ConfigurationError
from engine.metrics import catalogue
from engine.metrics.samples import Sample
from engine.metrics.textfile import write_metrics


def make_samples(value: float = 1.0, campaigns: tuple[str, ...] = ("a", "b")) -> list[Sample]:
    runs = [Sample(catalogue.LAST_SUCCESS, (name, "false"), value) for name in campaigns]
    return [Sample(catalogue.LEDGER_UP, (), 1), *runs]


def read(path: Path) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read a file with the parser that node_exporter's format has in Python."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            labels: Mapping[str, str] = sample.labels
            found[sample.name, frozenset(labels.items())] = sample.value
    return found


def test_reader_never_sees_a_part_of_the_file(tmp_path: Path):
    path = tmp_path / "mailrun.prom"
    many = tuple(f"campaign{n}" for n in range(100))
    write_metrics(path, make_samples(0.0, many), campaign="a")

    def write() -> None:
        for number in range(60):
            write_metrics(path, make_samples(number, many), campaign="a")

    writing = Thread(target=write)
    writing.start()
    while writing.is_alive():
        seen = read(path)
        assert len(seen) == 101
        assert len(set(seen.values()) - {1.0}) <= 1
    writing.join()


def test_one_file_has_all_campaigns_whichever_writes_it(tmp_path: Path):
    path = tmp_path / "mailrun.prom"
    write_metrics(path, make_samples(5.0), campaign="a")
    write_metrics(path, make_samples(6.0), campaign="b")
    assert {dict(labels).get("campaign") for _, labels in read(path)} == {None, "a", "b"}


def test_files_of_a_folder_share_no_sample(tmp_path: Path):
    write_metrics(tmp_path, make_samples(5.0), campaign="a")
    write_metrics(tmp_path, make_samples(6.0), campaign="b")
    files = {path.name: read(path) for path in tmp_path.iterdir()}
    assert sorted(files) == ["mailrun-a.prom", "mailrun-b.prom", "mailrun.prom"]
    names = [key for file in files.values() for key in file]
    assert len(names) == len(set(names))
    assert list(files["mailrun-a.prom"].values()) == [5.0]


def test_command_without_a_campaign_writes_the_files_of_all(tmp_path: Path):
    write_metrics(tmp_path, make_samples(), campaign="")
    assert len(list(tmp_path.iterdir())) == 3


def test_failed_write_keeps_the_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "mailrun.prom"
    write_metrics(path, make_samples(5.0), campaign="a")
    before = path.read_bytes()

    def fail(_file: int, _mode: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", fail)
    with pytest.raises(ConfigurationError, match="No space left"):
        write_metrics(path, make_samples(6.0), campaign="a")
    assert (path.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (before, ["mailrun.prom"])


def test_folder_that_is_missing_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError) as error:
        write_metrics(tmp_path / "no" / "mailrun.prom", make_samples(), campaign="a")
    assert str(tmp_path / "no" / "mailrun.prom") in str(error.value.where)


def test_file_can_be_read_by_other_users(tmp_path: Path):
    path = tmp_path / "mailrun.prom"
    write_metrics(path, make_samples(), campaign="a")
    assert path.stat().st_mode & 0o777 == 0o644


def test_pipe_and_names_that_cannot_be_are_named_and_left(tmp_path: Path):
    pipe, circle = tmp_path / "pipe", tmp_path / "circle"
    os.mkfifo(pipe)
    circle.symlink_to(circle)
    for place in (pipe, circle, tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            write_metrics(place, make_samples(), campaign="a")
    assert pipe.is_fifo()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["circle", "pipe"]


def test_link_to_the_file_stays_a_link(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "mailrun.prom"
    link.symlink_to("folder/real.prom")
    write_metrics(link, make_samples(), campaign="a")
    assert link.is_symlink()
    assert read(tmp_path / "folder" / "real.prom")
