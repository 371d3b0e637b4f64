"""Mail from recipients and from their servers."""

from email.message import EmailMessage

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.feedback.inbound.authority import MailTrust, SesReceipt

SIGNER = TokenSigner([b"a-signing-key-of-32-characters-x"])
TOKEN = SIGNER.sign("Ann@b.example", "news")
PASSED = SesReceipt("pass", "pass", "pass", "ann@b.example")
SERVER = "mx.acme.example"
TRUST = MailTrust(SERVER, ("fbl.example", "arf.y.example"))
WISH = "From: Ann <ann@b.example>\r\nSubject: unsubscribe\r\n\r\n"
RESULTS = f"Authentication-Results: {SERVER}; "


def mail(body: str = "", **headers: str) -> bytes:
    made = EmailMessage()
    for name, value in {"From": "Ann <ann@b.example>", "To": "unsubscribe@acme.example", **headers}.items():
        made[name.replace("_", "-")] = value
    made.set_content(body)
    return made.as_bytes()


def report(kind: str, *parts: str, **headers: str) -> bytes:
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    body = "".join(f"--x\r\n{part}\r\n" for part in parts) + "--x--\r\n"
    start = f"From: a@p.example\r\n{head}Content-Type: multipart/report; report-type={kind}; boundary=x\r\n\r\n"
    return (start + body).encode()


ARF = "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nVersion: 1\r\nOriginal-Rcpt-To: {to}\r\n"
OURS = f"Content-Type: message/rfc822\r\n\r\nSubject: Hi\r\nList-Unsubscribe: <https://a.example/u/{TOKEN}>\r\n\r\nx"
