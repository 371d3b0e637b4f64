"""Environment variables whose names begin with MAILRUN_: each is a setting, or a mistake."""

import re
from collections.abc import Collection, Mapping

from engine.errors import ConfigurationError, escape_undecodable, nearest

PREFIX = "MAILRUN_"

# What Kubernetes sets in every pod of a namespace with a Service called `mailrun` or `mailrun-…`
# (kubernetes.io/docs/concepts/services-networking/service, "Environment variables").
_SERVICE = re.compile(
    r"MAILRUN_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_URL = re.compile(r"MAILRUN_(\w+_)?PORT")
_URL = re.compile(r"(tcp|udp|sctp)://\S+")


def check_environment(environment: Mapping[str, str], settings: Collection[str]) -> None:
    """Check that every variable that begins with MAILRUN_ is a setting, in UTF-8.

    Variables that Kubernetes sets for a Service called `mailrun` are ignored.

    Args:
        environment: names and values.
        settings: the names of the variables that are settings.

    Raises:
        ConfigurationError: a variable is not a setting; the message names the nearest one.
    """
    for name, value in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        if name not in settings and not _is_of_kubernetes(name, value):
            raise ConfigurationError(
                f"{escape_undecodable(name)} is not a setting",
                where="the environment",
                remedy=nearest(name, [one for one in settings if one.startswith(f"{name}_")] or list(settings)),
            )
        if escape_undecodable(value) != value:
            raise ConfigurationError(
                f"the value of {name} is not valid UTF-8", where="the environment", remedy="write it in UTF-8"
            )


def _is_of_kubernetes(name: str, value: str) -> bool:
    return bool(_SERVICE.fullmatch(name)) or bool(_SERVICE_URL.fullmatch(name) and _URL.fullmatch(value))
