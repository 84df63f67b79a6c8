"""The install engine, over a server that is a dictionary."""

from dataclasses import dataclass, field

import pytest

from shipper.errors import UnavailableError
from shipper.outputs._opensearch_errors import DeniedError
from shipper.siem.install import Part, Step, Stored, difference, install, installed_plugins


class Server:
    """Stands in for a client: knows its plugins, and what kinds of ours put there."""

    def __init__(self, *plugins):
        self.plugins, self.kept, self.calls = plugins, {}, []

    def ask(self, op, method, path, *, body=None, params=None, absent=False):
        self.calls.append((method, path))
        assert path == "/_cat/plugins"
        if self.plugins == ("denied",):
            raise DeniedError(op, "http://search.example:9200", "status 403")
        return [{"component": name} for name in self.plugins]


@dataclass
class Shelf:
    """A kind whose server adds `made` to everything, and that counts what it writes."""

    label: str = "thing"
    plugin: str | None = None
    written: list = field(default_factory=list)

    def path(self, name):
        return f"/shelf/{name}"

    def read(self, client, name):
        body = client.kept.get(name)
        return None if body is None else Stored({**body, "made": 7}, handle=len(body))

    def write(self, client, name, body, stored):
        self.written.append((name, None if stored is None else stored.handle))
        client.kept[name] = body

    def normal(self, body):
        return {name: value for name, value in body.items() if name != "made"}

    def version(self, body):
        return body.get("version")


def test_what_is_not_there_is_installed_and_the_second_time_nothing_is_written():
    server, kind = Server(), Shelf()
    parts = [Part(kind, {"a": {"version": 1}, "b": {"version": 1}})]
    assert [step.result for step in install(server, parts)] == ["installed", "installed"]
    assert list(install(server, parts)) == [Step("thing", "a", "unchanged"), Step("thing", "b", "unchanged")]
    assert kind.written == [("a", None), ("b", None)]
    assert server.calls == [], "plugins are asked for only where something needs one"


def test_what_differs_is_replaced_with_its_handle_and_the_difference_is_told():
    server, kind = Server(), Shelf()
    server.kept["a"] = {"version": 1, "codec": "default", "old": True}
    (step,) = install(server, [Part(kind, {"a": {"version": 2, "codec": "zstd", "new": {"deep": 1}}})])
    assert step == Step(
        "thing", "a", "updated", ("codec: default -> zstd", "new: added", "old: removed", "version: 1 -> 2")
    )
    assert kind.written == [("a", 3)]


def test_a_newer_one_is_left_alone_and_an_unversioned_one_is_not():
    server, kind = Server(), Shelf()
    server.kept |= {"a": {"version": 3, "x": 1}, "b": {"x": 1}}
    parts = [Part(kind, {"a": {"version": 2}, "b": {"version": 2}})]
    assert [step.result for step in install(server, parts)] == ["newer", "updated"]
    assert server.kept["a"] == {"version": 3, "x": 1}


def test_a_dry_run_tells_the_same_and_writes_nothing():
    server, kind = Server(), Shelf()
    server.kept["a"] = {"version": 1}
    steps = list(install(server, [Part(kind, {"a": {"version": 2}, "b": {}})], dry_run=True))
    assert [(step.name, step.result) for step in steps] == [("a", "updated"), ("b", "installed")]
    assert kind.written == [] and set(server.kept) == {"a"}


def test_what_needs_a_plugin_that_is_not_there_is_left_out_with_the_reason():
    server, kind = Server("analysis-icu"), Shelf(plugin="opensearch-alerting")
    steps = list(install(server, [Part(kind, {"a": {}, "b": {}}), Part(Shelf(label="other"), {"c": {}})]))
    assert [(step.name, step.result) for step in steps] == [
        ("a", "left out: the server has no plugin opensearch-alerting"),
        ("b", "left out: the server has no plugin opensearch-alerting"),
        ("c", "installed"),
    ]
    assert kind.written == []


@pytest.mark.parametrize("plugins", [("opensearch-alerting",), ("denied",)])
def test_a_plugin_that_is_there_or_cannot_be_asked_for_is_tried(plugins):
    server = Server(*plugins)
    (step,) = install(server, [Part(Shelf(plugin="opensearch-alerting"), {"a": {}})])
    assert step.result == "installed"


def test_plugins_are_asked_for_once_for_all_parts():
    server = Server("p")
    assert len(list(install(server, [Part(Shelf(plugin="p"), {"a": {}}), Part(Shelf(plugin="p"), {"b": {}})]))) == 2
    assert server.calls == [("GET", "/_cat/plugins")]


def test_an_answer_that_is_no_list_of_plugins_means_none():
    class Odd(Server):
        def ask(self, *args, **kwargs):
            return {"error": "x"}

    assert installed_plugins(Odd()) == frozenset()


def test_a_failure_names_what_went_wrong_and_what_came_before_stays():
    class Broken(Shelf):
        def write(self, client, name, body, stored):
            if name == "b":
                raise UnavailableError("install b", "http://search.example:9200", "status 500")
            super().write(client, name, body, stored)

    server = Server()
    with pytest.raises(UnavailableError, match="install b"):
        list(install(server, [Part(Broken(), {"a": {}, "b": {}})]))
    assert set(server.kept) == {"a"}


@pytest.mark.parametrize(
    ("there", "wanted", "lines"),
    [
        ({"a": 1}, {"a": 1}, ()),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ("a.b.c: 1 -> 2",)),
        ({}, {"a": {"b": 1}}, ("a: added",)),
        ({"a": {"b": 1}}, {}, ("a: removed",)),
        ({"a": [1, 2]}, {"a": [1, 3]}, ("a: [1,2] -> [1,3]",)),
        ({"a": [{"x": 1}, {"x": 2}]}, {"a": [{"x": 1}, {"x": 3}]}, ("a[1].x: 2 -> 3",)),
        ({"a": [{"x": 1}]}, {"a": [{"x": 1}, {"x": 2}]}, ('a: [{"x":1}] -> [{"x":1},{"x":2}]',)),
        ({"a": None}, {"a": False}, ("a: null -> false",)),
        ({"a": {"b": 1}}, {"a": "b"}, ('a: {"b":1} -> b',)),
        ("x", "y", ("all: x -> y",)),
        ({"a": "one\ntwo"}, {"a": ""}, ("a: one\\ntwo -> ",)),
    ],
)
def test_a_difference_is_one_line_for_each_member_by_its_path(there, wanted, lines):
    assert difference(there, wanted) == lines


def test_long_values_are_cut_in_a_difference():
    (line,) = difference({"a": "x" * 500}, {"a": "y"})
    assert line == "a: " + "x" * 59 + "… -> y"
