"""Tag lists of TXT records: `v=DKIM1; k=rsa; p=…` (RFC 6376 3.2)."""


def read_tags(record: str) -> dict[str, str] | None:
    """Read the tags of a record, names in lower case; None where it is not a tag list or repeats a tag.

    >>> read_tags("v=DMARC1; p=none;")
    {'v': 'DMARC1', 'p': 'none'}
    """
    tags: dict[str, str] = {}
    parts = record.split(";")
    if not parts[-1].strip():
        parts.pop()
    for part in parts:
        name, sign, value = part.partition("=")
        name = name.strip().lower()
        if not sign or not name or name in tags:
            return None
        tags[name] = value.strip()
    return tags


def starts_with_version(record: str, version: str) -> bool:
    """Return whether a record begins with `v=VERSION`, with white space as it is permitted.

    >>> starts_with_version("v = DMARC1 ;p=none", "DMARC1")
    True
    """
    name, sign, rest = record.partition("=")
    return name.strip() == "v" and bool(sign) and rest.partition(";")[0].strip() == version
