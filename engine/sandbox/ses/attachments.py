"""Attachments of Simple and Template content.

Source: SES API v2 `Attachment`; developer guide, "Unsupported attachment types".
"""

import binascii
from base64 import b64decode
from typing import Any

from msgspec import Struct

from engine.sandbox.http.replies import bad_request
from engine.sandbox.ses.draft import DraftAttachment
from engine.sandbox.ses.members import check_length, items, one_of, optional, required

MAX_FILE_NAME_CHARACTERS = 255
MAX_DESCRIPTION_CHARACTERS = 1000
MAX_TYPE_CHARACTERS = 78  # of ContentType and ContentId
DEFAULT_TYPE = "application/octet-stream"

_FORBIDDEN = frozenset({
    "ade", "adp", "app", "asp", "bas", "bat", "cer", "chm", "cmd", "com", "cpl", "crt", "csh", "der", "exe",
    "fxp", "gadget", "hlp", "hta", "inf", "ins", "isp", "its", "js", "jse", "ksh", "lib", "lnk", "mad", "maf",
    "mag", "mam", "maq", "mar", "mas", "mat", "mau", "mav", "maw", "mda", "mdb", "mde", "mdt", "mdw", "mdz",
    "msc", "msh", "msh1", "msh2", "mshxml", "msh1xml", "msh2xml", "msi", "msp", "mst", "ops", "pcd", "pif",
    "plg", "prf", "prg", "ps1", "ps1xml", "ps2", "ps2xml", "psc1", "psc2", "reg", "scf", "scr", "sct", "shb",
    "shs", "sys", "tmp", "url", "vb", "vbe", "vbs", "vps", "vsmacros", "vss", "vst", "vsw", "vxd", "ws", "wsc",
    "wsf", "wsh", "xnk",
})  # fmt: skip


class Attachments(Struct, frozen=True):
    """What is stored of the attachments of a message, and their size in it."""

    kept: list[DraftAttachment]
    encoded_bytes: int


def read_attachments(source: dict[str, Any], *, path: str) -> Attachments:
    """Return the attachments of a content structure.

    Raises:
        ApiError: BadRequestException for what SES does not accept.
    """
    given = items(source, "Attachments", dict, path=path)
    if not given:
        return Attachments([], 0)
    where = f"{path}Attachments."
    kept = [_read_attachment(attachment, where) for attachment in given]
    return Attachments(kept, sum(len(attachment["RawContent"]) for attachment in given))


def _read_attachment(attachment: dict[str, Any], where: str) -> DraftAttachment:
    name = required(attachment, "FileName", str, path=where)
    check_length(name, minimum=1, maximum=MAX_FILE_NAME_CHARACTERS, where=where + "FileName")
    if name.rpartition(".")[2].lower() in _FORBIDDEN and "." in name:
        raise bad_request(f"Illegal filename: '{name}'.")
    kind = optional(attachment, "ContentType", str, path=where)
    check_length(kind, minimum=1, maximum=MAX_TYPE_CHARACTERS, where=where + "ContentType")
    content_id = optional(attachment, "ContentId", str, path=where)
    check_length(content_id, minimum=1, maximum=MAX_TYPE_CHARACTERS, where=where + "ContentId")
    description = optional(attachment, "ContentDescription", str, path=where)
    check_length(description, maximum=MAX_DESCRIPTION_CHARACTERS, where=where + "ContentDescription")
    one_of(attachment, "ContentDisposition", ("ATTACHMENT", "INLINE"), path=where)
    coding = one_of(attachment, "ContentTransferEncoding", ("BASE64", "QUOTED_PRINTABLE", "SEVEN_BIT"), path=where)
    try:
        data = b64decode(required(attachment, "RawContent", str, path=where), validate=True)
    except binascii.Error:
        raise bad_request(f"{where}RawContent of {name} is not base64.") from None
    if coding in {None, "SEVEN_BIT"} and not data.isascii():
        raise bad_request(f"{where}ContentTransferEncoding of {name} is SEVEN_BIT, its content is not.")
    return {"name": name, "type": kind or DEFAULT_TYPE, "size": len(data)}
