"""The configuration: YAML, expansion, models, and how problems are told."""

import pytest

from shipper._settings import seconds
from shipper.config import Config, cross_check, for_paths, load, parse
from shipper.errors import ConfigError


def problems(text, env=None):
    """{path: text} of what is wrong."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml", env or {})
    assert caught.value.exit_code == 78
    return dict(caught.value.problems)


def test_an_empty_file_is_all_defaults():
    config = parse("", "c.yaml")
    assert config.inputs == config.outputs == ()
    assert config.seal.interval == 60
    assert config.seal.max_events == 5000
    assert config.agent.shutdown_grace == 30


def test_the_example_of_the_design_is_read():
    text = """
agent: {name: hr-app-03, origin: acme.example/audit, state_dir: /var/lib/fieldtrail, workers: 1}
seal: {interval: 60s}
inputs:
  - {id: crm-app, type: file, paths: ["/var/log/crm/*.json"], format: json_audit}
formats:
  json_audit:
    decode: json
    time: {field: ts, layout: iso8601}
    map: {user.id: actor.id, source.ip: actor.ip}
    changes: {list: changes, field: field, old: old, new: new}
    actions: {edit: field.update}
    constants: {event.category: [database], event.type: [change]}
outputs:
  - {id: siem, type: opensearch, hosts: ["https://search.acme.example:9200"],
     auth: {basic: {username: ft, password: "${env:OS}"}}}
  - {id: soc, type: syslog, address: "tls://soc.acme.example:6514", format: rfc5424}
  - {id: archive, type: file, path: /var/log/fieldtrail/events.ndjson, from: oldest}
  - {id: local, type: store}
"""
    config = parse(text, "c.yaml", {"OS": "s3cret"})
    assert [output.type for output in config.outputs] == ["opensearch", "syslog", "file", "store"]
    assert config.outputs[2].start == "oldest"
    assert config.outputs[0].auth.basic.password.get_secret_value() == "s3cret"
    assert "s3cret" not in config.model_dump_json() + repr(config)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("60s", 60), ("1.5m", 90), ("12h", 43200), ("7d", 604800), (" 5 s ", 5)],
)
def test_a_duration_is_seconds(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 weeks", "1e3s", "٥s"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write for example 500ms"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("64MiB", 64 * 2**20), ("2GB", 2 * 10**9), ("1048576", 2**20), ("0.5MiB", 2**19)]
)
def test_a_size_is_bytes(text, expected):
    assert parse(f"journal: {{segment_size: 64KiB, max_size: {text}}}", "c").journal.max_size == expected


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("agent: {nmae: x}", "agent.nmae", "unknown key; did you mean name?"),
        ("seal: {every: 1s}", "seal.every", "unknown key"),
        ("outputs: [{id: a, type: store, form: end}]", "outputs[0].form", "unknown key; did you mean from?"),
        ("inputs: [{id: a, type: file}]", "inputs[0].paths", "is required"),
        ("inputs: [{type: stdin}]", "inputs[0].id", "is required"),
        ("inputs: [{id: a}]", "inputs[0].type", "is required"),
        ("inputs: [{id: a, type: ftp}]", "inputs[0].type", "'ftp' is not one of 'file', 'stdin'"),
        ("inputs: {}", "inputs", "Input should be a valid tuple"),
        ("inputs: [{id: 'a b', type: stdin}]", "inputs[0].id", "String should match pattern"),
        ("agent: {name: 'a b'}", "agent.name", "must not contain spaces or '+': it names the signing key"),
        ("agent: {workers: 33}", "agent.workers", "Input should be less than or equal to 32"),
        ("privacy: {rules: [{action: drop}]}", "privacy.rules[0]", "at least one of field, category, sensitivity"),
        ("formats: {a: {decode: xml}}", "formats.a.decode", "Input should be 'json', 'kv', 'csv', 'regex' or 'grok'"),
        (
            "formats: {a: {decode: json, changes: {list: a, pairs: b}}}",
            "formats.a.changes",
            "give list or pairs, or neither where a record is one change",
        ),
        ("formats: {a: {decode: json, time: {field: t, layout: '?'}}}", "formats.a.time.layout", ""),
        (
            "outputs: [{id: a, type: opensearch, hosts: ['http://a.example', 'a.example']}]",
            "outputs[0].hosts[1]",
            "not a URL; write for example https://search.example:9200",
        ),
        (
            "outputs: [{id: a, type: opensearch, hosts: ['http://u:p@a.example']}]",
            "outputs[0].hosts[0]",
            "not a URL",
        ),
        ("outputs: [{id: a, type: syslog, address: soc.example}]", "outputs[0].address", "String should match"),
        ("journal: {segment_size: 1KiB}", "journal.segment_size", "greater than or equal to 65536"),
    ],
)
def test_a_problem_is_told_with_its_path(text, path, said):
    found = problems(text)
    assert list(found) == [path]
    assert said in found[path]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inputs: [{id: a, type: stdin}, {id: a, type: stdin}]", "inputs: id 'a' is used twice"),
        ("outputs: [{id: a, type: store}, {id: b, type: store}]", "only one output of type store"),
    ],
)
def test_what_may_be_there_only_once(text, said):
    assert said in " ".join(f"{path} {text}" for path, text in problems(text).items())


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("agent: {}\nagent: {}\n", "line 2, column 1", "duplicate key 'agent'"),
        ("seal:\n  interval: 1s\n  interval: 2s\n", "line 3, column 3", "duplicate key 'interval'"),
        ("? [a, b]\n: c\n", "line 1, column 3", "a key must be a plain scalar"),
        ("agent: {name: !!python/object:os.system x}\n", "line 1, column 15", "could not determine a constructor"),
        ("agent:\n\tname: x\n", "line 2, column 1", "found character"),
    ],
)
def test_bad_yaml_is_told_with_line_and_column(text, where, said):
    assert said in problems(text)[where]


def test_all_problems_come_at_once():
    text = "agent: {x: 1}\nseal: {interval: z}\ninputs: [{id: a}]\noutputs: [{id: o, type: file}]"
    assert set(problems(text)) == {"agent.x", "seal.interval", "inputs[0].type", "outputs[0].path"}


# -- expansion ---------------------------------------------------------------------------------------------------------


def test_references_are_expanded_in_scalars_and_never_read_as_yaml(tmp_path):
    (tmp_path / "name").write_text("from: a-file\n")
    text = f"agent: {{name: '${{env:N}}', origin: '${{file:{tmp_path}/name}}'}}"
    with pytest.raises(ConfigError):
        parse(text, "c", {"N": "x"})  # a space in a name: still one string, and refused as one
    config = parse(text.replace(f"file:{tmp_path}/name", "env:N"), "c", {"N": "[a]"})
    assert config.agent.name == config.agent.origin == "[a]"


def test_a_reference_within_a_text_and_one_that_yields_a_reference():
    config = parse("agent: {name: 'a-${env:A}-${env:B}'}", "c", {"A": "1", "B": "${env:A}"})
    assert config.agent.name == "a-1-${env:A}"


def test_references_that_cannot_be_resolved_are_problems(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff")
    text = (
        f"agent: {{name: '${{env:NO}}', origin: '${{file:{tmp_path}/no}}', namespace: '${{file:{tmp_path}/binary}}'}}"
    )
    assert problems(text) == {
        "agent.name": "environment variable NO is not set",
        "agent.origin": f"cannot read {tmp_path}/no: No such file or directory",
        "agent.namespace": f"cannot read {tmp_path}/binary: not UTF-8 text",
    }
    assert problems("inputs: [{id: a, type: stdin, timezone: '${env:NO}'}]") == {
        "inputs[0].timezone": "environment variable NO is not set"
    }


@pytest.mark.parametrize(
    "text",
    [
        "inputs: [{id: a, type: '${env:S}'}]",
        "agent: {workers: '${env:S}'}",
        "seal: {interval: '${env:S}'}",
        "formats: {a: {decode: json, time: {field: t, layout: '${env:S}'}}}",
        "outputs: [{id: a, type: opensearch, hosts: ['${env:S}']}]",
        "agent: {name: 'x ${env:S}'}",
    ],
)
def test_a_value_from_an_expansion_never_stands_in_an_error(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml", {"S": "hunter22"})
    assert "hunter22" not in caught.value.render()


# -- what a model cannot see -------------------------------------------------------------------------------------------


def test_zones_certificates_and_folders_are_looked_at(tmp_path):
    config = parse(
        f"""
