"""Recognising a file: inode and birth time, head and anchor, and the position that carries them."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.errors import ConfigError, CorruptError
from shipper.inputs.file.identity import FileId, Position, birth_time, fingerprint, identify, stream_id


def position(**changes):
    values = {
        "path": "/var/log/app.log", "file": FileId(1, 2, 3), "generation": 0, "head_len": 3, "head": "aa", "offset": 3,
        "anchor_len": 3, "anchor": "bb", "size": 9, "format": "plain", "encoding": "utf-8",
    }  # fmt: skip
    return Position(**{**values, **changes})


def of(data, offset):
    head, anchor = data[: min(1024, offset)], data[max(0, offset - 256) : offset]
    return position(
        offset=offset, head_len=len(head), head=fingerprint(head), anchor_len=len(anchor), anchor=fingerprint(anchor)
    )


@pytest.fixture
def opened(tmp_path):
    fds = []

    def build(data):
        path = tmp_path / f"f{len(fds)}"
        path.write_bytes(data)
        fds.append(os.open(path, os.O_RDONLY))
        return fds[-1], len(data)

    yield build
    for fd in fds:
        os.close(fd)


def test_a_birth_time_stays_while_the_file_changes_and_differs_for_the_next_file(tmp_path, opened):
    fd, _ = opened(b"one")
    born = birth_time(fd)
    if not born:
        pytest.skip("this file system keeps no birth times")
    os.utime(tmp_path / "f0", (0, 0))
    (tmp_path / "f0").write_bytes(b"longer than before")
    assert birth_time(fd) == born
    assert identify(fd) == (os.fstat(fd).st_dev, os.fstat(fd).st_ino, born)
    assert abs(born - os.fstat(fd).st_ctime_ns) < 60_000_000_000


def test_without_the_system_call_the_birth_time_is_unknown(opened, monkeypatch):
    fd, _ = opened(b"x")
    monkeypatch.setattr("shipper.inputs.file.identity._STATX", lambda *_: -1)
    assert birth_time(fd) == 0


def test_a_file_that_grew_verifies_and_one_that_was_rewritten_does_not(opened):
    data = bytes(range(256)) * 8
    kept = of(data, 1500)
    assert kept.verifies(*opened(data + b"more"))
    assert kept.verifies(*opened(data[:1500]))
    assert not kept.verifies(*opened(data[:1499]))
    assert not kept.verifies(*opened(b"?" + data[1:]))
    assert not kept.verifies(*opened(data[:1400] + b"?" + data[1401:]))


def test_a_copy_counts_only_from_64_bytes_of_equal_beginning(opened):
    data = b"0123456789" * 20
    assert of(data, 64).continues_in(*opened(data))
    assert not of(data, 63).continues_in(*opened(data))


def test_equal_heads_with_different_anchors_are_different_files(opened):
    head = b"# banner\n" * 120
    assert not of(head + b"a" * 400, len(head) + 400).continues_in(*opened(head + b"b" * 400))


def test_the_inode_counts_with_its_birth_time_and_without_one_with_its_device():
    kept = position(file=FileId(1, 2, 3))
    assert kept.same_inode(FileId(1, 2, 3))
    assert kept.same_inode(FileId(9, 2, 3))  # the device was numbered anew
    assert not kept.same_inode(FileId(1, 2, 4))
    assert not kept.same_inode(FileId(1, 7, 3))
    assert kept.same_inode(FileId(1, 2, 0))
    assert not kept.same_inode(FileId(9, 2, 0))


def test_a_position_is_json_and_comes_back_equal():
    for closed in (False, True):
        kept = position(closed=closed, path="/var/log/é.log")
        value = json.loads(json.dumps(kept.to_json()))
        assert value["v"] == 1
        assert Position.from_json("s", value) == kept


def test_a_position_of_a_newer_release_is_refused_and_not_started_over():
    with pytest.raises(ConfigError, match="newer release") as caught:
        Position.from_json("s", {**position().to_json(), "v": 2})
    assert caught.value.hint


@pytest.mark.parametrize("broken", [{"offset": "3"}, {"offset": True}, {"path": None}])
def test_a_position_that_is_none_is_corrupt(broken):
    with pytest.raises(CorruptError):
        Position.from_json("s", {**position().to_json(), **broken})
    value = position().to_json()
    del value["anchor"]
    with pytest.raises(CorruptError):
        Position.from_json("s", value)


@settings(max_examples=100, deadline=None)
@given(
    st.sets(st.tuples(st.integers(0, 99), st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 9)), max_size=50)
)
def test_stream_ids_differ_between_files_and_between_generations(keys):
    assert len({stream_id(FileId(*key[:3]), key[3]) for key in keys}) == len(keys)
