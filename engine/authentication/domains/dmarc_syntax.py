"""The whole syntax of a DMARC record, checked by checkdmarc."""

import checkdmarc.dmarc

LENGTH_MAXIMUM = 4096  # characters that are parsed


def find_dmarc_fault(record: str, domain: str) -> str:
    """Return what is wrong with a record; empty where it is valid.

    Its report addresses are left out: checkdmarc would look them up itself.

    Args:
        record: beginning with v=DMARC1.
        domain: whose record it is.
    """
    if len(record) > LENGTH_MAXIMUM:
        return f"it has more than {LENGTH_MAXIMUM} characters"
    parts = [part for part in record.split(";") if part.partition("=")[0].strip().lower() not in {"rua", "ruf"}]
    try:
        checkdmarc.dmarc.parse_dmarc_record(";".join(parts), domain)
    except checkdmarc.dmarc.DMARCError as error:
        return str(error)
    return ""
