"""Import jobs of the suppression list: an object with a line for each address.

Source: SES API v2, CreateImportJob, GetImportJob; developer guide, "Using the account-level suppression list": at most
100,000 addresses an object, `address,REASON` in CSV and an object a line in JSON.
"""

import secrets
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any

import orjson
from boto3.session import Session
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from engine.sandbox.http.replies import ApiError, bad_request, not_found
from engine.sandbox.ses.addresses import read_address
from engine.sandbox.ses.members import one_of, required
from engine.sandbox.ses.suppression import REASONS, SandboxSuppressionList

MOST_ADDRESSES = 100_000
MOST_JOBS = 20  # at the same time

Fetch = Callable[[str, str], bytes]  # of bucket and key


class Job(Struct):
    """A job: it does its work when its status is requested for the second time, so that both answers are seen."""

    job_id: str
    url: str
    data_format: str
    action: str
    created_at: datetime
    status: str = "CREATED"
    processed: int = 0
    failed: int = 0
    error: str = ""
    completed_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ("COMPLETED", "FAILED")

    def document(self) -> dict[str, Any]:
        """Return the answer of GetImportJob."""
        ended = {} if self.completed_at is None else {"CompletedTimestamp": self.completed_at.timestamp()}
        return {
            "JobId": self.job_id,
            "ImportDestination": {"SuppressionListDestination": {"SuppressionListImportAction": self.action}},
            "ImportDataSource": {"S3Url": self.url, "DataFormat": self.data_format},
            "FailureInfo": {"ErrorMessage": self.error} if self.error else {},
            "JobStatus": self.status,
            "CreatedTimestamp": self.created_at.timestamp(),
            "ProcessedRecordsCount": self.processed,
            "FailedRecordsCount": self.failed,
            **ended,
        }


class ImportJobs:
    """The jobs of an account.

    Args:
        suppression: what they change.
        fetch: reads an object; raises OSError where it cannot.
    """

    def __init__(self, suppression: SandboxSuppressionList, fetch: Fetch) -> None:
        self._suppression = suppression
        self._fetch = fetch
        self._jobs: dict[str, Job] = {}

    def create(self, request: dict[str, Any], *, at: datetime) -> str:
        """Accept a job; return its id."""
        if sum(not job.is_over for job in self._jobs.values()) >= MOST_JOBS:
            raise ApiError("LimitExceededException", f"At most {MOST_JOBS} import jobs run at the same time.")
        destination = required(request, "ImportDestination", dict)
        listed = required(destination, "SuppressionListDestination", dict, path="ImportDestination.")
        action = one_of(listed, "SuppressionListImportAction", ("PUT", "DELETE"), path="SuppressionListDestination.")
        source = required(request, "ImportDataSource", dict)
        url = required(source, "S3Url", str, path="ImportDataSource.")
        kind = one_of(source, "DataFormat", ("CSV", "JSON"), path="ImportDataSource.")
        if action is None or kind is None or not url.startswith("s3://"):
            raise bad_request("ImportDataSource.S3Url must begin with s3://, and action and format must be given.")
        job = Job(secrets.token_hex(16), url, kind, action, at)
        self._jobs[job.job_id] = job
        return job.job_id

    def get(self, job_id: str, *, at: datetime) -> dict[str, Any]:
        """Return the state of a job."""
        job = self._jobs.get(job_id)
        if job is None:
            raise not_found(f"Import job {job_id} does not exist.")
        if job.status == "CREATED":
            job.status = "PROCESSING"
        elif job.status == "PROCESSING":
            self._work(job, at)
        return job.document()

    def documents(self) -> list[dict[str, Any]]:
        """Return all jobs in short."""
        names = ("JobId", "ImportDestination", "JobStatus", "CreatedTimestamp")
        return [{name: job.document()[name] for name in names} for job in self._jobs.values()]

    def _work(self, job: Job, at: datetime) -> None:
        bucket, _, key = job.url.removeprefix("s3://").partition("/")
        job.completed_at = at
        try:
            lines = self._fetch(bucket, key).decode("utf-8-sig").splitlines()
        except (OSError, UnicodeError) as problem:
            job.status, job.error = "FAILED", f"The object cannot be read: {problem}"
            return
        if len(lines) > MOST_ADDRESSES:
            job.status, job.error = "FAILED", f"The object has more than {MOST_ADDRESSES} addresses."
            return
        for line in filter(None, map(str.strip, lines)):
            job.processed += 1
            job.failed += not self._take(line, job, at)
        job.status = "COMPLETED"

    def _take(self, line: str, job: Job, at: datetime) -> bool:
        """Apply one line; return False where it is invalid."""
        try:
            address, reason = _read_line(line, job.data_format)
            read_address(address)
            if job.action == "PUT":
                self._suppression.put(address, reason, at=at)
            else:
                self._suppression.delete(address)
        except (ApiError, ValueError, KeyError, TypeError):
            return False
        return True


def _read_line(line: str, data_format: str) -> tuple[str, str]:
    if data_format == "JSON":
        document = orjson.loads(line)
        address, reason = document["emailAddress"], document.get("reason", "")
    else:
        address, _, reason = line.partition(",")
    if reason.strip() and reason.strip() not in REASONS:
        raise ValueError(reason)
    return address.strip(), reason.strip()


def make_fetch(endpoint: str | None, access_key_id: str, secret_access_key: str) -> Fetch:
    """Return a function that reads objects of an S3 server; without an endpoint it fails."""

    def fetch(bucket: str, key: str) -> bytes:
        if endpoint is None:
            raise OSError("this sandbox has no S3 endpoint")
        session = Session(access_key_id, secret_access_key, region_name="us-east-1")
        with closing(session.client("s3", endpoint_url=endpoint)) as client:
            try:
                content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            except (BotoCoreError, ClientError) as problem:
                raise OSError(str(problem)) from problem
        return content

    return fetch
