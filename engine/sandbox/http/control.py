"""The control endpoint: read the account, change it and queue faults while the sandbox runs."""

import math
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web
from msgspec import Struct

from engine.errors import docs_page
from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.events.feedback import Feedback
from engine.sandbox.http.faults import SandboxFault, SandboxFaults
from engine.sandbox.reputation.account_reputation import SandboxReputation
from engine.sandbox.ses.account import ENFORCEMENT_STATUSES, SandboxAccount

STATE_PATH = "/_sandbox/state"
FAULTS_PATH = "/_sandbox/faults"
BEHAVIOUR_PATH = "/_sandbox/behaviour"
FIREHOSE_PATH = "/_sandbox/firehose"
IDENTITIES_PATH = "/_sandbox/identities"


class Latency(Struct):
    """The seconds that the sandbox waits before each reply of the API."""

    seconds: float


class Control:
    """Answers the control endpoint.

    Args:
        account: read and changed.
        faults: where faults are queued.
        latency: read and changed.
        feedback: its behaviour is read and changed, and its files are written on request.
        reputation: its rates are read and changed.
    """

    def __init__(
        self,
        *,
        account: SandboxAccount,
        faults: SandboxFaults,
        latency: Latency,
        feedback: Feedback,
        reputation: SandboxReputation,
    ) -> None:
        self._account = account
        self._faults = faults
        self._latency = latency
        self._feedback = feedback
        self._reputation = reputation
        self._acts: dict[tuple[str, str], Callable[[bytes], dict[str, Any]]] = {
            ("GET", STATE_PATH): lambda _: self.state(),
            ("PATCH", STATE_PATH): self._change_state,
            ("POST", FAULTS_PATH): self._add_fault,
            ("DELETE", FAULTS_PATH): self._clear_faults,
            ("GET", BEHAVIOUR_PATH): lambda _: self._feedback.behaviour.document(),
            ("PUT", BEHAVIOUR_PATH): self._change_behaviour,
            ("POST", FIREHOSE_PATH): self._write_files,
            ("PATCH", IDENTITIES_PATH): lambda body: self._account.identities.set_statuses(_parse(body)),
        }
        self._setters: dict[str, Callable[[Any], None]] = {
            "max_send_rate": self._set_rate,
            "max_24_hour_send": self._set_quota,
            "latency_seconds": self._set_latency,
            "production_access": self._set_production_access,
            "sending_enabled": self._set_sending_enabled,
            "enforcement_status": self._set_enforcement_status,
            "vdm_enabled": self._set_vdm_enabled,
            "bounce_rate": lambda value: self._fix_rate("bounce_rate", value),
            "complaint_rate": lambda value: self._fix_rate("complaint_rate", value),
        }

    @property
    def routes(self) -> tuple[tuple[str, str], ...]:
        """Method and path of every operation."""
        return tuple(self._acts)

    def answer(self, method: str, path: str, body: bytes) -> web.Response:
        """Answer one request: JSON, with `message` in it where the request is wrong."""
        act = self._acts.get((method, path))
        if act is None:
            return _json(
                {"message": f"there is no {method} {path}; {docs_page('reference/sandbox.md')} lists the operations"},
                status=404,
            )
        try:
            return _json(act(body), status=201 if (method, path) == ("POST", FAULTS_PATH) else 200)
        except ValueError as problem:
            return _json({"message": str(problem)}, status=400)

    def _change_state(self, body: bytes) -> dict[str, Any]:
        self.change(_parse(body))
        return self.state()

    def _add_fault(self, body: bytes) -> dict[str, Any]:
        self._faults.add(SandboxFault.from_document(_parse(body)))
        return {"faults": self._faults.documents()}

    def _clear_faults(self, _: bytes) -> dict[str, Any]:
        self._faults.clear()
        return {"faults": []}

    def _change_behaviour(self, body: bytes) -> dict[str, Any]:
        self._feedback.change(Behaviour.from_document(_parse(body)))
        return self._feedback.behaviour.document()

    def _write_files(self, _: bytes) -> dict[str, Any]:
        return {"files": [str(file) for file in self._feedback.write_files()]}

    def state(self) -> dict[str, Any]:
        """Return the account's settings, what it has done since the start, and the queued faults."""
        account = self._account
        return {
            "max_send_rate": account.bucket.rate,
            "max_24_hour_send": account.quota.maximum,
            "sent_last_24_hours": account.quota.sent,
            "latency_seconds": self._latency.seconds,
            "production_access": account.production_access,
            "sending_enabled": account.sending_enabled,
            "enforcement_status": account.enforcement_status,
            "vdm_enabled": account.vdm_enabled,
            "bounce_rate": self._reputation.fixed.get("BOUNCE"),
            "complaint_rate": self._reputation.fixed.get("COMPLAINT"),
            "accepted_messages": account.accepted_messages,
            "accepted_recipients": account.accepted_recipients,
            "throttled": account.throttled_calls,
            "quota_refused": account.quota_refusals,
            "largest_second": account.sliding_second.largest,
            "faults": self._faults.documents(),
        }

    def change(self, document: Any) -> None:
        """Change the members that a document names: all of them, or none if one is wrong.

        Raises:
            ValueError: a member is unknown or has a wrong value.
        """
        if not isinstance(document, dict):
            raise ValueError("the body must be a JSON object")  # noqa: TRY004 - one kind of error for a bad document
        unknown = sorted(set(document) - set(self._setters))
        if unknown:
            raise ValueError(f"{unknown[0]} cannot be changed; {', '.join(self._setters)} can")
        before = {name: self.state()[name] for name in document}
        try:
            self._set(document)
        except ValueError:
            self._set(before)
            raise

    def _set(self, document: dict[str, Any]) -> None:
        for name, value in document.items():
            self._setters[name](value)

    def _set_rate(self, value: Any) -> None:
        self._account.bucket.set_rate(_number("max_send_rate", value, least=0.0))

    def _set_quota(self, value: Any) -> None:
        self._account.quota.maximum = _number("max_24_hour_send", value, least=-1.0)

    def _set_latency(self, value: Any) -> None:
        self._latency.seconds = _number("latency_seconds", value, least=0.0)

    def _set_production_access(self, value: Any) -> None:
        self._account.production_access = _flag("production_access", value)

    def _set_sending_enabled(self, value: Any) -> None:
        self._account.sending_enabled = _flag("sending_enabled", value)

    def _set_enforcement_status(self, value: Any) -> None:
        if value not in ENFORCEMENT_STATUSES:
            raise ValueError(f"enforcement_status must be one of {', '.join(ENFORCEMENT_STATUSES)}")
        self._account.enforcement_status = value

    def _set_vdm_enabled(self, value: Any) -> None:
        self._account.vdm_enabled = _flag("vdm_enabled", value)

    def _fix_rate(self, name: str, value: Any) -> None:
        """Set a rate as SES computes it; None computes it from the mail again."""
        rate = name.removesuffix("_rate").upper()
        if value is None:
            self._reputation.fixed.pop(rate, None)
        elif (number := _number(name, value, least=0.0)) > 1.0:
            raise ValueError(f"{name} must be null or a number from 0 to 1")
        else:
            self._reputation.fixed[rate] = number


def refuse(message: str) -> web.Response:
    """Return the answer to a request without the token."""
    response = _json({"message": f"{message}; {docs_page('reference/sandbox.md')} describes the token"}, status=401)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _number(name: str, value: Any, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        raise ValueError(f"{name} must be a number from {least:g}")
    return float(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false")  # noqa: TRY004 - one kind of error for a bad document
    return value


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("the body must be a JSON object") from None


def _json(document: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")
