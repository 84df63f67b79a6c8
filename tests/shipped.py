"""Shipped documents for the tests of outputs: real shapes, invented content, nothing random."""

import base64
import hashlib
from typing import Any

import orjson

from shipper.model import Batch, Document, Documents, Run

LOG = "9f2c61d0aa01b3e7"
OTHER_LOG = "00112233445566ff"
ORIGIN = "acme.example/audit/hr-app-03/1770114600-0a1b2c3d"


def merged(base: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """`base` with the dotted paths of `extra` set (None removes)."""
    out = orjson.loads(orjson.dumps(base))
    for path, value in extra.items():
        node = out
        *parents, last = path.split(".")
        for name in parents:
            node = node.setdefault(name, {})
        if value is None:
            node.pop(last, None)
        else:
            node[last] = value
    return out


CHANGE = {
    "@timestamp": "2026-02-03T10:30:00.000Z",
    "agent": {"name": "hr-app-03", "type": "fieldtrail", "version": "0.1.0"},
    "data_stream": {"dataset": "fieldtrail.change", "namespace": "default", "type": "logs"},
    "event": {
        "action": "field.update",
        "category": ["database"],
        "id": "r9",
        "kind": "event",
        "module": "greenhouse",
        "outcome": "success",
        "type": ["change"],
    },
    "message": "Kim Q changed salary of Offer 55 from 90000 to 120000 via ui (Greenhouse)",
    "source": {"ip": "198.51.100.9"},
    "trail": {
        "change": {
            "delta": 30000,
            "derivation": "native",
            "field": "salary",
            "new": "120000",
            "new_state": "value",
            "old": "90000",
            "old_state": "value",
            "op": "update",
            "redaction": "none",
        },
        "interface": "ui",
        "object": {"id": "55", "key": "greenhouse:offer/55", "type": "offer"},
        "time": {"precision": "exact"},
    },
    "user": {"full_name": "Kim Q", "id": "7", "name": "kim@co.example"},
}


def change(**paths: Any) -> dict[str, Any]:
    """A field change; `trail__change__new="x"` sets `trail.change.new`, `timestamp=` sets `@timestamp`."""
    named = {("@timestamp" if name == "timestamp" else name.replace("__", ".")): value for name, value in paths.items()}
    return merged(CHANGE, named)


def document(index: int, event: dict[str, Any] | None = None, log: str = LOG) -> Document:
    """The sealed document of `event` at leaf `index`."""
    event = change(event__id=f"e{index}") if event is None else event
    body = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    nonce = base64.urlsafe_b64encode(hashlib.sha256(b"%d" % index).digest()[:16]).rstrip(b"=")
    seal = b'"seal":{"i":%d,"log":"%b","n":"%b"}' % (index, log.encode(), nonce)
    return Document(index, event["data_stream"]["dataset"], f"{log}-{index:014x}", body[:-1] + b"," + seal + b"}")


def control(index: int, log: str = LOG) -> Document:
    """A control leaf (dataset fieldtrail.log)."""
    event = {
        "@timestamp": "2026-02-03T10:31:00.000Z",
        "data_stream": {"dataset": "fieldtrail.log", "namespace": "default", "type": "logs"},
        "event": {"kind": "event"},
        "trail": {"control": "batch"},
    }
    return document(index, event, log)


def checkpoint(size: int, log: str = LOG, leaves: int = 3) -> Document:
    """A checkpoint document: no seal, no leaf."""
    event = {
        "@timestamp": "2026-02-03T10:31:00.000Z",
        "data_stream": {"dataset": "fieldtrail.checkpoint", "namespace": "default", "type": "logs"},
        "trail": {
            "checkpoint": {
                "leaves": ["A" * 43 + "="] * leaves,
                "note": f"{ORIGIN}\n{size}\nroot=\n\n— {ORIGIN} sig=\n",
                "size": size,
            }
        },
    }
    return Document(
        -1, "fieldtrail.checkpoint", f"{log}-c{size:014x}", orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    )


def columns(*documents: Document) -> Documents:
    """These documents as the agent hands them on. Their ids must be those that belong to their logs and numbers."""
    runs: list[Run] = []
    for one in documents:
        log, _, digits = one.id.partition("-")
        number = int(digits.removeprefix("c"), 16)
        before = runs[-1] if runs else None
        if before and one.index >= 0 and (before.dataset, before.log) == (one.dataset, log):
            numbers = before.numbers
            if isinstance(numbers, range) and numbers.stop == number:
                runs[-1] = before._replace(numbers=range(numbers.start, number + 1), data=[*before.data, one.data])
                continue
        runs.append(Run(one.dataset, log, range(number, number + 1), [one.data]))
    made = Documents(runs)
    assert made == documents
    return made


def batch(seq: int, *documents: Document, log: str = LOG) -> Batch:
    """A frame of these documents."""
    return Batch(seq, log, ORIGIN, columns(*documents))


def frames(count: int = 4, each: int = 3) -> list[Batch]:
    """Frames of events, with a control leaf and a checkpoint in each."""
    out, index = [], 0
    for seq in range(count):
        documents = [document(index + k) for k in range(each)]
        index += each
        out.append(batch(seq, *documents, control(index), checkpoint(index + 1)))
        index += 1
    return out
