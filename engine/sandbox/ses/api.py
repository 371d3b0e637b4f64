"""The operations of the SES API v2 that the sandbox supports, by method and path."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from urllib.parse import parse_qs, unquote

from engine.clock import Clock
from engine.sandbox.dedicated.operations import PoolOperations
from engine.sandbox.http.faults import OF_CALLS, SandboxFaults
from engine.sandbox.http.replies import ApiError, SandboxReply, bad_request, result
from engine.sandbox.reputation.account_reputation import SandboxReputation
from engine.sandbox.ses.account import SandboxAccount
from engine.sandbox.ses.addresses import read_address
from engine.sandbox.ses.configuration_sets import OPTIONS
from engine.sandbox.ses.identity.identity_calls import IdentityCalls
from engine.sandbox.ses.import_jobs import ImportJobs
from engine.sandbox.ses.insights import look_up
from engine.sandbox.ses.members import optional, required
from engine.sandbox.ses.paging import page_of, read_page_request
from engine.sandbox.ses.sending import SandboxSending, parse_request
from engine.sandbox.ses.suppression import REASONS

Query = dict[str, list[str]]
Operation = Callable[[str, Query, bytes], SandboxReply]  # of the path's parameter, the query and the body

_SEND = ("POST", "/v2/email/outbound-emails")
_SEND_BULK = ("POST", "/v2/email/outbound-bulk-emails")


class Api:
    """Answers calls whose signature is verified.

    Args:
        account: the account.
        sending: its send operations.
        clock: the wall clock of suppressions.
        jobs: import jobs of the suppression list.
        faults: of calls that send nothing.
        reputation: of the account.
        more: operations of further parts of the account, by method and path.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, one per part of an account
        self,
        *,
        account: SandboxAccount,
        sending: SandboxSending,
        clock: Clock,
        jobs: ImportJobs,
        faults: SandboxFaults,
        reputation: SandboxReputation,
        more: Mapping[tuple[str, str], Operation],
    ) -> None:
        self._account = account
        self._sending = sending
        self._clock = clock
        self._jobs = jobs
        self._faults = faults
        cset = "/v2/email/configuration-sets"
        suppressed = "/v2/email/suppression/addresses"
        # Older botocore lists by GET, newer by POST to another path.
        self._operations: dict[tuple[str, str], Operation] = {
            ("GET", "/v2/email/account"): self._get_account,
            ("PUT", "/v2/email/account/sending"): self._put_account_sending,
            **IdentityCalls(account.identities, account.configuration_sets).operations,
            ("POST", cset): self._create_configuration_set,
            ("GET", cset): self._list_configuration_sets,
            ("POST", "/v2/email/list-configuration-sets"): self._list_configuration_sets,
            ("GET", cset + "/*"): self._get_configuration_set,
            ("DELETE", cset + "/*"): self._delete_configuration_set,
            ("PUT", cset + "/*/sending"): self._put_configuration_set_sending,
            **{("PUT", f"{cset}/*/{path}"): partial(self._put_options, name) for path, name in OPTIONS.items()},
            ("POST", cset + "/*/event-destinations"): self._create_event_destination,
            ("GET", cset + "/*/event-destinations"): self._list_event_destinations,
            ("PUT", cset + "/*/event-destinations/*"): self._update_event_destination,
            ("DELETE", cset + "/*/event-destinations/*"): self._delete_event_destination,
            ("POST", "/v2/email/email-address-insights"): self._get_insights,
            ("POST", "/v2/email/import-jobs"): self._create_import_job,
            ("POST", "/v2/email/import-jobs/*"): self._list_import_jobs,
            ("GET", "/v2/email/import-jobs/*"): self._get_import_job,
            ("PUT", suppressed): self._put_suppressed,
            ("GET", suppressed): self._list_suppressed,
            ("GET", suppressed + "/*"): self._get_suppressed,
            ("DELETE", suppressed + "/*"): self._delete_suppressed,
            **PoolOperations(account.dedicated).routes(),
            **reputation.operations,
            **more,
        }
        self._patterns = [(path, _compile(path)) for path in dict.fromkeys(path for _, path in self._operations)]

    @property
    def routes(self) -> tuple[tuple[str, str], ...]:
        """Method and path of every operation; `*` in a path is a parameter."""
        return (_SEND, _SEND_BULK, *self._operations)

    def answer(self, *, method: str, target: str, body: bytes, region: str) -> SandboxReply:
        """Answer one call.

        Args:
            method: the HTTP method.
            target: path and query as in the request line.
            body: the whole body.
            region: what the call is signed for.

        Raises:
            ApiError: the call is refused.
        """
        if (method, target) == _SEND:
            return self._sending.send_email(body, region)
        if (method, target) == _SEND_BULK:
            return self._sending.send_bulk_email(body, region)
        path, _, query = target.partition("?")
        pattern, parameter = self._find_pattern(path.rstrip("/"))
        operation = self._operations.get((method, pattern))
        if operation is None:
            raise ApiError("UnknownOperationException", f"{method} {path} is not an operation.", status=404)
        if (fault := self._faults.take(OF_CALLS, [f"{method} {path}"])) is not None:
            raise _error_of(fault.kind, f"{method} {path}")
        return operation(parameter, parse_qs(query), body)

    def _find_pattern(self, path: str) -> tuple[str, str]:
        """Return the pattern of a path, and the names in it, with a slash between two; a path without names first."""
        for pattern, expression in sorted(self._patterns, key=lambda known: known[0].count("*")):
            if match := expression.fullmatch(path):
                return pattern, "/".join(map(unquote, match.groups()))
        return path, ""

    def _get_account(self, _: str, __: Query, ___: bytes) -> SandboxReply:
        return result(self._account.document())

    def _put_account_sending(self, _: str, __: Query, body: bytes) -> SandboxReply:
        self._account.sending_enabled = bool(optional(parse_request(body), "SendingEnabled", bool))
        return result({})

    def _create_configuration_set(self, _: str, __: Query, body: bytes) -> SandboxReply:
        self._account.configuration_sets.create(parse_request(body))
        return result({})

    def _list_configuration_sets(self, _: str, query: Query, body: bytes) -> SandboxReply:
        request = read_page_request(query, parse_request(body))
        page, more = page_of(self._account.configuration_sets.names(), key=str, request=request)
        return result({"ConfigurationSets": page, **more})

    def _get_configuration_set(self, name: str, _: Query, __: bytes) -> SandboxReply:
        return result(self._account.configuration_sets.get(name))

    def _delete_configuration_set(self, name: str, _: Query, __: bytes) -> SandboxReply:
        self._account.configuration_sets.delete(name)
        return result({})

    def _put_configuration_set_sending(self, name: str, _: Query, body: bytes) -> SandboxReply:
        enabled = bool(optional(parse_request(body), "SendingEnabled", bool))
        self._account.configuration_sets.set_sending(name, enabled=enabled)
        return result({})

    def _put_options(self, option: str, name: str, _: Query, body: bytes) -> SandboxReply:
        self._account.configuration_sets.put_options(name, option, parse_request(body))
        return result({})

    def _create_event_destination(self, name: str, _: Query, body: bytes) -> SandboxReply:
        self._account.configuration_sets.put_destination(name, parse_request(body))
        return result({})

    def _list_event_destinations(self, name: str, _: Query, __: bytes) -> SandboxReply:
        return result({"EventDestinations": self._account.configuration_sets.destinations(name)})

    def _update_event_destination(self, names: str, _: Query, body: bytes) -> SandboxReply:
        name, __, destination = names.partition("/")
        self._account.configuration_sets.put_destination(name, parse_request(body), destination)
        return result({})

    def _delete_event_destination(self, names: str, _: Query, __: bytes) -> SandboxReply:
        name, ___, destination = names.partition("/")
        self._account.configuration_sets.delete_destination(name, destination)
        return result({})

    def _get_insights(self, _: str, __: Query, body: bytes) -> SandboxReply:
        return result(look_up(required(parse_request(body), "EmailAddress", str)))

    def _create_import_job(self, _: str, __: Query, body: bytes) -> SandboxReply:
        return result({"JobId": self._jobs.create(parse_request(body), at=self._clock.now())})

    def _list_import_jobs(self, _: str, __: Query, ___: bytes) -> SandboxReply:
        return result({"ImportJobs": self._jobs.documents()})

    def _get_import_job(self, job: str, _: Query, __: bytes) -> SandboxReply:
        return result(self._jobs.get(job, at=self._clock.now()))

    def _put_suppressed(self, _: str, __: Query, body: bytes) -> SandboxReply:
        request = parse_request(body)
        if not self._account.production_access:
            raise bad_request("The suppression list cannot be changed while the account is in the sandbox.")
        address = required(request, "EmailAddress", str)
        read_address(address)
        self._account.suppression.put(address, required(request, "Reason", str), at=self._clock.now())
        return result({})

    def _list_suppressed(self, _: str, query: Query, __: bytes) -> SandboxReply:
        reasons = query.get("Reason", REASONS)
        start, end = _date_in(query, "StartDate"), _date_in(query, "EndDate")
        entries = [
            entry
            for entry in self._account.suppression.entries()
            if entry.reason in reasons
            and (start is None or entry.updated_at >= start)
            and (end is None or entry.updated_at <= end)
        ]
        request = read_page_request(query, {}, invalid_next_code="InvalidNextTokenException")
        page, more = page_of(entries, key=attrgetter("address"), request=request)
        listed = [
            {"EmailAddress": entry.address, "Reason": entry.reason, "LastUpdateTime": entry.updated_at.timestamp()}
            for entry in page
        ]
        return result({"SuppressedDestinationSummaries": listed, **more})

    def _get_suppressed(self, address: str, _: Query, __: bytes) -> SandboxReply:
        entry = self._account.suppression.get(address)
        document = {
            "EmailAddress": entry.address,
            "Reason": entry.reason,
            "LastUpdateTime": entry.updated_at.timestamp(),
            "Attributes": {},
        }
        return result({"SuppressedDestination": document})

    def _delete_suppressed(self, address: str, _: Query, __: bytes) -> SandboxReply:
        self._account.suppression.delete(address)
        return result({})


def _error_of(kind: str, call: str) -> ApiError:
    """Return the error of a fault of a call."""
    if kind == "throttle_call":
        return ApiError("TooManyRequestsException", "Rate exceeded", status=429)
    if kind == "fail_call":
        return ApiError("InternalFailure", "The sandbox was asked to fail.", status=500)
    return ApiError("AccessDeniedException", f"The sandbox was asked to refuse {call}.", status=403)


def _compile(pattern: str) -> re.Pattern[str]:
    """Return the expression that finds the names in a path; `*` in the pattern stands for one."""
    return re.compile("([^/]+)".join(map(re.escape, pattern.split("*"))))


def _date_in(query: Query, member: str) -> datetime | None:
    """Return a date of the query, None when it is absent."""
    if member not in query:
        return None
    text = query[member][0]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"{member} <{text}> is not a date.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
