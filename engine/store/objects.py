"""Objects of S3: listed, and copied to the disk, with the AWS credentials at hand."""

import fnmatch
import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError, DataError, ServiceError
from engine.store.stray_files import is_leftover

REMOTE = "s3://"
_CREDENTIALS = "check the AWS credentials and the profile (the caller needs s3:ListBucket and s3:GetObject)"


@dataclass(frozen=True, slots=True)
class FetchedObject:
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

    The copy is of the state that was listed: an object that is replaced meanwhile is refused.

    Args:
        place: s3://BUCKET/KEY.
        downloads: an existing folder.

    Raises:
        DataError: there is no such object, or it was changed meanwhile.
        ConfigurationError: the bucket does not exist, or does not let us in.
        ServiceError: S3 cannot be reached.
    """
    from boto3.session import Session  # noqa: PLC0415 - slow to import, and needed for s3:// alone
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    from engine.system.proxies import explain_proxy  # noqa: PLC0415 - it needs botocore

    bucket, _, key = place.removeprefix(REMOTE).partition("/")
    if not bucket or not key:
        raise DataError(f"{place} names no object", where="[audience] source", remedy="give s3://BUCKET/KEY")
    try:
        client = Session().client("s3")
        found = sorted(_list(client, bucket, key), key=lambda item: str(item["Key"]))
        if not found:
            raise DataError(f"there is no object {place}", where=f"s3://{bucket}", remedy="check bucket and key")
        for item in found:
            yield _copy(client, bucket, item, downloads)
    except ClientError as error:
        raise _translate(error, place) from error
    except BotoCoreError as error:
        kind = ConfigurationError if "redential" in str(error) or "region" in str(error) else ServiceError
        raise kind(f"S3 cannot be read: {error}", where=place, remedy=explain_proxy(error, _CREDENTIALS)) from error


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


def _translate(error: Any, place: str) -> Exception:
    code = str(error.response["Error"].get("Code", ""))
    if code in ("PreconditionFailed", "412"):
        return DataError(
            "the object was changed while it was read", where=place, remedy="try again when it is complete"
        )
    if code in ("NoSuchKey", "404"):
        return DataError("the object is not there any more", where=place, remedy="check bucket and key")
    if code == "NoSuchBucket":
        return ConfigurationError("there is no such bucket", where=place, remedy="check its name and the AWS region")
    return ConfigurationError(
        f"S3 says no: {error.response['Error'].get('Message') or code}", where=place, remedy=_CREDENTIALS
    )
