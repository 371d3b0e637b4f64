"""The AWS calls of commands: `python -m support.recorded_calls STEPS RECORD` runs commands in one process.

STEPS is a JSON list of {role, arguments, environment}; `lambda` instead of arguments makes the unsubscribe handler
answer that event. RECORD gets one JSON line for every call: role, service, operation, and the parameters that name a
resource. Calls are recorded at the client, so that retries and signing are unchanged.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAMES = (
    "Bucket",
    "Key",
    "Prefix",
    "CopySource",
    "QueueUrl",
    "EmailIdentity",
    "ConfigurationSetName",
    "FromEmailAddress",
    "QueueName",
    "TopicArn",
    "Name",
    "Rule",
    "DeliveryStreamName",
    "RoleName",
    "HostedZoneId",
)


class Recorder:
    """Records every call of botocore, aiobotocore and the lean SES client."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.role = ""

    def record(self, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
        named = {name: parameters[name] for name in NAMES if name in parameters}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([self.role, service, operation, named]) + "\n")

    def install(self) -> None:
        from aiobotocore.client import AioBaseClient  # noqa: PLC0415 - this is run as a program, too
        from botocore.client import BaseClient  # noqa: PLC0415

        from engine.delivery.transports.callers import LeanCaller  # noqa: PLC0415

        call, call_async, call_lean = BaseClient._make_api_call, AioBaseClient._make_api_call, LeanCaller.call

        def recorded(client: Any, operation: str, parameters: Any) -> Any:
            self.record(client.meta.service_model.service_name, operation, parameters)
            return call(client, operation, parameters)

        async def recorded_async(client: Any, operation: str, parameters: Any) -> Any:
            self.record(client.meta.service_model.service_name, operation, parameters)
            return await call_async(client, operation, parameters)

        async def recorded_lean(caller: Any, operation: str, body: bytes) -> Any:
            self.record("sesv2", operation, json.loads(body))
            return await call_lean(caller, operation, body)

        BaseClient._make_api_call = recorded
        AioBaseClient._make_api_call = recorded_async
        LeanCaller.call = recorded_lean  # type: ignore[method-assign, assignment]


def read_calls(path: Path) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Read role, service, operation and parameters of every call."""
    for line in path.read_text(encoding="utf-8").splitlines():
        role, service, operation, parameters = json.loads(line)
        yield role, service, operation, parameters


def main(steps: Path, record: Path) -> None:
    from engine.cli.table import cli  # noqa: PLC0415 - as above
    from engine.feedback.unsubscribe.lambda_handler import make_lambda_handler  # noqa: PLC0415

    recorder, before = Recorder(record), dict(os.environ)
    recorder.install()
    for step in json.loads(steps.read_text(encoding="utf-8")):
        recorder.role = step["role"]
        os.environ.clear()
        os.environ.update(before | step["environment"])
        if "lambda" in step:
            answer = make_lambda_handler(Path.cwd())(step["lambda"], None)
            assert answer["statusCode"] == 200, answer
            continue
        code = cli.main(step["arguments"], standalone_mode=False) or 0
        assert code in step["codes"], f"{step['arguments']}: exit code {code}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
