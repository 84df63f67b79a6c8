"""What the agent knows at start: positions, and the log it may go on writing, folded from the journal's metas.

The crash rule (sealing.md 9) lives here: the log goes on only if nothing that may have left the machine is missing. A
cursor or a durable checkpoint beyond the journal's end, or leaves that can no longer be recomputed, open a new
generation instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from shipper import telemetry
from shipper.errors import ConfigError, DiskError
from shipper.fs import RealFs, replace_sync
from shipper.journal import Frame, Recovery
from shipper.journal.recovery import iterate
from shipper.logbook import Identity, Logbook, leaves_of
from shipper.seal.note import NoteError, Verifier, public_bytes, verify_note
from shipper.seal.sealer import LogName, Sealer
from shipper.seal.tree import Tree


@dataclass(slots=True)
class State:
    """The folded state; JSON-able as the `state` member of a segment's first frame."""

    positions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Stream id -> {"input": id, ...position}."""
    outputs: dict[str, Any] = field(default_factory=dict)
    """Output id -> what the last `config` leaf said of it."""
    config_hash: str = ""
    """Digest of the configuration that the last `config` leaf spoke of."""
    total: int = 0
    """Documents kept so far in this state folder."""
    lost: dict[str, Any] = field(default_factory=dict)
    """`Backpressure.lost`: what a full journal dropped."""
    log: dict[str, Any] = field(default_factory=dict)
    """`Logbook.state()` of the newest frame, and `checked_seq`."""

    def fold(self, meta: Mapping[str, Any]) -> None:
        """Apply one frame's meta."""
        self.positions.update(meta["positions"])
        for stream in meta.get("ended", ()):
            self.positions.pop(stream, None)
        self.total = meta["total"]
        if "outputs" in meta:
            self.outputs = dict(meta["outputs"])
        self.config_hash = meta.get("config_hash", self.config_hash)
        self.lost = dict(meta.get("lost", ()))
        same = self.log.get("log") == meta["log"]
        self.log = {
            "log": meta["log"],
            "origin": meta["origin"],
            "tree": meta["tree"],
            "note": meta.get("note") or (self.log.get("note", "") if same else ""),
            "genesis": meta.get("genesis") or (self.log.get("genesis", "") if same else ""),
            "checked_seq": meta["checked_seq"],
        }

    def as_json(self) -> dict[str, Any]:
        """The snapshot for a new segment; it stays as it is when more is folded in."""
        return {
            "positions": dict(self.positions),
            "outputs": self.outputs,
            "config_hash": self.config_hash,
            "total": self.total,
            "lost": self.lost,
            "log": self.log,
        }


def tell(recovery: Recovery, place: Path) -> None:
    """Say in the log lines what was cut off or damaged in the journal at `place`."""
    if recovery.truncated:
        telemetry.tail_truncated(place=str(place), bytes_cut=recovery.truncated)
    for damage in recovery.damage:
        telemetry.journal_damaged(
            place=str(damage.path),
            offset=damage.offset,
            length=damage.length,
            first=damage.first_seq,
            last=damage.last_seq,
        )


def state_of(recovery: Recovery) -> State:
    """The state at the journal's end."""
    state = State()
    if recovery.state is not None:
        kept = recovery.state
        positions, outputs, log, lost = (dict(kept.get(name, ())) for name in ("positions", "outputs", "log", "lost"))
        state = State(positions, outputs, kept.get("config_hash", ""), kept["total"], lost, log)
    for meta in recovery.metas:
        state.fold(meta)
    return state


