"""The section of a webhook: what is refused before anything listens, each problem with its path."""

import pytest

from shipper.build import Lanes
from shipper.config import parse
from shipper.errors import ConfigError
from shipper.input_sections import host_and_port

TOKEN = "0123456789abcdef"


def section(name="hook", path="/in/hook", **more):
    words = {"listen": "127.0.0.1:8088", "format": "json", "auth": f"{{bearer: {{token: {TOKEN}}}}}", **more}
    told = ", ".join(f"{key}: {value}" for key, value in words.items() if value is not None)
    return f"{{id: {name}, type: webhook, path: '{path}', {told}}}"


def problems(*sections):
    try:
        Lanes(parse(f"inputs: [{', '.join(sections)}]", "test"), "test", bytes)
    except ConfigError as error:
        return dict(error.problems)
    return {}


def test_a_section_that_says_what_it_must_is_taken():
    assert problems(section(), section("two", "/in/two"), section("three", listen="127.0.0.1:8089")) == {}


@pytest.mark.parametrize(
    ("wrong", "place", "said"),
    [
        ({"listen": "'8088'"}, "inputs[0].listen", "write for example 127.0.0.1:8088"),
        ({"listen": "host.example:8088"}, "inputs[0].listen", "not an address"),
        ({"listen": "127.0.0.1:0"}, "inputs[0].listen", "not an address"),
        ({"listen": "'0.0.0.0:8088'"}, "inputs[0]", "give tls, or trusted_proxies"),
        ({"path": "in"}, "inputs[0].path", "pattern"),
        ({"path": "/in?x=1"}, "inputs[0].path", "pattern"),
        ({"format": "auto"}, "inputs[0].format", "named, not found out"),
        ({"format": "nothing"}, "inputs[0].format", "nothing"),
        ({"format": None}, "inputs[0].format", "is required"),
        ({"auth": None}, "inputs[0].auth", "is required"),
        ({"auth": "{bearer: {token: short}}"}, "inputs[0].auth.bearer", "fewer than 16"),
        ({"trusted_proxies": "[10.0.0.0/8, proxy.example]"}, "inputs[0].trusted_proxies[1]", "not a network"),
        ({"content_types": "['a/b; c']"}, "inputs[0].content_types[0]", "pattern"),
        ({"max_body": "100MiB"}, "inputs[0].max_body", "less than or equal"),
        ({"tls": "{cert: /no/cert.pem, key: /no/key.pem}"}, "inputs[0].tls.cert", "cannot read /no/cert.pem"),
        ({"feeds": "nobody"}, "inputs[0].feeds", "no input nobody of type poll"),
        ({"feeds": "hook"}, "inputs[0].feeds", "of type poll"),
        ({"pathh": "/x"}, "inputs[0].pathh", "did you mean path?"),
    ],
)
def test_what_cannot_work_is_told_with_its_place(wrong, place, said):
    found = problems(section(**wrong))
    assert said in found[place], found


def test_an_address_that_others_reach_is_taken_behind_a_proxy():
    assert problems(section(listen="'0.0.0.0:8088'", trusted_proxies="[192.0.2.7]")) == {}
    assert problems(section(listen="'[::1]:8088'")) == {}


def test_endpoints_of_one_port_have_different_paths_and_share_the_rest():
    twice = problems(section(), section("two"))
    assert twice == {"inputs[1].path": "another input has it, with the same listen"}
    differ = problems(section(), section("two", "/in/two", connections=7))
    assert differ == {"inputs[1].connections": "input hook has the same listen and says otherwise"}
    assert problems(section(), section("two", listen="'[::1]:8088'", connections=7)) == {}


def test_the_same_address_written_in_two_ways_is_one():
    found = problems(section(), section("two", listen="localhost:8088"))
    assert list(found) == ["inputs[1].path"]


@pytest.mark.parametrize(
    ("text", "address"),
    [("localhost:1", ("127.0.0.1", 1)), ("[::1]:65535", ("::1", 65535)), ("0.0.0.0:8088", ("0.0.0.0", 8088))],
)
def test_addresses(text, address):
    assert host_and_port(text) == address


@pytest.mark.parametrize(
    "text", ["", ":80", "1.2.3.4", "1.2.3.4:65536", "1.2.3:80", "[::1:80", "a b:80", "1.2.3.4:８０"]
)
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="not an address"):
        host_and_port(text)
