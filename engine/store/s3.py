"""The store in a bucket: the same keys, under `s3://BUCKET/PREFIX`.

Plans are made and read in a local folder: what is frozen is copied once and never changes. What workers write goes to
the bucket directly. run.json is created, never replaced: the run exists from that moment, and of two launches at once
one creates it. A store that reports a second create as a success would let two launches make two runs of one key, so
opening the store checks for that.

Every request may be made twice (see s3_client). A conditional create whose reply was lost is refused when it is
repeated, so a refusal is followed by reading what is there.
"""

import hashlib
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError
from engine.store.files import delete_tree, translate_os_errors
from engine.store.marks import Mark, ObjectMark
from engine.store.s3_client import (
    ConditionFailedError,
    ObjectMissingError,
    WriteConflictError,
    open_s3,
    translate_s3_errors,
)
from engine.store.s3_copies import update_copies
from engine.store.sealed import name_sealed
from engine.store.unfinished import prepare_root, remove_unfinished, stage_folder

RUN_FILE = "run.json"
_ASIDE = "staged"  # metadata of run.json: where the launch that made it put the files
_MOST_CONFLICTS = 8
_NEEDS = "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"


class S3Store:
    """A bucket that holds runs and what belongs to them.

    Args:
        url: `s3://BUCKET/PREFIX`.
        root: the folder on this machine for copies, marks and what only this machine needs.

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
        self._client: Any = open_s3()
        self._check_conditional_writes()

    @property
    def address(self) -> str:
        """The store's URL."""
        return self.url

    def describe(self, key: str) -> str:
        """Return an object's URL."""
        return f"{self.url}/{key}"

    # -- files

    def read(self, key: str) -> bytes | None:
        """Read an object; None where there is none."""
        try:
            with self._translated(key):
                return bytes(self._client.get_object(**self._name(key))["Body"].read())
        except ObjectMissingError:
            return None

    def write(self, key: str, data: bytes) -> None:
        """Write an object; S3 stores it durably before it responds."""
        with self._translated(key):
            self._client.put_object(**self._name(key), Body=data)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless one exists; False where another one does."""
        return self._create(key, data, {})

    def _create(self, key: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        conflicts = 0
        while True:
            try:
                with self._translated(key):
                    self._client.put_object(**self._name(key), Body=data, IfNoneMatch="*", Metadata=metadata)
            except WriteConflictError:  # no other process has created it yet, and one may succeed or fail
                conflicts += 1
                if conflicts == _MOST_CONFLICTS:
                    raise
                time.sleep(random.uniform(0, 0.05 * 2**conflicts))  # noqa: S311 - jitter
            except ConditionFailedError:
                return self.read(key) == data  # this process created it, and the reply to the first attempt was lost
            else:
                return True

    def delete(self, key: str) -> None:
        """Remove an object, if it is there, and what this machine keeps beside it."""
        with self._translated(key):
            self._client.delete_object(**self._name(key))
        (self._marks / key).unlink(missing_ok=True)

    def move(self, key: str, target: str) -> bool:
        """Copy an object to another place, one step for its readers, then remove it; False where it is gone."""
        try:
            with self._translated(target):
                self._client.copy_object(CopySource=self._name(key), **self._name(target))
        except ObjectMissingError:
            return False
        self.delete(key)
        return True

    def set_aside(self, key: str) -> str:
        """Move a damaged object to `damaged/` beside its folder; returns its URL."""
        folder, _, name = key.rpartition("/")
        aside = f"{folder.rpartition('/')[0]}/damaged/{name}"
        self.move(key, aside)
        return self.describe(aside)

    # -- folders

    def list_names(self, folder: str, prefix: str = "") -> set[str]:
        """List the objects directly under a folder whose names begin with a prefix."""
        found = self._list(folder, prefix)
        return {key.rpartition("/")[2] for key in found if "/" not in key.removeprefix(f"{folder}/")}

    def list_older(self, folder: str, before: datetime) -> set[str]:
        """List the objects directly under a folder that were last written before a time."""
        return {
            item["Key"].rpartition("/")[2]
            for page in self._list_pages(folder, Delimiter="/")
            for item in page.get("Contents", ())
            if item["LastModified"] < before
        }

    def list_folders(self, folder: str) -> set[str]:
        """List the prefixes directly under a folder."""
        return {
            item["Prefix"].rstrip("/").rpartition("/")[2]
            for page in self._list_pages(folder, Delimiter="/")
            for item in page.get("CommonPrefixes", ())
        }

    def delete_folder(self, folder: str) -> None:
        """Remove all objects under a folder; run.json first, so that no part of a run looks like a whole one."""
        for key in sorted(self._list(folder), key=lambda key: not key.endswith(f"/{RUN_FILE}")):
            self.delete(key)
        for local in (self._copies, self._marks):
            delete_tree(local / folder)

    def move_folder(self, folder: str, target: str) -> None:
        """Copy all objects under a prefix to another one, then remove them; run.json first."""
        for key in self._list(folder):
            with suppress(ObjectMissingError):
                self._copy_object(key, f"{target}/{key.removeprefix(f'{folder}/')}")
        self.delete_folder(folder)

    def fetch(self, folder: str, *, frozen_only: bool = False) -> Path:
        """Copy what is not on this machine yet, or has changed; returns the local folder."""
        self._finish_placing(folder)
        local = self._copies / folder
        objects = {key.removeprefix(f"{folder}/"): etag for key, etag in self._list(folder).items()}
        update_copies(local, objects, lambda name: self.read(f"{folder}/{name}"), frozen_only=frozen_only)
        return local

    # -- runs

    def stage(self, name: str) -> AbstractContextManager[Path]:
        """Make an empty local folder for a run, to be filled and then sealed; removed afterwards."""
        return stage_folder(self.local_folder / "runs" / name)

    def seal(self, staging: Path, name: str, digest: str) -> None:
        """Copy a staged folder to a place of its own in the bucket; run.json last."""
        aside, run_file = name_sealed(name, digest), staging / RUN_FILE
        files = sorted((path for path in staging.rglob("*") if path.is_file()), key=lambda path: path == run_file)
        try:
            for path in files:
                self._upload(path, f"{aside}/{path.relative_to(staging).as_posix()}")
        except BaseException:
            self.delete_folder(aside)
            raise

    def _upload(self, path: Path, key: str) -> None:
        with self._translated(key), path.open("rb") as file:
            self._client.upload_fileobj(file, **self._name(key))

    def place(self, name: str, digest: str) -> None:
        """Copy the files sealed under a digest to the run, unless it has files.

        run.json is created at the run's place, which one process can do, and names where the files are; then they are
        copied from there. The next process that opens the run finishes a copy that a crash cut off.
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
            # A missing source was copied already: another process has finished, and removes the sealed files.
            with suppress(ObjectMissingError):
                self._copy_object(key, f"{folder}/{name}")
        self.delete_folder(aside)

    def _read_aside(self, key: str) -> str | None:
        try:
            with self._translated(key):
                return str(self._client.head_object(**self._name(key))["Metadata"].get(_ASIDE, ""))
        except ObjectMissingError:
            return None

    def is_abandoned(self, folder: str) -> bool | None:  # noqa: ARG002 - a bucket has no locks
        """Return None: a bucket has no locks, so whether the maker of an object lives is unknown."""
        return None

    def remove_unfinished(self) -> int:
        """Remove what killed processes left half-written on this machine; returns how many files and folders."""
        return remove_unfinished(self.local_folder)

    # -- marks of open leases

    def open_mark(self, key: str) -> Mark:
        """Make the mark of a lease that is being worked on.

        An object for every commit would cost more than the commit. So the object says how far the journal has been only
        once nothing more is sent under it. Until then that is on this machine's disk, which is where a ledger in SQLite
        is restored.
        """
        # The local file first: the object says that it exists.
        mark = ObjectMark(self._marks / key, partial(self.write, key))
        self.write(key, b"")
        return mark

    def read_mark(self, key: str) -> int | None:
        """Read up to where a mark says that the journal was durable; None where only another machine has it."""
        path = self._marks / key
        with translate_os_errors(path):
            if path.is_file():
                return int(path.read_bytes() or 0)
        recorded = self.read(key)
        return int(recorded) if recorded else None

    # -- requests

    def _name(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _copy_object(self, key: str, target: str) -> None:
        with self._translated(target):
            self._client.copy(self._name(key), **self._name(target))  # in parts, where it is larger than 5 GB

    def _list(self, folder: str, prefix: str = "") -> dict[str, str]:
        """List all objects under a folder whose path in it begins with a prefix, at any depth: key -> ETag."""
        return {
            item["Key"].removeprefix(self._prefix): item["ETag"]
            for page in self._list_pages(folder, prefix)
            for item in page.get("Contents", ())
        }

    def _list_pages(self, folder: str, prefix: str = "", **more: str) -> Iterator[Mapping[str, Any]]:
        with self._translated(folder):
            pages = self._client.get_paginator("list_objects_v2")
            yield from pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/{prefix}", **more)

    def _translated(self, key: str) -> AbstractContextManager[None]:
        return translate_s3_errors(self.describe(key), what="the store", needs=_NEEDS)

    def _check_conditional_writes(self) -> None:
        """Create an object twice: the second create must be refused, or two launches could make two runs of one key."""
        key = f"probe/{uuid.uuid4().hex}"
        if not self.create(key, b"1"):
            raise _no_conditional_writes(self.url)
        try:
            if self.create(key, b"2") or self.read(key) != b"1":
                raise _no_conditional_writes(self.url)
        finally:
            self.delete(key)


def _no_conditional_writes(url: str) -> ConfigurationError:
    return ConfigurationError(
        "the store reports a second create of the same object as a success (it ignores If-None-Match):"
        " two launches at once could make two runs of one key",
        where=url,
        remedy="use a store that refuses it, such as Amazon S3 or a current SeaweedFS or MinIO, or a folder",
    )
