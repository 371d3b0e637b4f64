"""One message, and what is the same in all messages of a campaign."""

from collections.abc import Hashable, Sequence
from pathlib import Path, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace

from engine.addresses.mailbox import parse_mailbox
from engine.campaign.file_types import find_content_type
from engine.campaign.files import read_file
from engine.campaign.part_writers import PartWriter
from engine.campaign.spec import Campaign
from engine.campaign.spec_sections import UnsubscribeSpec
from engine.errors import DataError

# https://docs.aws.amazon.com/ses/latest/dg/mime-types.html
_REFUSED = (
    "ade adp app asp bas bat cer chm cmd com cpl crt csh der exe fxp gadget hlp hta inf ins isp its js jse ksh lib lnk "
    "mad maf mag mam maq mar mas mat mau mav maw mda mdb mde mdt mdw mdz msc msh msh1 msh2 mshxml msh1xml msh2xml msi "
    "msp mst ops pcd pif plg prf prg reg scf scr sct shb shs sys ps1 ps1xml ps2 ps2xml psc1 psc2 tmp url vb vbe vbs "
    "vps vsmacros vss vst vsw vxd ws wsc wsf wsh xnk"
)
_REFUSED_EXTENSIONS = frozenset(_REFUSED.split())
_LARGEST_MESSAGE = 40 * 1024 * 1024  # bytes, after base64: https://docs.aws.amazon.com/ses/latest/dg/quotas.html


class Part(Struct, eq=False):
    """A part of a message: its text, and how it was written for the message's transport.

    Attributes:
        pieces: of the text, in order.
        written: by the writer, where there is one.
        writer: of `written`.
        statics: equal in all messages whose parts have the same Static pieces; None if the part has none.
    """

    pieces: Sequence[str]
    written: bytes = b""
    writer: PartWriter | None = None
    statics: Hashable = None

    @property
    def text(self) -> str:
        """The text as a whole."""
        return "".join(self.pieces)

    def write(self, writer: PartWriter) -> bytes:
        """Return the part as a writer writes it."""
        return self.written if writer is self.writer else writer.write(self.pieces)

    def __reduce__(self) -> tuple[type["Part"], tuple[list[str]]]:
        """Pickle the text alone: another process has its own writers."""
        return Part, ([self.text],)


class Message(Struct, frozen=True):
    """A rendered message to one recipient.

    Attributes:
        row: the recipient's row in the plan.
        address: the recipient.
        subject: one line without control characters.
        html_part: the HTML part, if there is one.
        text_part: the text part, if there is one.
        headers: further headers, names and values; printable ASCII.
        tags: SES message tags, names and values; letters, digits, - and _.
        language: the variant that it was rendered from; None is the default.
    """

    row: int
    address: str
    subject: str
    html_part: Part | None
    text_part: Part | None
    headers: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...]
    language: str | None = None

    @property
    def html(self) -> str | None:
        """The text of the HTML part, if there is one."""
        return None if self.html_part is None else self.html_part.text

    @property
    def text(self) -> str | None:
        """The text of the text part, if there is one."""
        return None if self.text_part is None else self.text_part.text


class Attachment(Struct, frozen=True):
    """A file that is attached to every message; with a content id, an inline image (RFC 2392).

    `content_type` has its parameters, such as `text/calendar; charset=utf-8; method=PUBLISH`; 78 characters at most.
    """

    name: str
    content_type: str
    content: bytes
    content_id: str | None = None


class ListManagement(Struct, frozen=True):
    """SES's own subscription management: it adds the unsubscribe links, and applies the opt-outs."""

    contact_list: str
    topic: str | None


class Envelope(Struct, frozen=True):
    """What is the same in all messages of a campaign.

    Attributes:
        sender: mailbox in header form.
        reply_to: mailboxes in header form.
        attachments: files and inline images.
        configuration_set: of SES; None where the campaign names none.
        list_management: SES's own subscription management, if it is used.
        endpoint_id: of an SES multi-region endpoint.
        tenant: of SES.
        open_tracking: overrides the configuration set; None leaves it to the set.
        click_tracking: as above.
    """

    sender: str
    reply_to: tuple[str, ...]
    attachments: tuple[Attachment, ...]
    configuration_set: str | None
    list_management: ListManagement | None = None
    endpoint_id: str | None = None
    tenant: str | None = None
    open_tracking: bool | None = None
    click_tracking: bool | None = None


def prepare_envelope(campaign: Campaign) -> Envelope:
    """Encode the mailboxes and read the attachments of a campaign.

    Raises:
        DataError: an attachment is missing, or SES refuses its kind or the size of all of them.
    """
    spec = campaign.spec
    attachments = tuple(_read_attachment(campaign.folder, path) for path in spec.content.attachments)
    attachments += tuple(_read_inline(campaign.folder, path) for path in spec.content.inline)
    _refuse_repeats(campaign, attachments)
    encoded = sum((len(one.content) + 2) // 3 * 4 for one in attachments)
    if encoded >= _LARGEST_MESSAGE:
        raise DataError(
            f"the attachments need {encoded / 1024**2:.1f} MB of a message, and SES accepts 40 MB in all",
            where=str(campaign.folder / "campaign.toml"),
            remedy="link to large files instead",
        )
    return Envelope(
        sender=parse_mailbox(spec.sender).encode(),
        reply_to=tuple(parse_mailbox(mailbox).encode() for mailbox in spec.reply_to),
        attachments=attachments,
        configuration_set=spec.delivery.configuration_set,
        list_management=_read_list_management(spec.unsubscribe),
        endpoint_id=spec.delivery.endpoint_id,
        tenant=spec.delivery.tenant,
        open_tracking=spec.delivery.open_tracking,
        click_tracking=spec.delivery.click_tracking,
    )


def _read_list_management(unsubscribe: UnsubscribeSpec | None) -> ListManagement | None:
    if unsubscribe is None or unsubscribe.ses_contact_list is None:
        return None
    return ListManagement(unsubscribe.ses_contact_list, unsubscribe.ses_topic)


def _refuse_repeats(campaign: Campaign, attachments: Sequence[Attachment]) -> None:
    ids = [one.content_id for one in attachments if one.content_id]
    for repeated in {one for one in ids if ids.count(one) > 1}:
        raise DataError(
            f"two inline images are called {repeated}",
            where=str(campaign.folder / "campaign.toml"),
            remedy="rename one of them: cid: links refer to the name",
        )


def _read_inline(folder: Path, path: str) -> Attachment:
    found = _read_attachment(folder, path)
    if not found.content_type.startswith("image/"):
        raise DataError(
            f"{path} is not an image, and inline files must be images",
            where=str(folder / path),
            remedy="list it in attachments instead",
        )
    return replace(found, content_id=found.name)


def _read_attachment(folder: Path, path: str) -> Attachment:
    content, name = read_file(folder, path), PurePosixPath(path).name
    if content is None:
        raise DataError(
            f"the attachment {path} is missing",
            where=str(folder / path),
            remedy="put the file there, or remove it from attachments",
        )
    extension = PurePosixPath(path).suffix.removeprefix(".").lower()
    if extension in _REFUSED_EXTENSIONS:
        raise DataError(
            f"SES refuses attachments of the type .{extension}",
            where=str(folder / path),
            remedy="remove it from attachments, and link to the file instead",
        )
    return Attachment(name=name, content_type=find_content_type(name, content), content=content)
