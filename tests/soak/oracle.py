"""What arrived against what was written: exactly.

Reads what the destinations hold with means of its own, not with the agent's readers.
"""

import hashlib
import http.client
import json
import re
from array import array
from typing import NamedTuple

_SEAL = re.compile(rb'"seal":\{"i":(\d+),"log":"([0-9a-f]{16})","n":"[^"]*"\}\}$')
_OBJECT = re.compile(rb'"object":\{"id":"(\d+)","key":"[^"]*","type":"(w\d)"\}')
_CHECKPOINT = re.compile(rb'"dataset":"fieldtrail\.checkpoint"')
_CHANGE = re.compile(rb'"dataset":"fieldtrail\.change"')
_ABSENT = -1
_FIRST = 20
"""So many of a kind of finding are told."""


class Written(NamedTuple):
    """What a writer wrote: lines 0..count-1, and the numbers with which its files begin.

    Order is promised within a file; a file and the one that follows it are two streams.
    """

    count: int
    starts: list[int]


class Arrived:
    """What one destination has. `lines`: per writer the leaf index of each line; `leaves`: per log a digest of each."""

    def __init__(self, name):
        self.name = name
        self.lines, self.leaves = {}, {}
        self.checkpoints = {}
        self.count = self.repeats = 0
        self.problems = []

    def take(self, key, digest, line=None):
        """One document. `key`: (log, index), or the id of a checkpoint; `line`: (writer, number) of a change.

        True when it was not there before.
        """
        self.count += 1
        if isinstance(key, str):
            before, self.checkpoints[key] = self.checkpoints.get(key, _ABSENT), digest
        else:
            log, index = key
            known = _longer(self.leaves.setdefault(log, array("q")), index)
            before, known[index] = known[index], digest
        if before != _ABSENT:
            self.repeats += 1
            if before != digest:
                self.problems.append(f"{self.name}: two contents of {key}")
            return False
        if line is not None:
            writer, number = line
            known = _longer(self.lines.setdefault(writer, array("q")), number)
            if known[number] != _ABSENT:
                self.problems.append(f"{self.name}: line {number} of {writer} sealed as {known[number]} and {key[1]}")
            known[number] = key[1]
        return True

    def take_bytes(self, data):
        """One document as it was shipped. True when it was not there before."""
        digest = int.from_bytes(hashlib.sha256(data).digest()[:7], "big")
        sealed = _SEAL.search(data)
        if sealed is None:
            if not _CHECKPOINT.search(data):
                self.problems.append(f"{self.name}: neither sealed nor a checkpoint: {data[:200]!r}")
                return False
            told = json.loads(data)["trail"]["checkpoint"]
            return self.take(f"{told['log']}-c{told['size']:014x}", digest)
        line = None
        if _CHANGE.search(data):
            found = _OBJECT.search(data)
            if found is None:
                self.problems.append(f"{self.name}: a change of no line: {data[:200]!r}")
                return False
            line = (found[2].decode(), int(found[1]))
        return self.take((sealed[2].decode(), int(sealed[1])), digest, line)


def _longer(known, index):
    if index >= len(known):
        known.extend(array("q", [_ABSENT]) * (index + 1 - len(known)))
    return known


# -- the destinations --------------------------------------------------------------------------------------------------


def of_files(name, paths, *, messages=False, unique=None):
    """What files hold, one document a line, read in order. `messages`: each behind a syslog header.

    `unique`: a path that gets the documents without the header and without repeats.
    """
    arrived = Arrived(name)
    with open(unique or "/dev/null", "wb") as copy:
        for path in paths:
            with path.open("rb") as file:
                for row in file:
                    if not row.endswith(b"\n"):
                        arrived.problems.append(f"{name}: the last line of {path.name} has no end")
                    data = row.rstrip(b"\n")
                    if messages:
                        data = data[data.index(b" {") + 1 :]
                    if arrived.take_bytes(data):
                        copy.write(data + b"\n")
    return arrived


