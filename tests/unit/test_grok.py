"""Grok expressions: names, fields, numbers, and what is refused."""

import pytest
import regex

from shipper.grok import PATTERNS, GrokError, expand


def whole(name, text):
    return regex.fullmatch(expand(f"%{{{name}}}").pattern, text, timeout=1) is not None


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("WORD", ["kim", "a1_b"], ["a b", ""]),
        ("INT", ["-7", "+42"], ["1.5", "x"]),
        ("NUMBER", ["1.5", "-.5", "7."], ["1e5", "x"]),
        ("POSINT", ["42"], ["042", "-1"]),
        ("BASE16NUM", ["0xff", "DEAD"], ["xyz"]),
        ("QS", ['"a \\" b"', "'x'"], ['"a', "a"]),
        ("UUID", ["c37c7292-35cd-4dc4-9113-21b23beaea7d"], ["c37c7292"]),
        ("EMAILADDRESS", ["kim.q@co.example"], ["kim@", "@co.example"]),
        ("MAC", ["00:1B:44:11:3a:b7", "00-1b-44-11-3a-b7", "001b.4411.3ab7"], ["00:1b:44"]),
        ("IPV4", ["192.0.2.7", "255.255.255.255"], ["256.1.1.1", "1.2.3"]),
        ("IPV6", ["2001:db8::1", "::1", "::ffff:192.0.2.7", "fe80::1%eth0"], ["12345", "gggg::"]),
        ("IP", ["192.0.2.7", "2001:db8::1"], ["host.example"]),
        ("HOSTNAME", ["web-1.co.example", "localhost"], ["-x", "a b"]),
        ("IPORHOST", ["192.0.2.7", "co.example"], [""]),
        ("HOSTPORT", ["co.example:443"], ["co.example"]),
        ("UNIXPATH", ["/var/log/app.log"], ["var/log"]),
        ("WINPATH", [r"C:\logs\app.log"], ["/var"]),
        ("URI", ["https://co.example:8443/a/b?c=d"], ["co.example"]),
        ("MONTH", ["Feb", "September"], ["Foo"]),
        ("DAY", ["Mon", "Sunday"], ["Xyz"]),
        ("TIME", ["23:59:60", "7:05"], ["25:00"]),
        (
            "TIMESTAMP_ISO8601",
            ["2026-02-03T10:30:00.123Z", "2026-02-03 10:30", "2026-02-03T10:30:00+01:00"],
            ["2026-13-01"],
        ),
        ("HTTPDATE", ["03/Feb/2026:10:30:00 +0000"], ["2026-02-03"]),
        ("SYSLOGTIMESTAMP", ["Feb  3 10:30:00"], ["10:30"]),
        ("LOGLEVEL", ["INFO", "warning", "Err"], ["loud"]),
        ("BOOLEAN", ["true", "No"], ["maybe"]),
        ("DATE_US", ["02/03/2026"], ["2026"]),
        ("DATE_EU", ["03.02.2026"], ["2026"]),
        ("DATESTAMP_RFC2822", ["Tue, 3 Feb 2026 10:30:00 +0100"], ["Tue"]),
    ],
)
def test_a_pattern_matches_what_its_name_says(name, good, bad):
    assert [text for text in good if not whole(name, text)] == []
    assert [text for text in bad if whole(name, text)] == []


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_every_pattern_compiles_and_is_quick_on_nonsense(name):
    pattern = regex.compile(expand(f"^%{{{name}}}$").pattern)
    for text in (
        "a" * 5000 + "!",
        "1" * 5000 + "!",
        "a." * 2500 + "!",
        "/a" * 2500 + " ",
        ":" * 5000,
        '"' * 4999,
        "-" * 5000,
    ):
        pattern.search(text, timeout=0.5)


def test_fields_are_kept_by_the_names_that_were_given():
    found = expand("%{IP:source.ip} %{WORD:[user][name]} %{INT:size:int} %{NUMBER:took:float} %{WORD}")
    assert list(found.fields.values()) == [("source.ip", None), ("user.name", None), ("size", int), ("took", float)]


def test_definitions_of_the_users_own_come_first():
    assert regex.fullmatch(expand("%{TICKET:t}-%{WORD}", {"TICKET": "[A-Z]{2}", "WORD": "[0-9]+"}).pattern, "HR-17")


@pytest.mark.parametrize(
    ("text", "definitions", "why"),
    [
        ("%{NOSUCH}", {}, "no pattern is called 'NOSUCH'"),
        ("%{A}", {"A": "x%{B}", "B": "%{A}"}, "defined by itself"),
        ("%{WORD:a b}", {}, "no name of a field"),
        ("%{INT:a:date}", {}, "no type"),
        ("%{A}", {"A": "%{B}" * 400, "B": "%{C}" * 400, "C": "x"}, "longer than"),
    ],
)
def test_what_cannot_be_compiled_is_said(text, definitions, why):
    with pytest.raises(GrokError, match=why):
        expand(text, definitions)