inputs:
  - {{id: a, type: stdin, timezone: Mars/Base}}
  - {{id: b, type: file, paths: ["{tmp_path}"]}}
outputs:
  - {{id: c, type: file, path: "{tmp_path}"}}
  - {{id: d, type: syslog, address: "tls://s.example:1", tls: {{ca: "{tmp_path}/none.pem"}}}}
""",
        "c",
    )
    assert [path for path, _ in cross_check(config)] == [
        "inputs[0].timezone",
        "inputs[1].paths[0]",
        "outputs[0].path",
        "outputs[1].tls.ca",
    ]


def test_a_configuration_for_paths_reads_them_in_format_auto():
    config = for_paths(("/a", "/b"))
    assert config.inputs[0].paths == ("/a", "/b")
    assert config.inputs[0].format == "auto"
    assert config.outputs == ()


def test_a_file_that_cannot_be_read_is_told_apart(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"agent: {name: \xe9}")
    for name, cause in {"none": "no such file", "folder": "is a directory", "latin": "not UTF-8 text"}.items():
        with pytest.raises(ConfigError, match=cause):
            load(tmp_path / name)


def test_the_state_folder_follows_the_users_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Config().agent.state_dir == tmp_path / "fieldtrail"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Config().agent.state_dir == tmp_path / ".local" / "state" / "fieldtrail"


def input_with(more):
    return parse('inputs: [{id: a, type: file, paths: ["/x"], format: text, ' + more + "}]", "c.yaml").inputs[0]


def test_the_framing_of_an_input_is_its_formats_unless_it_says_otherwise():
    plain = input_with("keep_original: true")
    assert (plain.framing, plain.multiline.start) == ("auto", None)
    assert (plain.multiline.max_lines, plain.multiline.max_bytes, plain.multiline.timeout) == (500, 256 * 1024, 2.0)
    own = input_with(r"framing: multiline, multiline: {start: '\d{4}-', max_lines: 9, max_bytes: 1MiB, timeout: 500ms}")
    assert (own.framing, own.multiline.start) == ("multiline", r"\d{4}-")
    assert (own.multiline.max_lines, own.multiline.max_bytes, own.multiline.timeout) == (9, 1024**2, 0.5)


@pytest.mark.parametrize(
    ("more", "path", "said"),
    [
        ("framing: rows", "framing", "json_document"),
        ("multiline: {start: '('}", "multiline.start", "not a regular expression"),
        (r"multiline: {start: '\s*'}", "multiline.start", "matches an empty line"),
        ("multiline: {max_lines: 1}", "multiline.max_lines", "greater than or equal to 2"),
        ("multiline: {begin: x}", "multiline.begin", "unknown key"),
    ],
)
def test_a_framing_that_cannot_be_is_told_with_its_path(more, path, said):
    text = "inputs: [{id: a, type: stdin, " + more + "}]"
    found = problems(text)
    assert said in found[f"inputs[0].{path}"]