def of_opensearch(name, port):
    """What all backing indices of our streams hold, read by a scroll."""
    arrived = Arrived(name)
    fields = ["seal.i", "seal.log", "trail.object", "data_stream.dataset"]
    _ask(port, "POST", "/logs-fieldtrail.*/_refresh")
    search = {"size": 5000, "_source": fields, "sort": ["_doc"], "track_total_hits": True}
    page = _ask(port, "POST", "/logs-fieldtrail.*/_search?scroll=5m", search)
    total = page["hits"]["total"]["value"]
    while page["hits"]["hits"]:
        for hit in page["hits"]["hits"]:
            seal, line = hit["_source"].get("seal"), None
            if seal is None:
                key = hit["_id"]
            else:
                key = (seal["log"], seal["i"])
                if hit["_id"] != f"{seal['log']}-{seal['i']:014x}":
                    arrived.problems.append(f"{name}: {hit['_id']} holds leaf {key}")
                if hit["_source"]["data_stream"]["dataset"] == "fieldtrail.change":
                    told = hit["_source"]["trail"]["object"]
                    line = (told["type"], int(told["id"]))
            if not arrived.take(key, 1, line):
                arrived.problems.append(f"{name}: {hit['_id']} stands twice, once in {hit['_index']}")
        page = _ask(port, "POST", "/_search/scroll", {"scroll": "5m", "scroll_id": page["_scroll_id"]})
    if arrived.count != total:
        arrived.problems.append(f"{name}: {total} documents, and a scroll gave {arrived.count}")
    return arrived


def _ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"content-type": "application/json"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        assert answer.status == 200, told
        return told
    finally:
        connection.close()


# -- the comparison ----------------------------------------------------------------------------------------------------


def compare(arrived, dead, written):
    """What is wrong, in words. `dead`: `Arrived` of the dead letters; `written`: {writer: `Written`}."""
    problems = [*arrived.problems[:_FIRST], *dead.problems[:_FIRST]]
    name = arrived.name
    for writer, wrote in written.items():
        here, letters = arrived.lines.get(writer, array("q")), dead.lines.get(writer, array("q"))
        longest = max(len(here), len(letters))
        if longest > wrote.count:
            problems.append(f"{name}: {writer} wrote {wrote.count} lines, and there is line {longest - 1}")
        both, missing, unordered = [], [], []
        before, starts = _ABSENT, {*wrote.starts}
        for number in range(wrote.count):
            there, letter = _at(here, number), _at(letters, number)
            if _ABSENT not in {there, letter}:
                both.append(number)
            index = max(there, letter)
            if index == _ABSENT:
                missing.append(number)
                continue
            if index <= before and number not in starts:
                unordered.append(number)
            before = index
        for what, numbers in (
            ("neither delivered nor a dead letter", missing),
            ("delivered and a dead letter as well", both),
            ("sealed before a line that stands before it in its file", unordered),
        ):
            if numbers:
                problems.append(f"{name}: {writer}: {len(numbers)} lines {what}: {numbers[:_FIRST]}")
    unknown = set(arrived.lines) - set(written)
    if unknown:
        problems.append(f"{name}: writers that never were: {sorted(unknown)}")
    return problems


def overtaken(arrived, written):
    """How many files of a writer were begun before the file before them was read to its end: allowed, and told."""
    count = 0
    for writer, wrote in written.items():
        here = arrived.lines.get(writer, array("q"))
        count += sum(0 < start < len(here) and here[start] < here[start - 1] for start in wrote.starts)
    return count


def complete(arrived, dead, size):
    """Leaves of 0..size-1 that are neither there nor a dead letter, in words; and logs that are not the only one."""
    problems = []
    logs = {*arrived.leaves, *dead.leaves}
    if len(logs) != 1:
        problems.append(f"{arrived.name}: {len(logs)} generations of the log: {sorted(logs)}")
    for log in logs:
        here, letters = arrived.leaves.get(log, array("q")), dead.leaves.get(log, array("q"))
        gone = [index for index in range(size) if _at(here, index) == _ABSENT and _at(letters, index) == _ABSENT]
        if gone:
            problems.append(f"{arrived.name}: {len(gone)} leaves of {size} are missing: {gone[:_FIRST]}")
        if len(here) > size:
            problems.append(f"{arrived.name}: a leaf {len(here) - 1} of a log of {size}")
    return problems


def _at(known, index):
    return known[index] if index < len(known) else _ABSENT
