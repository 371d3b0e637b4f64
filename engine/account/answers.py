"""Answers of AWS, read as hostile: what is not shaped as the service says is an error of the service, not of mailrun.

botocore takes what it is given: a web page with status 200 becomes an empty answer, a number stays where a list
belongs, a member may be missing, and a body that is not an object fails within it.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import botocore.exceptions
import botocore.parsers
from botocore.model import Shape

from engine.errors import ServiceError

_REMEDY = "check the endpoint and what is between it and you, such as a proxy; then run the same command again"
_DECODED = "policyDocumentType"  # a string that botocore replaces by the document in it
_JSON = frozenset({"json", "rest-json"})
_TOKENS = (("NextToken", "NextToken"), ("Marker", "NextMarker"))  # of a request, and of its answer
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "character": (str,), "boolean": (bool,), "integer": (int,), "long": (int,),
    "float": (int, float), "double": (int, float),
}  # fmt: skip


class Answer(dict[str, Any]):
    """A structure of an answer: a member that it lacks is an error of the service.

    Attributes:
        source: the service and the operation.
    """

    source = ""

    def __missing__(self, member: str) -> Any:
        """Refuse the answer.

        Raises:
            ServiceError: always.
        """
        raise MalformedAnswerError(self.source, f"{member} is missing")


class MalformedAnswerError(ServiceError):
    """The answer is not one that the service gives."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(f"{source} gave an answer that cannot be read: {why}", where=source, remedy=_REMEDY)


def call_and_read(call: Callable[..., Any], shape: Shape | None, source: str, parameters: Mapping[str, Any]) -> Any:
    """Make a call and read its answer.

    Args:
        call: of botocore.
        shape: of the answer, as botocore models it; None where it has none.
        source: the service and the operation, for an error.
        parameters: of the call.

    Raises:
        MalformedAnswerError: the answer is not shaped as the service says.
        botocore.exceptions.ClientError: the service refused.
        botocore.exceptions.BotoCoreError: the call could not be made.
    """
    try:
        answer = call(**parameters)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
        raise  # some are a ValueError, too
    except botocore.parsers.ResponseParserError as error:
        raise MalformedAnswerError(source, "it is not in the format of the service") from error
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        # botocore's parsers fail in these ways on a body of another shape
        raise MalformedAnswerError(
            source, f"it is not in the format of the service ({type(error).__name__})"
        ) from error
    if shape is None:
        return answer
    read = _read(answer, shape, source, "")
    for given, returned in _TOKENS:
        if parameters.get(given) and parameters[given] == read.get(returned):
            raise MalformedAnswerError(source, f"its list has no end, {returned} repeats")
    return read


def refuse_other_text(client: Any) -> None:
    """Let a client refuse bodies that are not JSON where JSON is due: botocore takes them for an empty answer.

    Args:
        client: of botocore.
    """
    model = client.meta.service_model
    if model.resolved_protocol in _JSON:
        client.meta.events.register("response-received", _refuse_other_text)


def _refuse_other_text(event_name: str, response_dict: Mapping[str, Any] | None = None, **_: object) -> None:
    body = (response_dict or {}).get("body")
    if not isinstance(body, bytes) or not body or (response_dict or {}).get("status_code", 0) >= 300:
        return
    source = event_name.removeprefix("response-received.")
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        why = "it is a web page" if body.lstrip().startswith(b"<") else "it is not JSON"
        raise MalformedAnswerError(source, why) from error


def _read(value: Any, shape: Shape, source: str, path: str) -> Any:
    """Return a value with `Answer` for each structure."""
    match shape.type_name:
        case "structure":
            answer = Answer()
            answer.source = source
            members = shape.members
            for member, one in _check(value, (dict,), source, path).items():
                below = f"{path}.{member}" if path else member
                answer[member] = _read(one, members[member], source, below) if member in members else one
            return answer
        case "list":
            return [_read(one, shape.member, source, path) for one in _check(value, (list,), source, path)]
        case "map":
            return {
                name: _read(one, shape.value, source, path)
                for name, one in _check(value, (dict,), source, path).items()
            }
    if shape.name == _DECODED or shape.type_name not in _KINDS:
        return value
    kinds = _KINDS[shape.type_name]
    if isinstance(_check(value, kinds, source, path), bool) and bool not in kinds:
        raise MalformedAnswerError(source, f"{path} is of another type")
    if isinstance(value, float) and not math.isfinite(value):
        raise MalformedAnswerError(source, f"{path} is not a number")
    return value


def _check(value: Any, kinds: tuple[type, ...], source: str, path: str) -> Any:
    if not isinstance(value, kinds):
        raise MalformedAnswerError(source, f"{path or 'it'} is of another type")
    return value
