"""The control endpoint: read the account, change it and queue faults while the sandbox runs."""

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import orjson
from aiohttp import web
from msgspec import Struct

from engine.errors import docs_page
from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.events.feedback import Feedback
from engine.sandbox.http.faults import SandboxFault, SandboxFaults
from engine.sandbox.ses.account import ENFORCEMENT_STATUSES, SandboxAccount
from engine.sandbox.ses.regions import SandboxRegions

STATE_PATH = "/_sandbox/state"
FAULTS_PATH = "/_sandbox/faults"
BEHAVIOUR_PATH = "/_sandbox/behaviour"
FIREHOSE_PATH = "/_sandbox/firehose"
IDENTITIES_PATH = "/_sandbox/identities"
_REGION = re.compile(r"[a-z0-9-]{1,40}")


class Latency(Struct):
    """The seconds that the sandbox waits before each reply of the API."""

    seconds: float


class Control:
    """Answers the control endpoint.

    Args:
        regions: their accounts are read and changed.
        faults: where faults are queued.
        latency: read and changed.
        feedback: its behaviour is read and changed, and its files are written on request.
    """

    def __init__(
        self,
        *,
        regions: SandboxRegions,
        faults: SandboxFaults,
        latency: Latency,
        feedback: Feedback,
    ) -> None:
        self._regions = regions
        self._faults = faults
        self._latency = latency
        self._feedback = feedback
        self._acts: dict[tuple[str, str], Callable[[bytes, str | None], dict[str, Any]]] = {
            ("GET", STATE_PATH): lambda _, region: self.state(region),
            ("PATCH", STATE_PATH): self._change_state,
            ("POST", FAULTS_PATH): self._add_fault,
            ("DELETE", FAULTS_PATH): self._clear_faults,
            ("GET", BEHAVIOUR_PATH): lambda _, __: self._feedback.behaviour.document(),
            ("PUT", BEHAVIOUR_PATH): self._change_behaviour,
            ("POST", FIREHOSE_PATH): self._write_files,
            ("PATCH", IDENTITIES_PATH): self._change_identities,
        }

    @property
    def routes(self) -> tuple[tuple[str, str], ...]:
        """Method and path of every operation."""
        return tuple(self._acts)

    def answer(self, method: str, path: str, body: bytes) -> web.Response:
        """Answer one request: JSON, with `message` in it where the request is wrong."""
        path, _, query = path.partition("?")
        act = self._acts.get((method, path))
        if act is None:
            return _json(
                {"message": f"there is no {method} {path}; {docs_page('reference/sandbox.md')} lists the operations"},
                status=404,
            )
        try:
            return _json(act(body, _read_region(query)), status=201 if (method, path) == ("POST", FAULTS_PATH) else 200)
        except ValueError as problem:
            return _json({"message": str(problem)}, status=400)

    def _change_state(self, body: bytes, region: str | None) -> dict[str, Any]:
        self.change(_parse(body), region)
        return self.state(region)

    def _change_identities(self, body: bytes, region: str | None) -> dict[str, Any]:
        return self._regions.choose(region).identities.set_statuses(_parse(body))

    def _add_fault(self, body: bytes, _: str | None) -> dict[str, Any]:
        self._faults.add(SandboxFault.from_document(_parse(body)))
        return {"faults": self._faults.documents()}

    def _clear_faults(self, _: bytes, __: str | None) -> dict[str, Any]:
        self._faults.clear()
        return {"faults": []}

    def _change_behaviour(self, body: bytes, _: str | None) -> dict[str, Any]:
        self._feedback.change(Behaviour.from_document(_parse(body)))
        return self._feedback.behaviour.document()

    def _write_files(self, _: bytes, __: str | None) -> dict[str, Any]:
        return {"files": [str(file) for file in self._feedback.write_files()]}

    def state(self, region: str | None = None) -> dict[str, Any]:
        """Return the settings, what was done since the start, and the queued faults; of one region or all."""
        return {
            **self._regions.describe(region),
            "latency_seconds": self._latency.seconds,
            "faults": self._faults.documents(),
        }

    def change(self, document: Any, region: str | None = None) -> None:
        """Change the members that a document names: all of them, or none if one is wrong.

        Args:
            document: as parsed.
            region: the only one that it concerns; None for all. The latency has none.

        Raises:
            ValueError: a member is unknown or has a wrong value.
        """
        if not isinstance(document, dict):
            raise ValueError("the body must be a JSON object")  # noqa: TRY004 - one kind of error for a bad document
        known = (*_CHANGES, "latency_seconds")
        unknown = sorted(document.keys() - set(known))
        if unknown:
            raise ValueError(f"{unknown[0]} cannot be changed; {', '.join(known)} can")
        latency = document.get("latency_seconds", self._latency.seconds)
        read = {name: _CHANGES[name][0](name, value) for name, value in document.items() if name in _CHANGES}
        self._latency.seconds = _number("latency_seconds", latency)

        def apply(account: SandboxAccount) -> None:
            for name, value in read.items():
                _CHANGES[name][1](account, value)

        self._regions.change(region, apply)


