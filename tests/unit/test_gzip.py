"""gzip of request bodies: whichever library does it, any reader gets the same bytes back."""

import gzip
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.outputs import _gzip
from tests.shipped import document


def isal():
    return pytest.importorskip("isal.igzip", reason="the extra `isal` is not installed: pip install 'fieldtrail[isal]'")


@given(st.binary(max_size=300))
def test_what_zlib_packed_comes_back(data):
    assert gzip.decompress(_gzip.by_zlib(data)) == data


@given(st.binary(max_size=300))
def test_what_isal_packed_comes_back(data):
    isal()
    assert gzip.decompress(_gzip.quickest()(data)) == data


def test_isal_is_used_where_it_is_installed_and_packs_as_tightly():
    isal()
    rng = random.Random(3)
    body = b"".join(document(n).data.replace(b"Kim", rng.randbytes(4).hex().encode()) for n in range(500))
    pack = _gzip.quickest()
    assert pack is not _gzip.by_zlib
    assert gzip.decompress(pack(body)) == body
    assert len(pack(body)) < 1.1 * len(_gzip.by_zlib(body))


def test_zlib_packs_where_isal_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)
    assert _gzip.quickest() is _gzip.by_zlib


def test_the_same_body_is_packed_to_the_same_bytes_whatever_the_time():
    data = document(1).data
    for pack in (_gzip.by_zlib, _gzip.quickest()):
        assert pack(data) == pack(data)
        assert pack(data)[4:8] == bytes(4)
