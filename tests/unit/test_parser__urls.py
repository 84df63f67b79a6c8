"""Secrets in addresses."""

import pytest

from parsers._urls import clean_url, clean_urls

DROPPED = "(secret dropped)"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://z.example/j/1?pwd=abc&x=1", f"https://z.example/j/1?pwd={DROPPED}&x=1"),
        ("https://z.example/#access_token=a.b&y", f"https://z.example/#access_token={DROPPED}&y"),
        ("see https://u:p@z.example/ and more", f"see https://u:{DROPPED}@z.example/ and more"),
        ("https://h.example/services/T01/B02/xYz", f"https://h.example/services/T01/B02/{DROPPED}"),
        ("https://h.example/api/webhooks/123/abc-_D", f"https://h.example/api/webhooks/123/{DROPPED}"),
        ("https://z.example/?page=2&token_type=x", "https://z.example/?page=2&token_type=x"),
        ("pwd=abc", "pwd=abc"),
        ("", ""),
    ],
)
def test_what_opens_something_is_dropped_from_an_address(text, clean):
    assert clean_url(text) == clean
    assert clean_url(clean) == clean


def test_all_texts_of_a_document_are_cleaned_in_place():
    document = {"a": ["https://x.example/?key=1", 2, {"b": "https://x.example/?sig=1"}], "c": None}
    clean_urls(document)
    assert document == {
        "a": [f"https://x.example/?key={DROPPED}", 2, {"b": f"https://x.example/?sig={DROPPED}"}],
        "c": None,
    }
