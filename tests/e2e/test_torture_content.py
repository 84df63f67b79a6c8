"""Torture matrix, what stands in a file: rows 16 to 22. Unfinished lines, line ends, encodings, long lines, holes."""

import base64
import codecs
import os
from pathlib import Path

import pytest

from tests.e2e.agent_process import line, lines, numbers
from tests.e2e.torture import refused, shift

HALF = 40
"""Bytes of a line that are there before the rest."""


def test_row_16_an_unfinished_last_line_waits_for_its_end_however_long_the_writer_pauses(trial):
    t = trial()
    data = lines(0, 3)
    t.append(data[: len(lines(0, 2)) + HALF])
    t.start()
    t.arrived(2)
    t.looked(5)
    assert numbers(t.place.stored()) == [0, 1]
    t.append(data[len(lines(0, 2)) + HALF : -1])  # whole as JSON, and still without its end
    t.looked(3)
    t.append(b"\n" + lines(3, 1))
    t.arrived(4)
    assert refused(t.whole(range(4))) == []


@pytest.mark.parametrize("gone", ["deleted", "rotated away"])
def test_row_16_the_unfinished_last_line_of_a_file_that_is_gone_is_given_out_after_the_grace(trial, gone):
    t = trial("a.log", grace="100ms")
    t.append(lines(0, 2) + line(2).encode()[:HALF])
    t.start()
    t.arrived(2)
    if gone == "deleted":
        (t.logs / "a.log").unlink()
    else:
        shift(t.logs, "a.log")
        t.append(lines(10, 2))
    t.kept_unparsed(1)
    documents = t.whole(range(2), range(10, 12) if gone == "rotated away" else ())
    (kept,) = [one for one in documents if one["event"]["kind"] == "pipeline_error"]
    assert kept["event"]["original"] == line(2)[:HALF]
    assert kept["trail"]["origin"]["offset"] == len(lines(0, 2))
    assert kept["trail"]["origin"]["length"] == HALF  # a line with its end is one longer


def test_row_17_an_unfinished_line_across_kills_is_read_from_its_beginning(trial):
    t = trial()
    data, cuts = lines(0, 60), [0]
    for number in (15, 30, 45):
        cuts.append(len(lines(0, number)) + HALF)
        t.append(data[cuts[-2] : cuts[-1]])
        agent = t.start()
        t.arrived(number)
        agent.kill()
    t.append(data[cuts[-1] :])
    t.start()
    t.arrived(60)
    assert refused(t.whole(range(60))) == []


