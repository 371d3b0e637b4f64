"""The media types of attachments and inline images: a fixed table, so that every machine uses the same types.

Sources: IANA's registry of media types, and for types that it lacks, the names that mail programs use.
"""

import re
from pathlib import PurePosixPath

UNKNOWN = "application/octet-stream"
_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument"
# Type -> extensions.
_TABLE = {
    "application/pdf": "pdf",
    "application/msword": "doc dot",
    "application/vnd.ms-excel": "xls xlt",
    "application/vnd.ms-powerpoint": "ppt pps pot",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    f"{_OFFICE}.wordprocessingml.template": "dotx",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
    f"{_OFFICE}.spreadsheetml.template": "xltx",
    f"{_OFFICE}.presentationml.presentation": "pptx",
    f"{_OFFICE}.presentationml.slideshow": "ppsx",
    f"{_OFFICE}.presentationml.template": "potx",
    "application/vnd.ms-word.document.macroEnabled.12": "docm",
    "application/vnd.ms-word.template.macroEnabled.12": "dotm",
    "application/vnd.ms-excel.sheet.macroEnabled.12": "xlsm",
    "application/vnd.ms-excel.sheet.binary.macroEnabled.12": "xlsb",
    "application/vnd.ms-powerpoint.presentation.macroEnabled.12": "pptm",
    "application/vnd.ms-outlook": "msg",
    "application/vnd.ms-project": "mpp",
    "application/vnd.visio": "vsd",
    "application/onenote": "one",
    "application/oxps": "oxps",
    "application/vnd.ms-xpsdocument": "xps",
    f"{_OPEN_DOCUMENT}.text": "odt",
    f"{_OPEN_DOCUMENT}.text-template": "ott",
    f"{_OPEN_DOCUMENT}.spreadsheet": "ods",
    f"{_OPEN_DOCUMENT}.presentation": "odp",
    f"{_OPEN_DOCUMENT}.graphics": "odg",
    f"{_OPEN_DOCUMENT}.formula": "odf",
    "application/vnd.apple.pages": "pages",
    "application/vnd.apple.numbers": "numbers",
    "application/vnd.apple.keynote": "key",
    "application/vnd.apple.pkpass": "pkpass",
    "application/vnd.apple.pkpasses": "pkpasses",
    "application/rtf": "rtf",
    "application/epub+zip": "epub",
    "application/x-mobipocket-ebook": "mobi",
    "application/postscript": "ps eps ai",
    "application/json": "json",
    "application/ld+json": "jsonld",
    "application/geo+json": "geojson",
    "application/x-ndjson": "ndjson jsonl",
    "application/xml": "xml xsd xsl",
    "application/yaml": "yaml yml",
    "application/toml": "toml",
    "application/sql": "sql",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.sqlite3": "sqlite sqlite3",
    "application/vnd.google-earth.kml+xml": "kml",
    "application/vnd.google-earth.kmz": "kmz",
    "application/gpx+xml": "gpx",
    "application/zip": "zip",
    "application/gzip": "gz tgz",
    "application/x-bzip2": "bz2",
    "application/x-xz": "xz",
    "application/zstd": "zst",
    "application/x-tar": "tar",
    "application/x-7z-compressed": "7z",
    "application/vnd.rar": "rar",
    "application/pkcs7-mime": "p7m p7c",
    "application/pkcs7-signature": "p7s",
    "application/x-pkcs12": "p12 pfx",
    "application/pgp-encrypted": "pgp gpg",
    "application/pgp-signature": "sig",
    "text/calendar": "ics ical ifb icalendar",
    "text/x-vcalendar": "vcs",
    "text/vcard": "vcf vcard",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv tab",
    "text/plain": "txt text log asc",
    "text/markdown": "md markdown",
    "text/html": "html htm",
    "text/css": "css",
    "text/xml": "rss atom",
    "image/png": "png",
    "image/apng": "apng",
    "image/jpeg": "jpg jpeg jpe jfif",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/heif": "heif",
    "image/jxl": "jxl",
    "image/bmp": "bmp",
    "image/tiff": "tif tiff",
    "image/svg+xml": "svg",
    "image/vnd.microsoft.icon": "ico",
    "image/vnd.adobe.photoshop": "psd",
    "image/vnd.dwg": "dwg",
    "image/vnd.dxf": "dxf",
    "model/stl": "stl",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a m4b",
    "audio/aac": "aac",
    "audio/wav": "wav",
    "audio/ogg": "ogg oga opus",
    "audio/flac": "flac",
    "audio/midi": "mid midi",
    "audio/webm": "weba",
    "video/mp4": "mp4 m4v",
    "video/quicktime": "mov qt",
    "video/webm": "webm",
    "video/ogg": "ogv",
    "video/mpeg": "mpeg mpg",
    "video/matroska": "mkv",
    "video/x-msvideo": "avi",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "3gp",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "font/woff": "woff",
    "font/woff2": "woff2",
}
_TYPES = {extension: name for name, extensions in _TABLE.items() for extension in extensions.split()}
_METHOD = re.compile(rb"^METHOD\s*:\s*([A-Za-z][A-Za-z-]{1,30})\s*$", re.MULTILINE | re.IGNORECASE)
_COMPONENT = re.compile(rb"^BEGIN:(?!VCALENDAR)", re.MULTILINE | re.IGNORECASE)


def find_content_type(name: str, content: bytes) -> str:
    r"""Return the media type of a file from its name and, for text, its content.

    UTF-8 text gets a charset, and an invitation gets the METHOD of its calendar (RFC 5545 3.7.2, RFC 6047 2.4).

    >>> find_content_type("Invite.ICS", b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n")
    'text/calendar; charset=utf-8; method=REQUEST'
    """
    found = _TYPES.get(PurePosixPath(name).suffix.removeprefix(".").lower(), UNKNOWN)
    if not found.startswith("text/"):
        return found
    charset = "; charset=utf-8" if _is_utf8(content) else ""
    method = _find_method(content) if found == "text/calendar" else ""
    return f"{found}{charset}{method}"


def _find_method(content: bytes) -> str:
    """Return the `method` parameter, which makes mail programs show an invitation, from the calendar's own property."""
    head = content.replace(b"\r", b"\n")
    if (component := _COMPONENT.search(head)) is not None:
        head = head[: component.start()]
    method = _METHOD.search(head)
    return f"; method={method[1].decode('ascii').upper()}" if method else ""


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
