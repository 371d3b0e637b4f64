"""Proxies from environment variables, for messages about failed requests."""

import os
from urllib.parse import urlsplit

import botocore.exceptions
from botocore.utils import get_environ_proxies

from engine.masking import MASK, mask_url


def find_proxy(url: str) -> str:
    """Return the proxy that requests to a URL go through, without its secrets; empty for none."""
    parts = urlsplit(url)
    if not parts.hostname:
        return ""
    return _leave_out_login(str(get_environ_proxies(url).get(parts.scheme, "")))


def exempt(url: str) -> dict[str, str]:
    """Return the variable that lets AWS clients reach a URL without the proxy; empty where no proxy is named."""
    if not find_proxy(url):
        return {}
    known = [one for one in (os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "").split(",") if one]
    return {"NO_PROXY": ",".join([*known, urlsplit(url).hostname or ""])}


def explain_proxy(error: Exception, remedy: str) -> str:
    """Return the remedy for a failed request; names the proxy where the request went through one.

    Args:
        error: botocore's; it may have the proxy's URL, or the endpoint's.
        remedy: what to do where there is no proxy.
    """
    details = getattr(error, "kwargs", {})
    url = str(details.get("endpoint_url") or "")
    proxy = find_proxy(url)
    if isinstance(error, botocore.exceptions.ProxyConnectionError):
        proxy = proxy or _leave_out_login(str(details.get("proxy_url", "")))
    if not proxy:
        return remedy
    host = urlsplit(url).hostname or "the endpoint's host"
    return f"requests go through the proxy {proxy} (HTTP_PROXY, HTTPS_PROXY): correct it, or add {host} to NO_PROXY"


def _leave_out_login(url: str) -> str:
    return mask_url(url).replace(f"{MASK}@", "")
