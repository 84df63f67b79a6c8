"""The trust file: whom an auditor believes. It holds no secret and is written once, at the start of a period.

JSON (docs/reference/checkpoint.md, "Trust file"). One agent keeps its identity key over all its generations, so the
file names the prefix `<agent.origin>/<agent.name>` with its verifier keys, and what was known of each generation when
the file was made. Reading is strict: a file that contradicts itself is a `ConfigError`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from shipper.errors import ConfigError
from shipper.seal.note import (
    Checkpoint,
    NoteError,
    Verifier,
    decode_base64,
    log_id,
    open_checkpoint,
    parse_vkey,
    valid_name,
    vkey,
)
from shipper.seal.strict import StrictError, parse_object

if TYPE_CHECKING:
    from pathlib import Path

_MAX_TRUST: Final = 4_000_000
_HINT: Final = "fieldtrail keys trust > trust.json, on the agent's host"


def fingerprint(public: bytes) -> str:
    """`SHA256:<base64 without padding>` of the 32-byte public key: short enough to read over the phone."""
    return "SHA256:" + b64encode(sha256(public).digest()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Generation:
    """What was known of one generation of the log: genesis leaf hash and newest signed note, where there were any."""

    origin: str
    genesis: bytes | None
    note: str

    @property
    def log(self) -> str:
        """The short id."""
        return log_id(self.origin)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom an auditor believes: an agent's origin prefix, its public keys (newest first), and its known generations."""

    prefix: str
    keys: tuple[bytes, ...]
    generations: tuple[Generation, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Of the newest key."""
        return fingerprint(self.keys[0])

    def covers(self, origin: str) -> bool:
        """Whether `origin` is a generation of this agent."""
        return origin.startswith(self.prefix + "/") and "/" not in origin[len(self.prefix) + 1 :]

    def verifiers(self, origin: str) -> list[Verifier]:
        """The keys under the name that checkpoints of `origin` are signed with."""
        return [Verifier(origin, public) for public in self.keys]

    def checkpoint(self, generation: Generation) -> Checkpoint | None:
        """The newest checkpoint of a generation, verified; None where it had none."""
        return open_checkpoint(generation.note, self.verifiers(generation.origin)) if generation.note else None


def trust_json(trust: Trust) -> str:
    """The trust file's text."""
    document = {
        "fieldtrail_trust": 1,
        "origin": trust.prefix,
        "fingerprint": trust.fingerprint,
        "verifiers": [vkey(trust.prefix, public) for public in trust.keys],
        "generations": [
            {
                "origin": generation.origin,
                "verifiers": [vkey(generation.origin, public) for public in trust.keys],
                "genesis": None if generation.genesis is None else b64encode(generation.genesis).decode(),
                "note": generation.note,
            }
            for generation in trust.generations
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_trust(path: Path, trust: Trust) -> None:
    """Write the trust file; it holds no secret."""
    try:
        path.write_text(trust_json(trust), encoding="utf-8")
    except OSError as error:
        cause = error.strerror or type(error).__name__
        raise ConfigError("write the trust file", str(path), cause, f"ls -ld {path.parent}") from None


def read_trust(path: Path) -> Trust:
    """Read a trust file strictly; a file that says anything inconsistent is a `ConfigError`."""
    op = "read the trust file"
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TRUST + 1)
    except OSError as error:
        raise ConfigError(op, str(path), error.strerror or type(error).__name__, _HINT) from None
    return parse_trust(data, str(path))


def parse_trust(data: bytes, place: str = "trust file") -> Trust:
    """The inverse of `trust_json`, for bytes from anywhere."""
    op = "read the trust file"
    if len(data) > _MAX_TRUST:
        raise ConfigError(op, place, "too large", _HINT)
    try:
        return _trust(parse_object(data))
    except (NoteError, StrictError) as error:
        raise ConfigError(op, place, str(error), _HINT) from None


def _trust(document: dict[str, Any]) -> Trust:
    if document.get("fieldtrail_trust") != 1:
        raise NoteError("not a trust file of a known version")
    if document.keys() != {"fieldtrail_trust", "origin", "fingerprint", "verifiers", "generations"}:
        raise NoteError("unknown or missing members")
    prefix, texts, entries = document["origin"], document["verifiers"], document["generations"]
    if not isinstance(prefix, str) or not valid_name(prefix):
        raise NoteError("the origin is malformed")
    keys = _keys(texts, prefix)
    if document["fingerprint"] != fingerprint(keys[0]):
        raise NoteError("the fingerprint does not belong to the first verifier key")
    if not isinstance(entries, list):
        raise NoteError("the generations are not a list")
    bare = Trust(prefix, keys)
    generations = tuple(_generation(entry, bare) for entry in entries)
    if len({generation.origin for generation in generations}) != len(generations):
        raise NoteError("a generation is listed twice")
    return Trust(prefix, keys, generations)


def _keys(texts: Any, name: str) -> tuple[bytes, ...]:
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise NoteError("no verifier keys")
    verifiers = [parse_vkey(text) for text in texts]
    if any(verifier.name != name for verifier in verifiers):
        raise NoteError("a verifier key has another name than its origin")
    return tuple(verifier.public for verifier in verifiers)


def _generation(entry: Any, trust: Trust) -> Generation:
    if not isinstance(entry, dict) or entry.keys() != {"origin", "verifiers", "genesis", "note"}:
        raise NoteError("a generation is malformed")
    origin, genesis, note = entry["origin"], entry["genesis"], entry["note"]
    if not isinstance(origin, str) or not valid_name(origin) or not trust.covers(origin):
        raise NoteError("a generation's origin does not belong to this agent")
    if _keys(entry["verifiers"], origin) != trust.keys:
        raise NoteError("a generation has other keys than the agent")
    if not isinstance(note, str) or not (genesis is None or isinstance(genesis, str)):
        raise NoteError("a generation is malformed")
    generation = Generation(origin, None if genesis is None else decode_base64(genesis, 32), note)
    checkpoint = trust.checkpoint(generation)
    if checkpoint is not None and checkpoint.origin != origin:
        raise NoteError("a generation's note belongs to another origin")
    return generation