@dataclass(frozen=True, slots=True)
class Watermark:
    """`state_dir/checkpoint`: the newest checkpoint that was durable, outside the journal, and the logs before it.

    `genesis`: leaf hash of leaf 0 (hex); `earlier`: {origin, genesis, note} of each closed generation, oldest first.
    It guards against a journal that lost its end, and is what `keys trust` is made of.
    """

    origin: str
    size: int
    seq: int
    note: str
    genesis: str
    earlier: tuple[Mapping[str, str], ...] = ()

    @classmethod
    def load(cls, path: Path) -> Watermark | None:
        """The stored one; None where there is none. A file that cannot be read is a `DiskError`: it guards the log."""
        try:
            value = orjson.loads(path.read_bytes())
            return cls(
                value["origin"],
                value["size"],
                value["seq"],
                value["note"],
                value["genesis"],
                tuple({key: str(entry[key]) for key in ("origin", "genesis", "note")} for entry in value["earlier"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DiskError(
                "read the newest checkpoint",
                str(path),
                f"unreadable ({type(error).__name__})",
                f"move {path} away: the agent then opens a new log generation if frames are missing",
            ) from None

    def next(self, origin: str, size: int, seq: int, note: str, genesis: str) -> Watermark:
        """The one after this: of the same log, or of a new generation."""
        earlier = self.earlier
        if origin != self.origin:
            earlier = (*earlier, {"origin": self.origin, "genesis": self.genesis, "note": self.note})
        return Watermark(origin, size, seq, note, genesis, earlier)

    def save(self, path: Path) -> None:
        """Replace the file durably."""
        replace_sync(
            path,
            orjson.dumps(
                {
                    "origin": self.origin,
                    "size": self.size,
                    "seq": self.seq,
                    "note": self.note,
                    "genesis": self.genesis,
                    "earlier": [dict(entry) for entry in self.earlier],
                }
            ),
            RealFs(),
        )


def continue_log(
    state: State,
    identity: Identity,
    folder: Path,
    next_seq: int,
    furthest: int,
    watermark: Watermark | None,
    random_bytes: Callable[[int], bytes],
) -> Logbook | str:
    """The log to go on writing, or why it must not go on (text for the `succession` leaf).

    `furthest`: the highest cursor of any output; `next_seq`: of the recovered journal. Raises `ConfigError` when the
    identity key is not the one that signed the log.
    """
    if not state.log:
        return "no log yet" if watermark is None and furthest == 0 else "the journal is gone"
    log = LogName(state.log["origin"], state.log["log"])
    if not log.origin.startswith(identity.prefix + "/"):
        return "the agent's name or origin changed"
    if furthest > next_seq or (watermark is not None and watermark.seq >= next_seq):
        return "the journal ends before what was delivered"
    _check_key(state.log.get("note", ""), log.origin, identity)
    tree = state.log["tree"]
    frontier = [bytes.fromhex(node) for node in tree["frontier"]]
    checked = [bytes.fromhex(node) for node in tree["checked_frontier"]]
    sealer = Sealer(log, Tree(tree["size"], frontier), tree["checked_size"], checked)
    book = Logbook(
        identity,
        sealer,
        random_bytes,
        note=state.log.get("note", ""),
        genesis=bytes.fromhex(state.log.get("genesis", "")),
    )
    # Frames without leaves are read, too: the custody of their lines goes into the next batch leaf.
    unchecked = tree["size"] > tree["checked_size"]
    replay = Tree(tree["checked_size"], checked)
    try:
        for item in iterate(folder, RealFs(), state.log["checked_seq"] + 1):
            if not isinstance(item, Frame):
                if unchecked:
                    return "frames after the last checkpoint are damaged"
                continue
            if item.meta["log"] != log.id or item.seq >= next_seq:
                continue
            leaves = leaves_of(item.documents)
            replay.extend(leaves)
            sealer.open_leaves.extend(leaves)
            book.sources += item.meta["sources"]
    except ValueError:
        return "kept documents cannot be read"
    if replay.size != tree["size"] or replay.frontier() != frontier:
        return "kept documents do not give the kept tree"
    return book


def _check_key(note: str, origin: str, identity: Identity) -> None:
    """A log has one key; another one would sign roots that nobody who trusts the first can accept."""
    if not note:
        return
    try:
        verify_note(note, [Verifier(origin, public_bytes(identity.key))])
    except NoteError:
        raise ConfigError(
            "continue the log",
            origin,
            "the identity key is not the key that signed this log",
            "restore the key from your backup of the keys, or move the state folder away to begin anew",
        ) from None
