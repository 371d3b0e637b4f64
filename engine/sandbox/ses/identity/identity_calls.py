"""The operations of the SES API v2 about identities, by method and path."""

from typing import Any

from engine.sandbox.http.replies import SandboxReply, result
from engine.sandbox.ses.configuration_sets import ConfigurationSets
from engine.sandbox.ses.identity.identities import Identities
from engine.sandbox.ses.members import optional
from engine.sandbox.ses.paging import page_of, read_page_request
from engine.sandbox.ses.sending import parse_request

_PATH = "/v2/email/identities"


class IdentityCalls:
    """Answers them.

    Args:
        identities: of the account.
        sets: of the account; a default configuration set must exist.
    """

    def __init__(self, identities: Identities, sets: ConfigurationSets) -> None:
        self._identities, self._sets = identities, sets
        one = f"{_PATH}/*"
        self.operations = {
            ("POST", _PATH): self._create,
            ("GET", _PATH): self._list,
            ("POST", "/v2/email/list-identities"): self._list,
            ("GET", one): self._get,
            ("DELETE", one): self._delete,
            ("PUT", f"{one}/dkim"): self._put_dkim,
            ("PUT", f"{one}/dkim/signing"): self._put_signing,
            ("PUT", f"{one}/mail-from"): self._put_mail_from,
            ("PUT", f"{one}/configuration-set"): self._put_configuration_set,
            ("PUT", f"{one}/feedback"): self._put_feedback,
        }

    def _create(self, _: str, __: dict[str, list[str]], body: bytes) -> SandboxReply:
        request = parse_request(body)
        self._check_set(request)
        return result(self._identities.create(request))

    def _list(self, _: str, query: dict[str, list[str]], body: bytes) -> SandboxReply:
        request = read_page_request(query, parse_request(body))
        page, more = page_of(self._identities.records(), key=lambda one: one.name, request=request)
        listed = [
            {
                "IdentityType": one.kind,
                "IdentityName": one.name,
                "SendingEnabled": one.is_verified,
                "VerificationStatus": one.status,
            }
            for one in page
        ]
        return result({"EmailIdentities": listed, **more})

    def _get(self, name: str, _: dict[str, list[str]], __: bytes) -> SandboxReply:
        return result(self._identities.get(name))

    def _delete(self, name: str, _: dict[str, list[str]], __: bytes) -> SandboxReply:
        self._identities.delete(name)
        return result({})

    def _put_dkim(self, name: str, _: dict[str, list[str]], body: bytes) -> SandboxReply:
        self._identities.put_dkim(name, parse_request(body))
        return result({})

    def _put_signing(self, name: str, _: dict[str, list[str]], body: bytes) -> SandboxReply:
        return result(self._identities.put_signing(name, parse_request(body)))

    def _put_mail_from(self, name: str, _: dict[str, list[str]], body: bytes) -> SandboxReply:
        self._identities.put_mail_from(name, parse_request(body))
        return result({})

    def _put_configuration_set(self, name: str, _: dict[str, list[str]], body: bytes) -> SandboxReply:
        request = parse_request(body)
        self._check_set(request)
        self._identities.put_configuration_set(name, request)
        return result({})

    def _put_feedback(self, name: str, _: dict[str, list[str]], body: bytes) -> SandboxReply:
        self._identities.put_feedback(name, parse_request(body))
        return result({})

    def _check_set(self, request: dict[str, Any]) -> None:
        name = optional(request, "ConfigurationSetName", str)
        if name:
            self._sets.get(name)
