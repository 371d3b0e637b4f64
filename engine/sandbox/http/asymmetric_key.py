"""The public keys that Signature Version 4A is verified with.

Source: AWS IAM user guide, "AWS Signature Version 4 for API requests"; NIST SP 800-108, KDF in counter mode. It has
its own derivation, so that an error of the client's would show.
"""

import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256

ALGORITHM = "AWS4-ECDSA-P256-SHA256"
_LARGEST = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC63254F  # the order of P-256, less 2


def derive_public_key(access_key: str, secret: str) -> EllipticCurvePublicKey:
    """Return the public key of a pair of credentials."""
    value, counter = _LARGEST + 1, 0
    while value > _LARGEST:
        counter += 1
        text = b"".join(
            (b"\0\0\0\x01", ALGORITHM.encode(), b"\0", access_key.encode(), counter.to_bytes(1, "big"), b"\0\0\x01\0")
        )
        value = int.from_bytes(hmac.digest(b"AWS4A" + secret.encode(), text, "sha256"), "big")
    return derive_private_key(value + 1, SECP256R1()).public_key()


def is_signed(key: EllipticCurvePublicKey, text: bytes, signature: str) -> bool:
    """Return whether a signature, in hexadecimal digits, is that of a text."""
    try:
        key.verify(bytes.fromhex(signature), text, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
