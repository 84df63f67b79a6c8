"""The house's rules over the import graph, held by a test: who may know whom, and what the pure rooms may not touch."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("parsers", "mappings", "shipper")

PURE = {
    "shipper._convert",
    "shipper._privacy",
    "shipper._scrub",
    "shipper.changes",
    "shipper._splicing",
    "shipper.learned",
    "shipper._placing",
    "shipper._shaping",
    "shipper.errors",
    "shipper.framing",
    "shipper._groupers",
    "shipper.grouping",
    "shipper.mapped",
    "shipper.model",
    "shipper.normalize",
    "shipper.patterns",
    "shipper.pipeline",
    "shipper.siem._panels",
    "shipper.siem.dashboards",
    "shipper.protect",
    "shipper.schema",
    "shipper.sentences",
    "shipper.templates",
    "shipper.timestamps",
    "shipper.formats",
    "shipper.differ.attribute",
    "shipper.differ.diff",
    "shipper.differ.records",
    "shipper.enrich",
    "shipper.inputs.poll.engine",
    "shipper.inputs.poll.hooks",
    "shipper.inputs.poll.limits",
    "shipper.inputs.poll.pages",
    "shipper.inputs.poll.paging",
    "shipper.inputs.poll.tasks",
    "shipper.inputs.webhook._schemes_bodies",
    "shipper.inputs.webhook._schemes_model",
    "shipper.inputs.webhook._schemes_parts",
    "shipper.inputs.webhook._schemes_public",
    "shipper.inputs.webhook.schemes",
    "shipper.journal.format",
    "shipper.outputs._bulk",
    "shipper.outputs._cef",
    "shipper.outputs._dialect",
    "shipper.outputs._leef",
    "shipper.outputs._opensearch_pace",
    "shipper.seal.canonical",
    "shipper.seal.checkpoint",
    "shipper.seal.note",
    "shipper.seal.proofs",
    "shipper.seal.sealer",
    "shipper.seal.strict",
    "shipper.seal.tree",
}
"""Rooms without I/O, clock and chance. The parsers belong to them, all of them."""

PURE_MAY_IMPORT = {
    "__future__", "array", "ast", "base64", "binascii", "bisect", "codecs", "collections", "dataclasses", "datetime",
    "csv", "decimal", "difflib", "enum", "fnmatch", "functools", "hashlib", "hmac", "html", "importlib", "inspect", "ipaddress",
    "itertools", "json", "math", "operator", "pkgutil", "posixpath", "re", "string", "struct", "sys", "types", "typing",
    "email.utils", "unicodedata", "urllib.parse", "zlib", "zoneinfo", "calendar", "textwrap", "pathlib",
    "orjson", "msgspec", "regex", "backports", "compression", "cryptography", "yaml",
}  # fmt: skip
BANNED_CALLS = {"open", "print", "input", "exec", "eval", "compile", "breakpoint"}
BANNED_ATTRIBUTES = {
    ("time", "time"), ("time", "monotonic"), ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"),
    ("date", "today"), ("os", "urandom"), ("uuid", "uuid4"), ("uuid", "uuid1"),
}  # fmt: skip

GROUPS = {
    "shipper.inputs": "inputs",
    "shipper.outputs": "outputs",
    "shipper.journal": "journal",
    "shipper.pipeline": "pipeline",
}
"""The braces of the sentence: none of them imports another; only the agent's level sees them all."""


def modules():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(path, name):
    """(module, only for types) of every import in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for_types |= {id(child) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in for_types
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are written out in full"
            yield node.module, id(node) in for_types
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) in for_types


ALL = list(modules())
PURE_MODULES = [(name, path) for name, path in ALL if name in PURE or name.split(".")[0] == "parsers"]


def test_every_pure_room_exists():
    assert PURE - {name for name, _ in ALL} == set()


@pytest.mark.parametrize(("name", "path"), PURE_MODULES, ids=[name for name, _ in PURE_MODULES])
def test_a_pure_room_imports_only_what_is_allowed(name, path):
    for module, only_types in imports(path, name):
        head = module.split(".")[0]
        if head in PACKAGES or only_types:
            continue
        allowed = head in PURE_MAY_IMPORT or any(
            module == item or module.startswith(item + ".") for item in PURE_MAY_IMPORT
        )
        assert allowed, f"{name} imports {module}"


@pytest.mark.parametrize(("name", "path"), PURE_MODULES, ids=[name for name, _ in PURE_MODULES])
def test_a_pure_room_opens_nothing_prints_nothing_and_asks_no_clock(name, path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name):
                # One room makes a function out of text of its own: that is what it is for.
                allowed = {"shipper._splicing": {"exec", "compile"}, "shipper.learned": {"eval", "compile"}}.get(
                    name, set()
                )
                assert function.id not in BANNED_CALLS - allowed, f"{name}:{node.lineno} calls {function.id}"
            elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                called = (function.value.id, function.attr)
                assert called not in BANNED_ATTRIBUTES, f"{name}:{node.lineno} calls {'.'.join(called)}"


def test_parsers_know_neither_the_shipper_nor_one_another():
    formats = {name for name, _ in ALL if name.startswith("parsers.") and not name.split(".")[1].startswith("_")}
    for name, path in ALL:
        if name.split(".")[0] != "parsers":
            continue
        for module, _ in imports(path, name):
            assert not module.startswith("shipper"), f"{name} imports {module}"
            if name in formats:
                assert module not in formats or module == name, f"{name} imports its sibling {module}"


def test_mappings_know_nobody():
    for name, path in ALL:
        if name.split(".")[0] == "mappings":
            for module, _ in imports(path, name):
                assert module.split(".")[0] not in {"shipper", "parsers"}, f"{name} imports {module}"


def test_inputs_outputs_journal_and_pipeline_do_not_know_one_another():
    for name, path in ALL:
        mine = next(
            (group for prefix, group in GROUPS.items() if name == prefix or name.startswith(prefix + ".")), None
        )
        if mine is None:
            continue
        for module, only_types in imports(path, name):
            theirs = next(
                (group for prefix, group in GROUPS.items() if module == prefix or module.startswith(prefix + ".")), None
            )
            assert theirs in {None, mine} or only_types, f"{name} imports {module}"


def test_parsing_processes_know_neither_inputs_nor_outputs_nor_the_journal():
    closed = ("shipper.inputs", "shipper.outputs", "shipper.journal", "shipper.agent", "shipper.delivery")
    for name, path in ALL:
        if name.startswith("shipper.workers") or name == "shipper.processor":
            for module, _ in imports(path, name):
                assert not module.startswith(closed), f"{name} imports {module}"


def test_only_the_opensearch_output_knows_the_client_library():
    for name, path in ALL:
        for module, _ in imports(path, name):
            if module.split(".")[0] == "opensearchpy":
                assert name == "shipper.outputs._opensearch_client", f"{name} imports {module}"


def test_structlog_is_configured_in_one_place():
    for name, path in ALL:
        if "structlog.configure" in path.read_text(encoding="utf-8"):
            assert name == "shipper.cli"


def test_the_verifier_shares_only_formats_with_the_writer():
    writer = {
        "shipper.seal.sealer",
        "shipper.logbook",
        "shipper.agent",
        "shipper.recover",
        "shipper.pipeline",
        "shipper.processor",
    }
    for name, path in ALL:
        if name.startswith("shipper.seal.") and name != "shipper.seal.sealer":
            assert {module for module, _ in imports(path, name)} & writer == set(), name


def test_modules_stay_readable():
    for name, path in ALL:
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 560, f"{name} has {lines} lines: split it by concern"
