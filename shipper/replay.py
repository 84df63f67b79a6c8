"""`fieldtrail dlq replay`: dead letters sent once more to the output that refused them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from shipper.build import output as build_output
from shipper.build import output_sections
from shipper.clock import SystemClock
from shipper.config import Config
from shipper.dlq import DeadLetter, DeadLetters
from shipper.errors import UsageError
from shipper.model import Batch, Document, Refusal
from shipper.state_folder import lock

_ALONE = frozenset({"file", "store", "stdout"})
"""Outputs that one process alone may write: for them the agent must be stopped."""
_AT_ONCE = 1000


def replay(config: Config, place: str, only: str | None, ids: Sequence[str]) -> tuple[int, int, int]:
    """(accepted, refused again, not answered). Letters of outputs that are not configured any more are an error."""
    letters = DeadLetters(config.agent.state_dir / "dlq")
    wanted = [letter for letter in letters.list(only) if not ids or letter.id in ids]
    missing = set(ids) - {letter.id for letter in wanted}
    if missing:
        raise UsageError("replay dead letters", min(missing), "there is none of this id", "fieldtrail dlq list")
    sections = {section.id: section for section in output_sections(config)}
    by_output: dict[str, list[DeadLetter]] = {}
    for letter in wanted:
        if letter.output not in sections:
            raise UsageError(
                "replay dead letters", letter.output, f"no output of this id in {place}", "fieldtrail dlq list"
            )
        by_output.setdefault(letter.output, []).append(letter)
    accepted = refused = waiting = 0
    for name, mine in by_output.items():
        section = sections[name]
        with contextlib.ExitStack() as stack:
            if section.type in _ALONE:
                stack.enter_context(lock(config.agent.state_dir))
            output = build_output(section, config, config.agent.state_dir)
            stack.callback(output.close)
            output.open({})
            # A destination that keeps its own cursor must find it again where it was.
            seq = (output.cursor() or 1) - 1
            done: list[str] = []
            for start in range(0, len(mine), _AT_ONCE):
                some = mine[start : start + _AT_ONCE]
                for log in dict.fromkeys(letter.document.id.partition("-")[0] for letter in some):
                    part = [letter for letter in some if letter.document.id.startswith(log)]
                    documents = [letter.document for letter in part]
                    receipt = output.deliver(Batch(seq, log, "", documents, config.agent.namespace))
                    turned_down = {document.id for document in _ids(receipt.refused, receipt.fork)}
                    unanswered = {document.id for document in receipt.retry}
                    done += [letter.id for letter in part if letter.document.id not in turned_down | unanswered]
                    letters.put(name, receipt.refused, SystemClock().now(), 1)
                    refused += len(turned_down)
                    waiting += len(unanswered)
            output.flush()
            # A destination without answers may not have got what it was sent: then the letters stay.
            if getattr(output, "drain", lambda: True)():
                letters.remove(done)
                accepted += len(done)
            else:
                waiting += len(done)
    return accepted, refused, waiting


def _ids(refused: Sequence[Refusal], fork: Sequence[Document]) -> list[Document]:
    return [*(item.document for item in refused), *fork]
