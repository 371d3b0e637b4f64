"""The state of the SES account's access: region, endpoint, credentials, clock and permission, for `mailrun doctor`.

GetAccount tells most of it: SES answers it with the time of its clock, also where it refuses the call.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import botocore.exceptions
from botocore.config import Config
from msgspec import Struct

from engine.account.client import refuse_bad_endpoint, translate_aws_errors
from engine.account.permission_probe import LaunchNeeds, TriedPermission, try_permissions
from engine.account.permissions import explain_denied, is_denied
from engine.account.session import make_session
from engine.clock import Clock

# A person waits for it: one attempt, and less patience than a launch has.
_PATIENCE = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1, "mode": "standard"})


class AccountAccess(Struct, frozen=True):
    """How this machine reaches SES.

    Attributes:
        region: the region of botocore's configuration.
        endpoint: URL of the calls.
        credentials: where they come from, such as `env` or `assume-role`; empty where there are none.
        key_id: the first four characters of the access key id, which tell its kind; empty without credentials.
        problem: why GetAccount failed; empty where it did not, or was not called for want of credentials.
        remedy: what to do about it.
        skew_seconds: this machine's clock less SES's; None where SES did not answer.
        tried: permissions that a launch needs; empty unless GetAccount is permitted.
    """

    region: str
    endpoint: str
    credentials: str
    key_id: str
    problem: str
    remedy: str
    skew_seconds: float | None
    tried: Sequence[TriedPermission] = ()


def read_access(clock: Clock, needs: LaunchNeeds) -> AccountAccess:
    """Read how this machine reaches SES, with one call, and with one more for each permission that can be tried.

    Args:
        clock: the time, which is compared with SES's.
        needs: what the launches of the workspace call AWS for.

    Raises:
        ConfigurationError: there is no region, the profile does not exist, or a file of AWS cannot be read.
    """
    with translate_aws_errors("SES"):
        session = make_session()
        with refuse_bad_endpoint("sesv2"):
            client = session.create_client("sesv2", config=_PATIENCE)
        found = session.get_credentials()
    try:
        endpoint, region = client.meta.endpoint_url, client.meta.region_name
        if found is None:
            return AccountAccess(region, endpoint, "", "", "", "", None)
        key_id = found.access_key[:4]
        answer, problem, remedy = _call(client)
        skew = _measure_skew(answer, clock.now())
    finally:
        client.close()
    tried = () if problem else tuple(try_permissions(lambda name: session.create_client(name, config=_PATIENCE), needs))
    return AccountAccess(region, endpoint, found.method, key_id, problem, remedy, skew, tried)


def _call(client: Any) -> tuple[Mapping[str, Any] | None, str, str]:
    """Call GetAccount; return its metadata, and what is wrong and what to do."""
    try:
        return client.get_account()["ResponseMetadata"], "", ""
    except botocore.exceptions.ClientError as error:
        metadata, code = error.response.get("ResponseMetadata", {}), error.response["Error"].get("Code", "")
        what = f"SES refuses GetAccount: {error.response['Error'].get('Message') or code}"
        if is_denied(code):
            return metadata, what, explain_denied(error)
        return metadata, what, "check the credentials, the region and the clock of this machine"
    except botocore.exceptions.BotoCoreError as error:
        return None, f"SES does not answer: {error}", "check the network, the proxy and AWS_ENDPOINT_URL_SESV2"


def _measure_skew(metadata: Mapping[str, Any] | None, now: datetime) -> float | None:
    """Compare a clock with the `Date` field of an answer (RFC 9110, section 6.6.1), which has whole seconds."""
    written = {name.lower(): value for name, value in (metadata or {}).get("HTTPHeaders", {}).items()}.get("date")
    try:
        theirs = parsedate_to_datetime(written) if written else None
    except ValueError:
        return None
    return None if theirs is None else (now.astimezone(UTC) - theirs.astimezone(UTC)).total_seconds()
