"""A DKIM key of one's own (BYODKIM): generated once, kept in a file that only its owner can read.

SES takes RSA keys of 1024 to 2048 bits as one line of base64
(https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dkim-bring-your-own.html).
"""

import base64
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Struct

from engine.errors import ConfigurationError

BITS = 2048
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
_MOST_BYTES = 20_480  # of a private key, as SES takes it


class OwnDkimKey(Struct, frozen=True):
    """A key as SES and DNS take it.

    Attributes:
        public: base64 text of the public key, without line ends.
    """

    _key: rsa.RSAPrivateKey

    @property
    def public(self) -> str:
        """The base64 text of the public key."""
        found = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(found).decode()

    def export_private(self) -> str:
        """Return the base64 text of the private key: a secret."""
        found = self._key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return base64.b64encode(found).decode()


def find_key(path: Path) -> OwnDkimKey | None:
    """Read a key; None where there is no file.

    Raises:
        ConfigurationError: the file is not such a key, cannot be read, or is open to other users.
    """
    try:
        with path.open("rb") as file:
            others_read = os.fstat(file.fileno()).st_mode & 0o077
            text = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"the DKIM key cannot be read: {error.strerror}", where=str(path), remedy="make it readable for its owner"
        ) from error
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError) as error:
        raise _refuse(path) from error
    if not isinstance(key, rsa.RSAPrivateKey) or not 1024 <= key.key_size <= BITS:
        raise _refuse(path)
    if others_read:
        raise ConfigurationError(
            "other users of this machine may use the DKIM key", where=str(path), remedy="run chmod 600 on the file"
        )
    return OwnDkimKey(key)


def make_key(path: Path) -> OwnDkimKey:
    """Return the key in a file; generate it where there is none. A file is never overwritten.

    Raises:
        ConfigurationError: as `find_key`; or the file cannot be written.
    """
    found = find_key(path)
    if found is not None:
        return found
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        _write_new(path, text)
    except OSError as error:
        raise ConfigurationError(
            f"the DKIM key cannot be written: {error.strerror}", where=str(path), remedy="make the folder writable"
        ) from error
    written = find_key(path)
    if written is None:
        raise _refuse(path)
    return written


def _write_new(path: Path, text: bytes) -> None:
    """Write a file whole, unless there is one: then that one stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another set-up was faster: its key is the key
    finally:
        draft.unlink()


def _refuse(path: Path) -> ConfigurationError:
    return ConfigurationError(
        "the file is not an RSA key of 1024 to 2048 bits in PEM",
        where=str(path),
        remedy="restore the file from a backup, or choose another selector: a new key is generated for it",
    )
