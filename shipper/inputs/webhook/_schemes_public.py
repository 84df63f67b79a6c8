"""Signatures that everybody can check and only the holder of a private key can make: Ed25519 and, older, RSA."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key


def _signature(text: str) -> bytes | None:
    """The bytes of a signature in base64, written the one way in which they are."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


@lru_cache(maxsize=64)
def _key(raw: bytes) -> Ed25519PublicKey | RSAPublicKey | None:
    try:
        if len(raw) == 32:
            return Ed25519PublicKey.from_public_bytes(raw)
        key = load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None


def ed25519(keys: Sequence[bytes], body: bytes, text: str) -> bool:
    """Whether one of the keys made the Ed25519 signature `text` (base64) of `body` (RFC 8032)."""
    raw = _signature(text)
    for key in (_key(bytes(one)) for one in keys):
        if raw is not None and isinstance(key, Ed25519PublicKey):
            try:
                key.verify(raw, body)
            except InvalidSignature:
                continue
            return True
    return False


def rsa(keys: Sequence[bytes], body: bytes, text: str) -> bool:
    """Whether one of the keys made the RSA signature `text` (base64) of `body` (PKCS #1 v1.5, SHA-256)."""
    raw = _signature(text)
    for key in (_key(bytes(one)) for one in keys):
        if raw is not None and isinstance(key, RSAPublicKey):
            try:
                key.verify(raw, body, PKCS1v15(), SHA256())
            except InvalidSignature:
                continue
            return True
    return False
