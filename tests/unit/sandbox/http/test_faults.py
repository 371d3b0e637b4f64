"""The sends that a fault of the sandbox applies to."""

from typing import Any

import pytest

from engine.sandbox.http.faults import AFTER, BEFORE, SandboxFault, SandboxFaults


def faults(*documents: dict[str, Any], seed: int = 0) -> SandboxFaults:
    queue = SandboxFaults(seed)
    for document in documents:
        queue.add(SandboxFault.from_document(document))
    return queue


def struck(queue: SandboxFaults, *recipients: str) -> str:
    fault = queue.take(BEFORE + AFTER, recipients or ("a@b.example",))
    return fault.kind if fault else ""


def test_faults_apply_in_order_and_as_often_as_configured() -> None:
    queue = faults({"kind": "throttle", "count": 2}, {"kind": "drop_after"})
    assert [struck(queue) for _ in range(4)] == ["throttle", "throttle", "drop_after", ""]
    assert queue.documents() == []


def test_fault_without_count_applies_to_every_send() -> None:
    queue = faults({"kind": "throttle", "count": None})
    assert {struck(queue) for _ in range(100)} == {"throttle"}
    queue.clear()
    assert struck(queue) == ""


def test_fault_skips_as_many_sends_as_configured() -> None:
    queue = faults({"kind": "throttle", "after": 2})
    assert [struck(queue) for _ in range(4)] == ["", "", "throttle", ""]


def test_fault_applies_to_matching_recipients_only() -> None:
    queue = faults({"kind": "reject", "match": "poison"})
    assert struck(queue, "ok@b.example") == ""
    assert struck(queue, "ok@b.example", "poison@b.example") == "reject"


def test_before_and_after_faults_wait_for_their_moment() -> None:
    queue = faults({"kind": "drop_after"})
    assert queue.take(BEFORE, ["a@b.example"]) is None
    assert queue.take(AFTER, ["a@b.example"]) is not None


def test_random_draws_depend_only_on_the_seed() -> None:
    document = {"kind": "throttle", "count": None, "probability": 0.3}
    first, second = faults(document, seed=7), faults(document, seed=7)
    rolls = [struck(first) for _ in range(1000)]
    assert rolls == [struck(second) for _ in range(1000)]
    assert 240 < rolls.count("throttle") < 360


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ([], "kind must be one of"),
        ({"kind": "other"}, "kind must be one of throttle"),
        ({"kind": "throttle", "often": 3}, "often is not a member"),
        ({"kind": "throttle", "count": 0}, "count must be"),
        ({"kind": "throttle", "count": True}, "count must be"),
        ({"kind": "throttle", "after": -1}, "after must be"),
        ({"kind": "throttle", "probability": 0}, "probability must be"),
        ({"kind": "throttle", "probability": "x"}, "probability must be"),
        ({"kind": "throttle", "match": 1}, "match must be"),
    ],
)
def test_invalid_fault_document_is_refused(document: Any, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        SandboxFault.from_document(document)
