"""Small sealed logs for the tests of the verifier: built with the primitives, tampered with by hand."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shipper.clock import rfc3339
from shipper.seal.canonical import canonical, splice, unsplice
from shipper.seal.checkpoint import build_checkpoint_document, control_event
from shipper.seal.note import checkpoint_text, log_id, public_bytes, sign, vkey
from shipper.seal.sources import RawDocument, looks_like_control
from shipper.seal.tree import Tree, leaf_hash
from shipper.seal.trust import Generation, Trust

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PREFIX = "acme.example/audit/hr-app-03"
ORIGIN = PREFIX + "/20260203T103000Z-0a1b2c3d"
START = 1_770_114_600.0
"""2026-02-03T10:30:00Z."""
STEP = 10.0
"""Seconds between two leaves."""


class Memory:
    """A source of documents in memory: (data, id) pairs."""

    def __init__(self, documents, *, partial=False, ids=True, writers=("file", "http", "opensearch", "syslog")):
        self.name, self.partial, self.writers = "memory", partial, frozenset(writers)
        self._raw = [
            RawDocument(data, ident if ids else None, f"memory:{n}") for n, (ident, data) in enumerate(documents)
        ]

    def control(self):
        return (raw for raw in self._raw if looks_like_control(raw.data))

    def events(self):
        return (raw for raw in self._raw if not looks_like_control(raw.data))

    def notices(self):
        return []

    def close(self):
        pass


class Book:
    """One generation being written; `documents` holds (id, bytes) in journal order."""

    def __init__(self, origin=ORIGIN, key=KEY, start=START, *, control="full", agent="hr-app-03", namespace="default"):
        self.origin, self.key, self.now, self.control_mode = origin, key, start, control
        self.agent, self.namespace = agent, namespace
        self.log = log_id(origin)
        self.tree = Tree()
        self.leaves, self.documents = [], []
        self.checked, self.frontier = 0, []
        self.note = ""
        self.salt = origin

    def seal(self, event):
        """Append one event; returns its index."""
        i = self.tree.size
        nonce = sha256(f"{self.salt}/{i}".encode()).digest()[:16]
        body = canonical(event)
        leaf = leaf_hash(nonce, body)
        self.tree.extend([leaf])
        self.leaves.append(leaf)
        data = splice(body, i, self.log, urlsafe_b64encode(nonce).decode().rstrip("="))
        self.documents.append((f"{self.log}-{i:014x}", data))
        self.now += STEP
        return i

    def control(self, kind, payload):
        return self.seal(
            control_event(
                kind,
                payload,
                time=rfc3339(self.now),
                log=self.log,
                agent_name=self.agent,
                agent_version="0.1.0",
                namespace=self.namespace,
            )
        )

    def event(self, text=None):
        n = self.tree.size
        time = rfc3339(self.now)
        return self.seal(
            {
                "@timestamp": "2026-02-03T10:00:00.000Z",
                "data_stream": {"dataset": "fieldtrail.change", "namespace": "default", "type": "logs"},
                "event": {"created": time, "id": f"r{n}"},
                "message": text or f"Kim Q changed salary of Offer {n} to {n * 1000}",
                "trail": {"change": {"delta": 33.33, "new": str(n * 1000)}},
            }
        )

    def begin(self, **config):
        self.control("genesis", {"origin": self.origin, "vkey": vkey(self.origin, public_bytes(self.key))})
        siem = {"id": "siem", "type": "opensearch"}
        if self.control_mode == "notes":
            siem = {"id": "siem", "type": "syslog", "control": "notes"}
        self.control("config", {"outputs": [siem], "added": [{"id": "siem", "from": 0}], **config})
        return self

    def checkpoint(self, interval=60):
        """A batch leaf and the checkpoint document after it."""
        self.control("batch", {"first": self.checked, "last": self.tree.size - 1, "interval": interval, "sources": []})
        self.documents.append(self.checkpoint_document())
        self.checked, self.frontier, self.leaves = self.tree.size, self.tree.frontier(), []

    def checkpoint_document(self, **changes):
        size, root = self.tree.size, self.tree.root()
        self.note = sign(checkpoint_text(self.origin, size, root), self.origin, self.key)
        document = build_checkpoint_document(
            **{
                "log": self.log,
                "origin": self.origin,
                "size": size,
                "prev_size": self.checked,
                "root": root,
                "note": self.note,
                "leaves": self.leaves if self.control_mode == "full" else None,
                "frontier": self.frontier,
                "time": rfc3339(self.now),
                "agent_name": self.agent,
                "agent_version": "0.1.0",
                "namespace": self.namespace,
                **changes,
            }
        )
        return f"{self.log}-c{size:014x}", orjson.dumps(document, option=orjson.OPT_SORT_KEYS)

    def batch(self, count=3):
        for _ in range(count):
            self.event()
        self.checkpoint()
        return self

    def generation(self):
        genesis = unsplice(self.documents[0][1])
        return Generation(self.origin, leaf_hash(genesis.nonce, genesis.body), self.note)

    def at(self, i):
        """Position in `documents` of leaf `i`."""
        return next(n for n, (ident, _) in enumerate(self.documents) if ident == f"{self.log}-{i:014x}")

    def at_checkpoint(self, size):
        return next(n for n, (ident, _) in enumerate(self.documents) if ident == f"{self.log}-c{size:014x}")


def trust(*books, note=True, keys=(KEY,), generations=True):
    known = tuple(b.generation() if note else Generation(b.origin, b.generation().genesis, "") for b in books)
    return Trust(PREFIX, tuple(public_bytes(key) for key in keys), known if generations else ())


def small_log(**options):
    """Genesis, config, three events, batch (6 leaves); four events, batch (11); two events, batch (14)."""
    book = Book(**options).begin()
    return book.batch(3).batch(4).batch(2)


def replaced(documents, at, data):
    """A copy with other bytes at a position; `data` may be a function of the old ones."""
    out = list(documents)
    ident, old = out[at]
    out[at] = (ident, data(old) if callable(data) else data)
    return out


def without(documents, *positions):
    return [item for n, item in enumerate(documents) if n not in positions]


def edited(old, new):
    """A function that replaces text which must be there."""

    def change(data):
        assert old in data
        return data.replace(old, new)

    return change


def reseal(data, **seal):
    """The document with other members in `seal`, in the shipped form."""
    doc = json.loads(data)
    part = {**doc.pop("seal"), **seal}
    return splice(canonical(doc), part["i"], part["log"], part["n"])