def test_row_18_each_way_to_end_a_line_gives_one_event_and_leaves_no_carriage_return(trial):
    t = trial(keep_original=True)
    whole = lines(0, 8).split(b"\n")[:-1]
    data = b"\r\n".join([whole[0], whole[1], b"", whole[2] + b"\n" + whole[3], whole[4]]) + b"\r\n"
    # A CR alone ends no line; between two parts of a JSON object it is a blank.
    data += whole[5].replace(b'"who"', b'\r"who"') + b"\n"
    t.append(data + whole[6] + b"\r")
    t.start()
    t.arrived(6)
    t.looked(1)
    t.append(b"\n" + whole[7])  # CR and LF in two reads
    t.arrived(7)
    t.append(b"\r")
    t.looked(1)
    t.append(b"\n")
    t.arrived(8)
    documents = t.whole(range(8))
    assert refused(documents) == []
    kept = [one["event"]["original"] for one in documents if numbers([one])]
    assert [text.count("\r") for text in kept] == [0, 0, 0, 0, 0, 1, 0, 0]
    assert not any(text.endswith("\r") for text in kept)


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        pytest.param(codecs.BOM_UTF16_BE, "utf-16-be", marks=pytest.mark.slow),
    ],
    ids=["UTF-8", "UTF-16LE", "UTF-16BE"],
)
def test_row_19_a_file_with_a_byte_order_mark_is_decoded_over_odd_reads_and_a_kill(trial, mark, encoding):
    t = trial()
    # U+0A0D and U+0D0A hold the bytes of a line end, in either order, and the emoji is two units of UTF-16.
    words = [f"Grüße {number} \u0a0d\u0d0a \U0001f600" for number in range(12)]
    text = "".join(line(number, who="?").replace("?", word) + "\r\n" for number, word in enumerate(words))
    data = mark + text.encode(encoding)
    agent = t.start()
    t.pieces(data[: len(data) // 2 | 1], (1, 2, 101, 203))
    agent.kill()
    t.append(data[len(data) // 2 | 1 :])
    t.start()
    t.arrived(12)
    documents = t.whole(range(12))
    assert refused(documents) == []
    assert [one["user"]["name"] for one in documents if numbers([one])] == words


def test_row_20_bytes_that_are_no_text_are_kept_to_the_last_bit_and_stop_nothing(trial):
    t = trial()
    odd = [
        line(100).encode().replace(b"kim", b"k\xff\xfe"),  # invalid UTF-8
        line(101).encode().replace(b"kim", "J\xf6rg".encode("latin-1")),
        line(102).encode().replace(b"kim", b"k\0m"),  # a NUL in a text, which JSON does not allow
        b"\x80\x81 no JSON either",
    ]
    t.append(lines(0, 1) + b"".join(data + b"\n" + lines(number, 1) for number, data in enumerate(odd, 1)))
    t.start()
    t.arrived(5)
    documents = t.whole(range(5))
    kept = [one for one in documents if one["event"]["kind"] == "pipeline_error"]
    assert [raw(one) for one in kept] == odd
    assert all(one["error"]["message"] for one in kept)
    assert "\\xff\\xfe" in kept[0]["event"]["original"]


def raw(document):
    """The very bytes of a record that was kept as it is."""
    encoded = document["trail"].get("raw", {}).get("original_base64")
    return base64.b64decode(encoded) if encoded else document["event"]["original"].encode()


def long_line(t, size):
    """Write a line of so many bytes, without its end, between two good ones."""
    with (t.logs / "a.log").open("wb") as file:
        file.write(lines(0, 1) + b'{"x":"')
        for _ in range(size // 1_000_000):
            file.write(b"a" * 1_000_000)
        file.write(b"b" * (size % 1_000_000 - len(b'{"x":"')) + b"\n" + lines(1, 1))


def told_long(documents, size):
    """The one event of a line that was too long, looked at."""
    (kept,) = [one for one in documents if one["event"]["kind"] == "pipeline_error"]
    assert kept["trail"]["origin"]["length"] == size + 1  # with its end
    assert kept["trail"]["truncated"] == [{"length": size + 1, "path": "event.original"}]
    assert len(kept["event"]["original"]) < 100_000
    return kept


def test_row_21_a_line_beyond_the_limit_is_given_out_as_its_beginning_with_its_true_length(trial):
    t = trial()
    long_line(t, 20_000_100)
    t.start()
    t.arrived(2)
    told_long(t.whole(range(2)), 20_000_100)


@pytest.mark.slow
def test_row_21_a_line_of_200_megabytes_takes_little_memory(trial):
    t = trial()
    long_line(t, 200_000_100)
    agent = t.start()
    t.arrived(2)
    print(f"peak {agent.peak() / 1e6:.0f} MB")
    assert agent.peak() < 300_000_000
    told_long(t.whole(range(2)), 200_000_100)


def read_by(agent):
    """Bytes that a process has asked the system for so far."""
    told = Path(f"/proc/{agent.pid}/io").read_text()
    return int(told.partition("rchar: ")[2].split()[0])


def test_row_22_a_file_of_a_terabyte_that_is_all_hole_is_not_read(trial):
    t = trial()
    path = t.logs / "a.log"
    t.append(lines(0, 10))
    os.truncate(path, 1 << 40)
    with path.open("ab") as file:
        file.write(lines(10, 10))
    agent = t.start()
    t.arrived(20)
    agent.kill()
    t.append(lines(20, 10))
    agent = t.start()
    t.arrived(30)
    assert read_by(agent) < 50_000_000
    documents = t.whole(range(30))
    eleventh = next(one for one in documents if numbers([one]) == [10])
    assert eleventh["trail"]["origin"]["length"] == (1 << 40) - len(lines(0, 10)) + len(lines(10, 1))
