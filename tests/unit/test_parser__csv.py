"""CSV records: a header, LF, and one row."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers import Rejected
from parsers._csv import fields, header, row


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (b"a,b\n1,2", {"a": "1", "b": "2"}),
        (b"a;b\n1,5;2", {"a": "1,5", "b": "2"}),
        (b"a\tb\n1\t2", {"a": "1", "b": "2"}),
        (b"a|b\n1|2", {"a": "1", "b": "2"}),
        (b"a,b\r\n1,2\r", {"a": "1", "b": "2"}),
        (b'"a,1",b\n"x ""q"" y",""', {"a,1": 'x "q" y', "b": ""}),
        (b'a,b\n"two\nlines",2', {"a": "two\nlines", "b": "2"}),
        (b"\xef\xbb\xbfa,b\n1,2", {"a": "1", "b": "2"}),
        (b"a,a,,a\n1,2,3,4", {"a": "1", "a#2": "2", "column 3": "3", "a#3": "4"}),
        (b" a , b \n 1 ,2", {"a": " 1 ", "b": "2"}),
        (b"a,b\n\xff,2", {"a": "\\xff", "b": "2"}),
    ],
)
def test_a_row_is_read_under_its_header(record, found):
    assert row(record) == found


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (b"", "a header and a row"),
        (b"a,b", "a header and a row"),
        (b"alone\n1", "only one column"),
        (b"a,b\n1,2,3", "3 fields under a header of 2"),
        (b"a,b\n1", "1 fields under a header of 2"),
        (b'a,b\n"1,2', "quotes do not match"),
        (b"a,b\n1,2\n3,4", "more than one CSV row"),
        (b"a,b\n", "0 fields under a header of 2"),
        (b"," * 3000 + b"\n1", "more than 2000 columns"),
    ],
)
def test_what_is_no_row_is_refused_with_a_reason(record, why):
    found = row(record)
    assert isinstance(found, Rejected) and why in found.reason


def test_a_field_is_never_cut_however_long():
    found = row(b"a,b\n" + b"x" * 300_000 + b",2")
    assert not isinstance(found, Rejected) and len(found["a"]) == 300_000


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=20),
        min_size=2,
        max_size=6,
    )
)
def test_what_a_writer_wrote_comes_back(values):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    names = ",".join(f"n{number}" for number in range(len(values)))
    found = row(f"{names}\n{out.getvalue().removesuffix(chr(10))}".encode())
    assert found == dict(zip(names.split(","), values, strict=True))


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(data):
    assert isinstance(row(data), dict | Rejected)
    assert header(data) is not None
    assert isinstance(fields(data.decode("utf-8", "replace")), list | Rejected)
