"""The store in a bucket: the same keys, under `s3://BUCKET/PREFIX`.

Plans are made, and read, in a local folder: what is frozen is copied once and never changes. What workers write goes
to the bucket directly. run.json is created, never replaced: at that moment the run exists, and of two
launches at once one makes it. A store that takes a second create for a success would make two runs of one key;
opening the store therefore tries it out.

S3 is asked by boto3 with its own retries (back-off with jitter): every request here may be made twice. A conditional
create whose reply was lost is refused when it is made again, so a refusal is followed by reading what is there.
"""

import hashlib
import json
import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import boto3.exceptions
import botocore.exceptions
from botocore.config import Config

from engine.errors import ConfigurationError, MailrunError, PausedError, UnreachableError
from engine.store.files import delete_tree, translate_os_errors, write_file
from engine.store.marks import Mark, ObjectMark
from engine.store.sealed import name_sealed
from engine.store.unfinished import prepare_root, remove_unfinished, stage_folder
from engine.system.proxies import explain_proxy

RUN_FILE = "run.json"
_ASIDE = "staged"  # metadata of run.json: where the launch that made it put the files
_COPIES_AT_ONCE = 8
_CONFLICTS_AT_MOST = 8
_TRY_AGAIN = "run the same command again"
_CONFIG = Config(
    retries={"total_max_attempts": 8, "mode": "standard"},
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=_COPIES_AT_ONCE,
    # Stores that are not AWS's do not know the newer checksums; digests are kept in run.json and in the ledger.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class S3Store:
    """A bucket that holds runs and what belongs to them.

    Args:
        url: `s3://BUCKET/PREFIX`.
        root: the local folder for copies and for what is of this machine alone (previews, the sandbox's record).

    Raises:
        ConfigurationError: no such bucket, no access, or a store that does not refuse a second create.
        UnreachableError: the store does not answer.
    """

    def __init__(self, url: str, root: Path) -> None:
        prepare_root(root)
        self.local_folder = root
        self.url = url.rstrip("/")
        self._bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self._copies = root / "copies" / digest
        self._marks = root / "marks" / digest
        with self._translated(""):
            self._client: Any = boto3.Session().client("s3", config=_CONFIG)  # the shared one keeps old credentials
        self._refuse_a_store_that_lies()

    def describe(self, key: str) -> str:
        """Return an object's URL."""
        return f"{self.url}/{key}"

    @property
    def address(self) -> str:
        """The store's URL."""
        return self.url

    def write(self, key: str, data: bytes) -> None:
        """Write an object; S3 keeps it durably before it answers."""
        with self._translated(key):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless it is there; False where another was."""
        return self._create(key, data, {})

    def _create(self, key: str, data: bytes, metadata: dict[str, str]) -> bool:
        for attempt in range(_CONFLICTS_AT_MOST):
            try:
                with self._translated(key):
                    self._client.put_object(
                        Bucket=self._bucket, Key=self._prefix + key, Body=data, IfNoneMatch="*", Metadata=metadata
                    )
            except _ConflictError:  # nobody has created it yet, and another may succeed or fail
                time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - jitter
            except _TakenError:
                return self.read(key) == data  # ours, where the reply to the first attempt was lost
            else:
                return True
        raise _ConflictError("another process creates the same object", where=self.describe(key), remedy=_TRY_AGAIN)

    def read(self, key: str) -> bytes | None:
        """Read an object; None where there is none."""
        try:
            with self._translated(key):
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                return bytes(answer["Body"].read())
        except _MissingError:
            return None

    def list_names(self, folder: str, prefix: str = "") -> set[str]:
        """List the objects directly under a folder whose names begin with a prefix."""
        found = self._list(folder, prefix)
        return {key.rpartition("/")[2] for key in found if "/" not in key.removeprefix(f"{folder}/")}

    def list_older(self, folder: str, before: datetime) -> set[str]:
        """List the objects directly under a folder that were last written before a time."""
        found: set[str] = set()
        with self._translated(folder):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/", Delimiter="/"):
                old = (item["Key"] for item in page.get("Contents", ()) if item["LastModified"] < before)
                found |= {key.rpartition("/")[2] for key in old}
        return found

    def list_folders(self, folder: str) -> set[str]:
        """List the prefixes directly under a folder."""
        found: set[str] = set()
        with self._translated(folder):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/", Delimiter="/"):
                found |= {item["Prefix"].rstrip("/").rpartition("/")[2] for item in page.get("CommonPrefixes", ())}
        return found

    def delete(self, key: str) -> None:
        """Remove an object, if it is there, and what this machine says beside it."""
        with self._translated(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
        (self._marks / key).unlink(missing_ok=True)

    def move(self, key: str, target: str) -> bool:
        """Copy an object to another place, one step for its readers, then remove it; False where it is gone."""
        try:
            with self._translated(target):
                source = {"Bucket": self._bucket, "Key": self._prefix + key}
                self._client.copy_object(CopySource=source, Bucket=self._bucket, Key=self._prefix + target)
        except _MissingError:
            return False
        self.delete(key)
        return True

    def set_aside(self, key: str) -> str:
        """Copy a damaged object out of the way, then remove it from where readers look."""
        folder, _, name = key.rpartition("/")
        aside = f"{folder.rpartition('/')[0]}/damaged/{name}"
        self.move(key, aside)
        return self.describe(aside)

    def delete_folder(self, folder: str) -> None:
        """Remove all objects under a folder; run.json first, so that no half of a run is taken for one."""
        for key in sorted(self._list(folder), key=lambda key: not key.endswith(f"/{RUN_FILE}")):
            self.delete(key)
        for local in (self._copies, self._marks):
            delete_tree(local / folder)

    def move_folder(self, folder: str, target: str) -> None:
        """Copy all objects under a prefix to another one, then remove them; run.json first."""
        for key in self._list(folder):
            with suppress(_MissingError):
                self._copy_object(key, f"{target}/{key.removeprefix(f'{folder}/')}")
        self.delete_folder(folder)

    def stage(self, name: str) -> AbstractContextManager[Path]:
        """Make an empty local folder for a run, to be filled and then sealed; removed afterwards."""
        return stage_folder(self.local_folder / "runs" / name)

    def remove_unfinished(self) -> int:
        """Remove what killed processes left half-written on this machine; returns how many files and folders."""
        return remove_unfinished(self.local_folder)

    def is_abandoned(self, folder: str) -> bool | None:  # noqa: ARG002 - a bucket has no locks
        """Return None: a bucket has no locks, so nobody knows whether the maker of an object lives."""
        return None

    def fetch(self, folder: str, *, frozen_only: bool = False) -> Path:
        """Copy what is not here yet, or has changed; return the local folder."""
        self._finish_placing(folder)
        local = self._copies / folder
        known = _read_etags(local)
        wanted = {
            name: etag
            for key, etag in self._list(folder).items()
            if _stays_inside(name := key.removeprefix(f"{folder}/"))
            and not (frozen_only and name.startswith(("outcomes/", "open/", "damaged/", "staged/")))
        }
        missing = [name for name, etag in wanted.items() if known.get(name) != etag or not (local / name).is_file()]
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as threads:
            for _ in threads.map(lambda name: self._copy(f"{folder}/{name}", local / name), missing):
                pass
        frozen = ("plan/", "campaign/")
        gone = {name for name in known.keys() - wanted.keys() if not frozen_only or name.startswith(frozen)}
        for name in gone:
            (local / name).unlink(missing_ok=True)
        kept = {name: etag for name, etag in known.items() if name not in gone} | wanted
        write_file(local / ".etags", json.dumps(kept).encode())
        return local

    def seal(self, staging: Path, name: str, digest: str) -> None:
        """Copy a staged folder to a place of its own in the bucket; run.json last."""
        aside, run_file = name_sealed(name, digest), staging / RUN_FILE
        files = sorted((path for path in staging.rglob("*") if path.is_file()), key=lambda path: path == run_file)
        try:
            for path in files:
                key = f"{aside}/{path.relative_to(staging).as_posix()}"
                with self._translated(key):
                    self._client.upload_file(str(path), self._bucket, self._prefix + key)
        except BaseException:
            self.delete_folder(aside)
            raise

    def place(self, name: str, digest: str) -> None:
        """Make what was sealed under a digest the run's, unless it has files.

        run.json is created at the run's place, which one process can do, and names where the files are; then they are
        copied from there. Whoever opens the run finishes a copy that a crash cut.
        """
        folder, aside = f"runs/{name}", name_sealed(name, digest)
        if self.read(f"{folder}/{RUN_FILE}") is None and (data := self.read(f"{aside}/{RUN_FILE}")) is not None:
            self._create(f"{folder}/{RUN_FILE}", data, {_ASIDE: aside})
        self._finish_placing(folder)

    def _finish_placing(self, folder: str) -> None:
        aside = self._read_aside(f"{folder}/{RUN_FILE}")
        if not aside:
            return
        for key in self._list(aside):
            name = key.removeprefix(f"{aside}/")
            if name == RUN_FILE:
                continue
            # What is gone has been copied: another process has finished, and removes what was set aside.
            with suppress(_MissingError):
                self._copy_object(key, f"{folder}/{name}")
        self.delete_folder(aside)

    def _copy_object(self, key: str, target: str) -> None:
        with self._translated(target):
            source = {"Bucket": self._bucket, "Key": self._prefix + key}
            self._client.copy(source, self._bucket, self._prefix + target)

    def _read_aside(self, key: str) -> str | None:
        try:
            with self._translated(key):
                head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except _MissingError:
            return None
        return str(head["Metadata"].get(_ASIDE, ""))

    def open_mark(self, key: str) -> Mark:
        """Make the mark of a lease that is being worked on.

        An object for every commit would cost more than the commit: the mark in the bucket says how far the journal has
        been only once nothing more is sent under it. Until then that stands on this machine's disk, which is where a
        ledger in SQLite is restored.
        """
        # The local file first: the object says that it is there.
        mark = ObjectMark(self._marks / key, partial(self.write, key))
        self.write(key, b"")
        return mark

    def read_mark(self, key: str) -> int | None:
        """Read how far a mark says that the journal was durable; None where only another machine knows."""
        path = self._marks / key
        with translate_os_errors(path):
            if path.is_file():
                return int(path.read_bytes() or 0)
        said = self.read(key)
        return int(said) if said else None

    def _copy(self, key: str, path: Path) -> None:
        data = self.read(key)
        if data is not None:
            write_file(path, data)

    def _list(self, folder: str, prefix: str = "") -> dict[str, str]:
        """List all objects under a folder whose path in it begins with a prefix, at any depth: key -> ETag."""
        found = {}
        with self._translated(folder):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/{prefix}"):
                for item in page.get("Contents", ()):
                    found[item["Key"].removeprefix(self._prefix)] = item["ETag"]
        return found

    def _refuse_a_store_that_lies(self) -> None:
        """Create an object twice: the second time must be refused, or two launches could make two runs of one key."""
        key = f"probe/{uuid.uuid4().hex}"
        if not self.create(key, b"1"):
            raise _no_second_create(self.url)
        try:
            if self.create(key, b"2") or self.read(key) != b"1":
                raise _no_second_create(self.url)
        finally:
            self.delete(key)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turn the client's errors into mailrun's own: the one border for them."""
        try:
            yield
        except (botocore.exceptions.ClientError, boto3.exceptions.S3UploadFailedError) as error:
            raise _translate_reply(error, self.describe(key)) from error
        except botocore.exceptions.BotoCoreError as error:
            raise _translate_client(error, self.describe(key)) from error


class _TakenError(PausedError):
    """The object is there already."""


class _ConflictError(UnreachableError):
    """Another create of the same object is under way, and may yet fail."""


class _MissingError(PausedError):
    """There is no such object."""


def _translate_reply(error: Exception, where: str) -> Exception:
    answer: dict[str, Any] = getattr(error, "response", {})
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status == 412:
        return _TakenError("another process has created this object", where=where, remedy=_TRY_AGAIN)
    if status == 409:
        return _ConflictError("another process creates the same object", where=where, remedy=_TRY_AGAIN)
    if status == 404 and code != "NoSuchBucket":
        return _MissingError("another process has removed this object", where=where, remedy=_TRY_AGAIN)
    if status >= 500 or code in ("SlowDown", "RequestTimeout", "Throttling"):
        return UnreachableError(
            f"the store answers {code or status}, again and again", where=where, remedy="launch again when it is back"
        )
    return ConfigurationError(
        f"the store cannot be used: {error}",
        where=where,
        remedy="check the bucket's name and region, and that these credentials may read, write, list and delete in it",
    )


def _translate_client(error: botocore.exceptions.BotoCoreError, where: str) -> MailrunError:
    e = botocore.exceptions
    if isinstance(error, e.HTTPClientError | e.EndpointConnectionError | e.ConnectionError):
        return UnreachableError(
            f"the store cannot be reached: {error}",
            where=where,
            remedy=explain_proxy(error, "launch again when it is back"),
        )
    return ConfigurationError(
        f"the store cannot be used: {error}",
        where=where,
        remedy="set AWS_PROFILE and AWS_DEFAULT_REGION, as for any AWS tool; AWS_ENDPOINT_URL_S3 names another server",
    )


def _no_second_create(url: str) -> ConfigurationError:
    return ConfigurationError(
        "the store takes a second create of the same object for a success (it ignores If-None-Match):"
        " two launches at once could make two runs of one key",
        where=url,
        remedy="use a store that refuses it, such as Amazon S3 or a current SeaweedFS or MinIO, or a folder",
    )


def _stays_inside(name: str) -> bool:
    """Tell whether an object's name is a path below a folder: a key may have any characters, such as `../`.

    >>> [_stays_inside(name) for name in ("plan/a.parquet", "../a", "/a", "plan/..")]
    [True, False, False, False]
    """
    return not name.startswith("/") and ".." not in name.split("/")


def _read_etags(local: Path) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads((local / ".etags").read_bytes())
    except (OSError, ValueError):
        return {}
    return known
