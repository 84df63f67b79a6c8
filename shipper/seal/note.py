"""Signed notes and checkpoints in the formats of C2SP signed-note and tlog-checkpoint, with Ed25519 and no extensions.

Pure. A note is text that ends in a newline, an empty line, and one or more lines
`— <key name> <base64(4-byte key id || signature)>`. A checkpoint's text is three lines: origin, size, base64 root.
The key id is the first four bytes of SHA-256(name || 0x0A || 0x01 || 32-byte public key).

Everything parsed here is hostile: any deviation is a `NoteError`, and text counts only after `verify_note`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shipper.seal.tree import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NOTE: Final = 64_000
"""Bytes of a note that is read; the specification asks for room for at least 16 signatures."""
_MAX_SIGNATURES: Final = 100
_ED25519: Final = b"\x01"
_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f\u200b]{1,512}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)


class NoteError(ValueError):
    """A note, checkpoint or verifier key that is malformed, or a note that no trusted key signed."""


class Signature(NamedTuple):
    """One signature line: key name, 4-byte key id, and the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes


class SignedNote(NamedTuple):
    """A parsed note; `text` ends in a newline and is not to be believed before `verify_note`."""

    text: str
    signatures: tuple[Signature, ...]


class Verifier(NamedTuple):
    """A key to check signatures with: its name and the 32 bytes of an Ed25519 public key."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before a signature."""
        return key_id(self.name, self.public)


class Checkpoint(NamedTuple):
    """What a checkpoint states: the log's origin, its number of leaves and its root hash (32 bytes)."""

    origin: str
    size: int
    root: bytes


def key_id(name: str, public: bytes) -> bytes:
    """The 4-byte id of an Ed25519 key under a name (C2SP signed-note, Signature types)."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def log_id(origin: str) -> str:
    """The short id of a log, `seal.log`: the first 16 hexadecimal digits of SHA-256(origin)."""
    return sha256(origin.encode()).hexdigest()[:16]


def public_bytes(key: Ed25519PublicKey | Ed25519PrivateKey) -> bytes:
    """The 32 bytes of the public key."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def valid_name(name: str) -> bool:
    """Whether `name` may be a key name or an origin: not empty, no space, no plus, no control character."""
    if _NAME.fullmatch(name) is None:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def decode_base64(text: str, length: int | None = None) -> bytes:
    """Strict RFC 4648 section 4: padded, no stray characters, no spare bits; `NoteError` otherwise."""
    if _BASE64.fullmatch(text) is None:
        raise NoteError("not base64")
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise NoteError("not base64") from error
    if b64encode(data).decode() != text:
        raise NoteError("base64 with spare bits set")
    if length is not None and len(data) != length:
        raise NoteError(f"expected {length} bytes of base64, got {len(data)}")
    return data


def vkey(name: str, public: bytes | Ed25519PublicKey) -> str:
    """A verifier key as text, `<name>+<key id, 8 hex digits>+<base64(0x01 || public key)>`."""
    public = public if isinstance(public, bytes) else public_bytes(public)
    return f"{name}+{key_id(name, public).hex()}+{b64encode(_ED25519 + public).decode()}"


def parse_vkey(text: str) -> Verifier:
    """The inverse of `vkey`; `NoteError` where name, id or key do not agree."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise NoteError("a verifier key has the form name+id+key")
    name, ident, key = parts
    if not valid_name(name):
        raise NoteError("the verifier key's name is malformed")
    data = decode_base64(key, 33)
    if data[:1] != _ED25519:
        raise NoteError("the verifier key is not an Ed25519 key")
    verifier = Verifier(name, data[1:])
    if verifier.key_id.hex() != ident:
        raise NoteError("the verifier key's id does not belong to its name and key")
    return verifier


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """The note text of a checkpoint; `NoteError` for values that a checkpoint cannot hold."""
    if not valid_name(origin) or not 0 <= size < MAX_SIZE or len(root) != 32:
        raise NoteError("not a checkpoint")
    return f"{origin}\n{size}\n{b64encode(root).decode()}\n"


def sign(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """`text` as a note with one Ed25519 signature under `name`. Ed25519 is deterministic: so is the note."""
    if not valid_name(name):
        raise NoteError("the key name is malformed")
    _check_text(text)
    signature = key_id(name, public_bytes(key)) + key.sign(text.encode())
    return f"{text}\n— {name} {b64encode(signature).decode()}\n"


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(char < " " and char != "\n" for char in text):
        raise NoteError("note text must end in a newline and hold no control characters")


def parse_note(data: str | bytes) -> SignedNote:
    """Take a note apart without believing it; `NoteError` when it is malformed."""
    if isinstance(data, bytes):
        try:
            data = data.decode()
        except UnicodeDecodeError as error:
            raise NoteError("the note is not UTF-8") from error
    if len(data) > MAX_NOTE:
        raise NoteError("the note is too long")
    _check_text(data)
    # The text is parted from the signatures by the last empty line.
    at = data.rfind("\n\n")
    if at < 0:
        raise NoteError("the note has no signatures")
    text, lines = data[: at + 1], data[at + 2 :].split("\n")[:-1]
    if not lines or len(lines) > _MAX_SIGNATURES:
        raise NoteError("the note has no signatures, or too many")
    return SignedNote(text, tuple(_parse_signature(line) for line in lines))


def _parse_signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not valid_name(parts[1]):
        raise NoteError("a signature line is malformed")
    data = decode_base64(parts[2])
    if len(data) < 5:
        raise NoteError("a signature line is too short")
    return Signature(parts[1], data[:4], data[4:])


def parse_checkpoint(text: str) -> Checkpoint:
    """The three lines of a checkpoint's text; extension lines are refused, since nobody can audit them."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise NoteError("a checkpoint has three lines")
    origin, size, root = lines[:3]
    if not valid_name(origin):
        raise NoteError("the checkpoint's origin is malformed")
    if _SIZE.fullmatch(size) is None or int(size) >= MAX_SIZE:
        raise NoteError("the checkpoint's size is malformed")
    return Checkpoint(origin, int(size), decode_base64(root, 32))


def verify_note(note: str | bytes | SignedNote, verifiers: Iterable[Verifier]) -> list[Verifier]:
    """The trusted keys that signed the note, at least one.

    Signatures of unknown keys are ignored; one of a known key (same name and id) that does not verify, or no trusted
    signature at all, is a `NoteError`.
    """
    parsed = note if isinstance(note, SignedNote) else parse_note(note)
    signed: list[Verifier] = []
    for verifier in verifiers:
        ident = verifier.key_id
        for line in parsed.signatures:
            if line.name != verifier.name or line.key_id != ident:
                continue
            try:
                Ed25519PublicKey.from_public_bytes(verifier.public).verify(line.signature, parsed.text.encode())
            except (InvalidSignature, ValueError) as error:
                raise NoteError(f"the signature of {verifier.name} does not verify") from error
            if verifier not in signed:
                signed.append(verifier)
    if not signed:
        raise NoteError("no trusted key signed the note")
    return signed


def open_checkpoint(note: str | bytes, verifiers: Iterable[Verifier]) -> Checkpoint:
    """Verify a note and read the checkpoint in it; `NoteError` when either fails."""
    parsed = parse_note(note)
    verify_note(parsed, verifiers)
    return parse_checkpoint(parsed.text)
