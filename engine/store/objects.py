"""S3 objects outside the store: read as files of an audience, written for import jobs of SES."""

import fnmatch
import glob
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.errors import DataError, ServiceError
from engine.locations import REMOTE
from engine.store.s3_client import ConditionFailedError, ObjectMissingError, open_s3, translate_s3_errors
from engine.store.stray_files import is_leftover


class FetchedObject(Struct, frozen=True):
    """A copy of an object.

    Attributes:
        path: where the copy is.
        name: the object's address, s3://BUCKET/KEY.
        size_bytes: its size.
        mtime_ns: when it was last changed, in nanoseconds since 1970.
        version: its ETag.
    """

    path: Path
    name: str
    size_bytes: int
    mtime_ns: int
    version: str


def fetch_objects(place: str, downloads: Path) -> Iterator[FetchedObject]:
    """Copy an object, those that match a pattern, or those below a prefix that ends with a slash; sorted by key.

    The copy has the listed version: an object that is replaced meanwhile raises DataError.

    Args:
        place: s3://BUCKET/KEY.
        downloads: an existing folder.

    Raises:
        DataError: there is no such object, or it was changed meanwhile.
        ConfigurationError: the bucket does not exist, or reading it is not permitted.
        ServiceError: S3 cannot be reached.
    """
    bucket, _, key = place.removeprefix(REMOTE).partition("/")
    if not bucket or not key:
        raise DataError(f"{place} does not name an object", where="[audience] source", remedy="give s3://BUCKET/KEY")
    try:
        with (
            closing(open_s3()) as client,
            translate_s3_errors(place, needs="s3:ListBucket and s3:GetObject", unreachable=ServiceError),
        ):
            found = sorted(_list(client, bucket, key), key=lambda item: str(item["Key"]))
            if not found:
                raise DataError(f"there is no object {place}", where=f"s3://{bucket}", remedy="check bucket and key")
            for item in found:
                yield _copy(client, bucket, item, downloads)
    except ConditionFailedError as error:
        what, remedy = (
            "the object was changed while it was read",
            "run the same command again when the object is complete",
        )
        raise DataError(what, where=place, remedy=remedy) from error
    except ObjectMissingError as error:
        what, remedy = "the object was removed while it was read", "check bucket and key"
        raise DataError(what, where=place, remedy=remedy) from error


def upload_object(url: str, content: bytes) -> None:
    """Write an object; an existing one is replaced.

    Args:
        url: s3://BUCKET/KEY.
        content: its bytes.

    Raises:
        ConfigurationError: the bucket does not exist, or writing to it is not permitted.
        ServiceError: S3 cannot be reached.
    """
    bucket, _, key = url.removeprefix(REMOTE).partition("/")
    with (
        closing(open_s3()) as client,
        translate_s3_errors(url, needs="s3:PutObject", unreachable=ServiceError),
    ):
        client.put_object(Bucket=bucket, Key=key, Body=content)


def _list(client: Any, bucket: str, key: str) -> Iterable[dict[str, Any]]:
    is_pattern = glob.has_magic(key)
    prefix = key[: min(key.find(mark) for mark in "*?[" if mark in key)] if is_pattern else key
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            name = str(item["Key"])
            if not name.endswith("/") and (name == key or _is_wanted(name, key, is_pattern=is_pattern)):
                yield item


def _is_wanted(name: str, key: str, *, is_pattern: bool) -> bool:
    if is_leftover(name.rpartition("/")[2]):
        return False
    below = key.endswith("/") and not any(part[:1] in (".", "_") for part in name[len(key) :].split("/"))
    return below or (is_pattern and fnmatch.fnmatchcase(name, key))


def _copy(client: Any, bucket: str, item: dict[str, Any], downloads: Path) -> FetchedObject:
    key = str(item["Key"])
    path = downloads / f"object-{len(list(downloads.glob('object-*'))):04d}"
    answer = client.get_object(Bucket=bucket, Key=key, IfMatch=item["ETag"])
    with path.open("xb") as file:
        for chunk in answer["Body"].iter_chunks(1 << 20):
            file.write(chunk)
    path.chmod(0o600)
    changed_ns = int(item["LastModified"].timestamp() * 1e9)
    return FetchedObject(path, f"s3://{bucket}/{key}", int(item["Size"]), changed_ns, str(item["ETag"]))
