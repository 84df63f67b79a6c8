"""The trust file of a state folder: what `keys trust` gives an auditor, and what `verify` uses on the same machine."""

from __future__ import annotations

from pathlib import Path

from shipper.config import Config
from shipper.errors import ConfigError
from shipper.recover import Watermark
from shipper.seal.keys import load_identity
from shipper.seal.note import public_bytes
from shipper.seal.trust import Generation, Trust, read_trust


def trust_of(config: Config) -> Trust:
    """The trust of a configured agent's state folder: its public key, and each generation it has signed."""
    folder = config.agent.state_dir
    public = public_bytes(load_identity(folder / "keys"))
    mark = Watermark.load(folder / "checkpoint")
    generations = []
    if mark is not None:
        logs = [*mark.earlier, {"origin": mark.origin, "genesis": mark.genesis, "note": mark.note}]
        generations = [Generation(log["origin"], bytes.fromhex(log["genesis"]) or None, log["note"]) for log in logs]
    prefix = f"{config.agent.origin}/{config.agent.name}"
    if mark is not None and not mark.origin.startswith(prefix + "/"):
        # The command line names no configuration, or another one than the agent ran with: the log knows its own name.
        prefix = mark.origin.rpartition("/")[0]
    return Trust(prefix, (public,), tuple(g for g in generations if g.origin.rpartition("/")[0] == prefix))


def trust_for(config: Config, path: Path | None) -> Trust:
    """`--trust FILE`, or the state folder's own; the hint says how an auditor gets the file."""
    if path is not None:
        return read_trust(path)
    try:
        return trust_of(config)
    except ConfigError as error:
        raise ConfigError(
            error.op,
            error.place,
            error.cause,
            "fieldtrail verify --trust FILE, with what `fieldtrail keys trust` printed on the agent's machine",
        ) from None
