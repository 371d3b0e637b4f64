"""Audiences in S3, over real HTTP: moto's server on loopback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer
from support.plans import plan

from engine.audience.reading.sources import find_sources
from engine.errors import ConfigurationError, DataError, ServiceError
from engine.store.objects import fetch_objects, upload_object


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="lists")
    yield client
    for item in client.list_objects_v2(Bucket="lists").get("Contents", ()):
        client.delete_object(Bucket="lists", Key=item["Key"])
    client.close()


def put(s3: Any, **objects: str) -> None:
    for key, text in objects.items():
        s3.put_object(Bucket="lists", Key=key.replace("__", "/").replace("_csv", ".csv"), Body=text.encode())


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


def names(place: str, downloads: Path) -> list[str]:
    return [source.name for source in find_sources(place, downloads.parent, downloads=downloads)]


def test_an_object_a_pattern_and_a_prefix_are_found(s3: Any, downloads: Path) -> None:
    put(s3, daily__b_csv="email\n", daily__a_csv="email\n", daily___SUCCESS="", other__c_csv="email\n")
    assert names("s3://lists/daily/a.csv", downloads) == ["s3://lists/daily/a.csv"]
    assert names("s3://lists/daily/", downloads) == ["s3://lists/daily/a.csv", "s3://lists/daily/b.csv"]
    assert names("s3://lists/*/[bc].csv", downloads) == ["s3://lists/daily/b.csv", "s3://lists/other/c.csv"]


def test_what_other_programs_leave_beside_objects_is_not_read(s3: Any, downloads: Path) -> None:
    for name in ("a.csv", "~$a.csv", "Thumbs.db", "desktop.ini", ".DS_Store", "old/~$b.csv"):
        s3.put_object(Bucket="lists", Key=f"daily/{name}", Body=b"email\n")
    for place in ("s3://lists/daily/", "s3://lists/daily/*"):
        assert names(place, downloads) == ["s3://lists/daily/a.csv"]


def test_more_objects_than_a_page_lists_are_all_found(
    s3: Any, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(8):
        s3.put_object(Bucket="lists", Key=f"many/{number:04d}.csv", Body=b"email\n")
    assert len(s3.list_objects_v2(Bucket="lists")["Contents"]) == 3
    assert len(names("s3://lists/many/", downloads)) == 8


def test_an_audience_and_its_suppressions_may_be_objects(s3: Any, downloads: Path) -> None:
    put(s3, gone_csv="email\nbob@x.example\n")
    frame = pl.DataFrame({"email": ["ann@x.example", "bob@x.example"]})
    frame.write_parquet(downloads.parent / "list.parquet")
    s3.upload_file(str(downloads.parent / "list.parquet"), "lists", "list.parquet")
    found = plan(
        downloads.parent, source="s3://lists/list.parquet", suppressed=["s3://lists/gone.csv"], downloads=downloads
    )
    assert (found.accepted, found.excluded) == (1, {"suppressed": 1})


def test_a_copy_is_readable_by_its_owner_alone(s3: Any, downloads: Path) -> None:
    put(s3, a_csv="email\n")
    (source,) = find_sources("s3://lists/a.csv", downloads.parent, downloads=downloads)
    assert source.path.stat().st_mode & 0o777 == 0o600
    assert source.version == s3.head_object(Bucket="lists", Key="a.csv")["ETag"]


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        ("s3://lists/none.csv", DataError, "there is no object s3://lists/none.csv"),
        ("s3://lists/none/*.csv", DataError, "there is no object"),
        ("s3://nowhere/a.csv", ConfigurationError, "there is no such bucket"),
        ("s3://lists", DataError, "does not name an object"),
    ],
)
def test_what_is_not_there_is_said(place: str, error: type[Exception], words: str, s3: Any, downloads: Path) -> None:
    assert s3
    with pytest.raises(error, match=words):
        names(place, downloads)


def test_an_object_that_changes_meanwhile_is_refused(s3: Any, downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, a_csv="email\nann@x.example\n")
    from engine.store import objects  # noqa: PLC0415 - to change it between listing and copying

    listed = objects._list

    def list_then_change(client: Any, bucket: str, key: str) -> Any:
        found = list(listed(client, bucket, key))
        put(s3, a_csv="email\n")
        return found

    monkeypatch.setattr(objects, "_list", list_then_change)
    with pytest.raises(DataError, match="the object was changed while it was read"):
        names("s3://lists/a.csv", downloads)


def test_without_credentials_or_server_the_error_says_what_to_check(
    s3: Any, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert s3
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigurationError, match=r"Unable to locate credentials.*check the AWS credentials"):
        names("s3://lists/a.csv", downloads)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ServiceError, match="S3 cannot be reached: Could not connect"):
        names("s3://lists/a.csv", downloads)


@pytest.mark.usefixtures("s3")
def test_an_uploaded_object_is_read_back(downloads: Path) -> None:
    upload_object("s3://lists/mailrun/import.csv", b"a@x.example,BOUNCE\n")
    upload_object("s3://lists/mailrun/import.csv", b"b@x.example,BOUNCE\n")
    (fetched,) = fetch_objects("s3://lists/mailrun/import.csv", downloads)
    assert fetched.path.read_bytes() == b"b@x.example,BOUNCE\n"


@pytest.mark.usefixtures("s3")
def test_an_upload_that_fails_names_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="there is no such bucket") as missing:
        upload_object("s3://nowhere/import.csv", b"x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ServiceError, match="S3 cannot be reached") as away:
        upload_object("s3://nowhere/import.csv", b"x")
    assert missing.value.where == away.value.where == "s3://nowhere/import.csv"
