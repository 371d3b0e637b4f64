"""The account's tenants, and the identities and configuration sets that each of them may use.

Source: SES API v2 reference, `CreateTenant`, `CreateTenantResourceAssociation`; developer guide, "Tenants". AWS does
not document the error for a resource that is not associated: the code and text here are the sandbox's own.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from operator import itemgetter
from typing import Any

from engine.clock import Clock
from engine.sandbox.http.replies import ApiError, SandboxReply, already_exists, bad_request, not_found, result
from engine.sandbox.ses.addresses import split_address
from engine.sandbox.ses.draft import Draft
from engine.sandbox.ses.members import one_of, optional, required
from engine.sandbox.ses.paging import page_of, read_page_request
from engine.sandbox.ses.sending import parse_request

Query = dict[str, list[str]]
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ARN = re.compile(r"arn:aws[a-z-]*:ses:[a-z0-9-]+:\d{12}:(?P<kind>identity|configuration-set|template)/(?P<name>.+)")
_TYPES = {"identity": "EMAIL_IDENTITY", "configuration-set": "CONFIGURATION_SET", "template": "EMAIL_TEMPLATE"}
_STATUSES = ("ENABLED", "REINSTATED", "DISABLED")
_PATH = "/v2/email/tenants"
_STATUS_PATH = "/v2/email/reputation/entities/*/*/customer-managed-status"


class Tenants:
    """The tenants of an account.

    Args:
        names: of those that exist, which may use everything; None means that such a tenant of any name exists.
        arn: of the account's resources, up to the kind of resource.
        clock: the wall clock of their creation.
    """

    def __init__(self, names: Iterable[str] | None, *, arn: str, clock: Clock) -> None:
        self._any_name = names is None
        self._arn, self._clock = arn, clock
        self._tenants = {name: self._make(name) for name in names or ()}
        self._resources: dict[str, dict[str, str] | None] = dict.fromkeys(self._tenants)  # None: all

    @property
    def operations(self) -> Mapping[tuple[str, str], Callable[[str, Query, bytes], SandboxReply]]:
        """The operations by method and path; `*` in a path is a parameter."""
        return {
            ("POST", _PATH): self._create,
            ("POST", _PATH + "/get"): self._get,
            ("POST", _PATH + "/list"): self._list,
            ("POST", _PATH + "/delete"): self._delete,
            ("POST", _PATH + "/resources"): self._associate,
            ("POST", _PATH + "/resources/delete"): self._dissociate,
            ("POST", _PATH + "/resources/list"): self._list_resources,
            ("PUT", _STATUS_PATH): self._put_status,
        }

    def check_may_send(self, draft: Draft, _: str) -> None:
        """Refuse a send for a tenant that does not exist, is paused, or may not use what the message names.

        Args:
            draft: with the tenant, if it names one.

        Raises:
            ApiError: NotFoundException, SendingPausedException or BadRequestException.
        """
        name = draft.reach.tenant
        if name is None:
            return
        if self._find(name)["SendingStatus"] == "DISABLED":
            raise ApiError("SendingPausedException", f"Sending is paused for tenant <{name}>.")
        resources = self._resources.get(name)
        if resources is None:
            return
        local, domain = split_address(draft.sender_address)
        labels = domain.split(".")
        covering = {f"{local}@{domain}", *(".".join(labels[start:]) for start in range(len(labels)))}
        found = [match for arn in resources if (match := _ARN.fullmatch(arn))]
        if not any(one["kind"] == "identity" and one["name"] in covering for one in found):
            raise bad_request(f"The identity of {draft.sender_address} is not associated with tenant <{name}>.")
        wanted = draft.configuration_set
        if wanted and not any(one["kind"] == "configuration-set" and one["name"] == wanted for one in found):
            raise bad_request(f"Configuration set <{wanted}> is not associated with tenant <{name}>.")

    def _make(self, name: str) -> dict[str, Any]:
        digest = f"tn-{blake2b(name.encode(), digest_size=15).hexdigest()}"
        return {
            "TenantName": name,
            "TenantId": digest,
            "TenantArn": f"{self._arn}:tenant/{name}/{digest}",
            "CreatedTimestamp": self._clock.now().timestamp(),
            "Tags": [],
            "SendingStatus": "ENABLED",
        }

    def _find(self, name: str) -> dict[str, Any]:
        if name in self._tenants:
            return self._tenants[name]
        if not self._any_name:
            raise not_found(f"Tenant <{name}> does not exist.")
        return self._make(name)

    def _create(self, _: str, __: Query, body: bytes) -> SandboxReply:
        request = parse_request(body)
        name = required(request, "TenantName", str)
        if _NAME.fullmatch(name) is None:
            raise bad_request(f"TenantName <{name}>: only letters, digits, - and _ are allowed, up to 64.")
        if name in self._tenants:
            raise already_exists(f"Tenant <{name}> already exists.")
        self._tenants[name] = self._make(name) | {"Tags": optional(request, "Tags", list) or []}
        self._resources[name] = {}
        return result(self._tenants[name])

    def _get(self, _: str, __: Query, body: bytes) -> SandboxReply:
        return result({"Tenant": self._find(required(parse_request(body), "TenantName", str))})

    def _list(self, _: str, query: Query, body: bytes) -> SandboxReply:
        listed = sorted(self._tenants.values(), key=itemgetter("TenantName"))
        page, more = page_of(
            listed, key=itemgetter("TenantName"), request=read_page_request(query, parse_request(body))
        )
        shown = [{name: value for name, value in one.items() if name != "Tags"} for one in page]
        return result({"Tenants": shown, **more})

    def _delete(self, _: str, __: Query, body: bytes) -> SandboxReply:
        name = self._require_own(parse_request(body))
        del self._tenants[name], self._resources[name]
        return result({})

    def _associate(self, _: str, __: Query, body: bytes) -> SandboxReply:
        request = parse_request(body)
        name, arn = self._require_own(request), required(request, "ResourceArn", str)
        match = _ARN.fullmatch(arn)
        if match is None:
            raise bad_request(f"ResourceArn <{arn}> is not the ARN of an identity, configuration set or template.")
        resources = self._resources[name]
        if resources is None or arn in resources:
            raise already_exists(f"Resource <{arn}> is already associated with tenant <{name}>.")
        resources[arn] = _TYPES[match["kind"]]
        return result({})

    def _dissociate(self, _: str, __: Query, body: bytes) -> SandboxReply:
        request = parse_request(body)
        name, arn = self._require_own(request), required(request, "ResourceArn", str)
        if (self._resources[name] or {}).pop(arn, None) is None:
            raise not_found(f"Resource <{arn}> is not associated with tenant <{name}>.")
        return result({})

    def _list_resources(self, _: str, query: Query, body: bytes) -> SandboxReply:
        request = parse_request(body)
        wanted = (optional(request, "Filter", dict) or {}).get("RESOURCE_TYPE")
        resources = self._resources[self._require_own(request)] or {}
        listed = [
            {"ResourceType": kind, "ResourceArn": arn}
            for arn, kind in sorted(resources.items())
            if wanted in (None, kind)
        ]
        page, more = page_of(listed, key=itemgetter("ResourceArn"), request=read_page_request(query, request))
        return result({"TenantResources": page, **more})

    def _put_status(self, names: str, _: Query, body: bytes) -> SandboxReply:
        kind, __, reference = names.partition("/")
        status = one_of(parse_request(body), "SendingStatus", _STATUSES)
        found = [one for one in self._tenants.values() if one["TenantArn"] == reference]
        if kind != "RESOURCE" or not found:
            raise not_found(f"Reputation entity <{reference}> does not exist, or is not a tenant.")
        found[0]["SendingStatus"] = status or "ENABLED"
        return result({})

    def _require_own(self, request: dict[str, Any]) -> str:
        """Return the tenant of a request; it was created, or named in the settings."""
        name = required(request, "TenantName", str)
        if name not in self._tenants:
            raise not_found(f"Tenant <{name}> does not exist.")
        return name