def refuse(message: str) -> web.Response:
    """Return the answer to a request without the token."""
    response = _json({"message": f"{message}; {docs_page('reference/sandbox.md')} describes the token"}, status=401)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _number(name: str, value: Any, *, least: float = 0.0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        raise ValueError(f"{name} must be a number from {least:g}")
    return float(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false")  # noqa: TRY004 - one kind of error for a bad document
    return value


def _status(name: str, value: Any) -> str:
    if value not in ENFORCEMENT_STATUSES:
        raise ValueError(f"{name} must be one of {', '.join(ENFORCEMENT_STATUSES)}")
    return str(value)


def _rate(name: str, value: Any) -> float | None:
    if value is not None and _number(name, value) > 1.0:
        raise ValueError(f"{name} must be null or a number from 0 to 1")
    return value if value is None else float(value)


def _fix_rate(account: SandboxAccount, value: float | None, *, kind: str) -> None:
    """Set a rate as SES computes it; None computes it from the mail again."""
    account.fixed_rates.pop(kind, None)
    if value is not None:
        account.fixed_rates[kind] = value


def _set_maximum(account: SandboxAccount, value: float) -> None:
    account.quota.maximum = value


# Member of the state -> how its value is read, and how it is set.
_CHANGES: Mapping[str, tuple[Callable[[str, Any], Any], Callable[[SandboxAccount, Any], None]]] = {
    "max_send_rate": (_number, lambda account, value: account.bucket.set_rate(value)),
    "max_24_hour_send": (partial(_number, least=-1.0), _set_maximum),
    "production_access": (_flag, lambda account, value: setattr(account, "production_access", value)),
    "vdm_enabled": (_flag, lambda account, value: setattr(account, "vdm_enabled", value)),
    "sending_enabled": (_flag, lambda account, value: setattr(account, "sending_enabled", value)),
    "reachable": (_flag, lambda account, value: setattr(account, "reachable", value)),
    "enforcement_status": (_status, lambda account, value: setattr(account, "enforcement_status", value)),
    "bounce_rate": (_rate, partial(_fix_rate, kind="BOUNCE")),
    "complaint_rate": (_rate, partial(_fix_rate, kind="COMPLAINT")),
}


def _read_region(query: str) -> str | None:
    """Return the region that a query names; None for all.

    Raises:
        ValueError: the query has anything else.
    """
    parts = parse_qs(query, keep_blank_values=True)
    unknown = sorted(parts.keys() - {"region"})
    if unknown:
        raise ValueError(f"{unknown[0]} is not a parameter; region is")
    region = parts.get("region", [""])[-1]
    if "region" in parts and not _REGION.fullmatch(region):
        raise ValueError("region must be a name such as eu-west-1")
    return region or None


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("the body must be a JSON object") from None


def _json(document: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")
