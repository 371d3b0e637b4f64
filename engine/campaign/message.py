"""One message, and what is the same in all messages of a campaign."""

import mimetypes
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from hashlib import sha256
from pathlib import Path, PurePosixPath

from engine.campaign.mailbox import parse_mailbox
from engine.campaign.spec import Campaign
from engine.errors import DataError

# https://docs.aws.amazon.com/ses/latest/dg/mime-types.html
_REFUSED = (
    "ade adp app asp bas bat cer chm cmd com cpl crt csh der exe fxp gadget hlp hta inf ins isp its js jse ksh lib lnk "
    "mad maf mag mam maq mar mas mat mau mav maw mda mdb mde mdt mdw mdz msc msh msh1 msh2 mshxml msh1xml msh2xml msi "
    "msp mst ops pcd pif plg prf prg reg scf scr sct shb shs sys ps1 ps1xml ps2 ps2xml psc1 psc2 tmp url vb vbe vbs "
    "vps vsmacros vss vst vsw vxd ws wsc wsf wsh xnk"
)
_REFUSED_EXTENSIONS = frozenset(_REFUSED.split())
_TYPES = mimetypes.MimeTypes()  # its own table, not the machine's, so that a campaign is the same everywhere
_LARGEST_MESSAGE = 40 * 1024 * 1024  # bytes, after base64: https://docs.aws.amazon.com/ses/latest/dg/quotas.html
_LONGEST_CONTENT_TYPE = 78  # SESv2 Attachment.ContentType


@dataclass(frozen=True, slots=True)
class Message:
    """A rendered message to one recipient.

    Attributes:
        row: the recipient's row in the plan.
        address: the recipient.
        subject: one line without control characters.
        html: the HTML part, if there is one.
        text: the text part, if there is one.
        headers: further headers, names and values; printable ASCII.
        tags: SES message tags, names and values; letters, digits, - and _.
    """

    row: int
    address: str
    subject: str
    html: str | None
    text: str | None
    headers: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with every message."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is the same in all messages of a campaign: mailboxes in header form, attachments, configuration set."""

    sender: str
    reply_to: tuple[str, ...]
    attachments: tuple[Attachment, ...]
    configuration_set: str | None


def prepare_envelope(campaign: Campaign) -> Envelope:
    """Encode the mailboxes and read the attachments of a campaign.

    Raises:
        DataError: an attachment is missing, or SES refuses its kind or the size of all of them.
    """
    spec = campaign.spec
    attachments = tuple(_read_attachment(campaign.folder, path) for path in spec.content.attachments)
    encoded = sum((len(one.content) + 2) // 3 * 4 for one in attachments)
    if encoded >= _LARGEST_MESSAGE:
        raise DataError(
            f"the attachments take {encoded / 1024**2:.1f} MB of a message, and SES takes 40 MB in all",
            where=str(campaign.folder / "campaign.toml"),
            remedy="link to large files instead",
        )
    return Envelope(
        sender=parse_mailbox(spec.sender).encode(),
        reply_to=tuple(parse_mailbox(mailbox).encode() for mailbox in spec.reply_to),
        attachments=attachments,
        configuration_set=spec.delivery.configuration_set,
    )


def _read_attachment(folder: Path, path: str) -> Attachment:
    file, name = folder / path, PurePosixPath(path).name
    if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"the attachment {path} is missing",
            where=str(file),
            remedy="put the file there, or remove it from attachments",
        )
    extension = PurePosixPath(path).suffix.removeprefix(".").lower()
    if extension in _REFUSED_EXTENSIONS:
        raise DataError(f"SES refuses attachments of the kind .{extension}", where=str(file), remedy="link to the file")
    guessed, compression = _TYPES.guess_type(name)
    fits = guessed is not None and compression is None and len(guessed) <= _LONGEST_CONTENT_TYPE
    content_type = guessed if guessed and fits else "application/octet-stream"
    return Attachment(name=name, content_type=content_type, content=file.read_bytes())


class _PreviewPolicy(EmailPolicy):
    """Writes List-* headers on one line: folding would RFC 2047-encode long links, and no mail program reads that."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower().startswith("list-"):
            return f"{name}: {value}\r\n".encode("ascii")
        return super().fold_binary(name, value)


_POLICY = _PreviewPolicy(linesep=SMTP.linesep)


def write_eml(message: Message, envelope: Envelope) -> bytes:
    """Return the message as an .eml file, which mail programs open. The same message gives the same bytes.

    It has no Date and no Message-ID: SES sets them.
    """
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = envelope.sender
    mail["To"] = message.address
    if envelope.reply_to:
        mail["Reply-To"] = ", ".join(envelope.reply_to)
    mail["Subject"] = message.subject
    for name, value in message.headers:
        mail[name] = value
    if message.text is not None:
        mail.set_content(message.text)
    if message.html is not None and message.text is None:
        mail.set_content(message.html, subtype="html")
    elif message.html is not None:
        mail.add_alternative(message.html, subtype="html")
    for one in envelope.attachments:
        kind, _, subtype = one.content_type.partition("/")
        mail.add_attachment(one.content, maintype=kind, subtype=subtype, filename=one.name)
    digest = sha256(f"{message.html}\0{message.text}".encode()).hexdigest()[:32]
    for number, part in enumerate(part for part in mail.walk() if part.is_multipart()):
        part.set_boundary(f"=_{digest}_{number}")
    return mail.as_bytes()
