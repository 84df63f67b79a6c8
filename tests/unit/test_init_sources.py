"""`fieldtrail init`: what each source is asked, how answers are given and checked, and what is written of them."""

import contextlib
import os
import stat
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import mappings
import parsers
from shipper import _yaml
from shipper.cli import cli
from shipper.commands import init as command
from shipper.errors import FieldtrailError, UsageError
from shipper.inputs.poll.preset import compile_source, preset
from shipper.onboarding.answers import MissingAnswersError, gather, variable
from shipper.onboarding.document import added, flow, new, section_of, written
from shipper.onboarding.sources import names, setups, wanted
from shipper.onboarding.writing import Undo, hand_over, keep_secret, write
from tests.poll_api import section

HOOKS = [f"webhook:{name}" for name in setups().webhooks if name != "own"]
ED25519 = "A" * 43 + "="


class Scripted:
    """Somebody who types these lines, and then presses Ctrl-C."""

    def __init__(self, *lines):
        self.lines, self.said, self.hidden = list(lines), [], []

    def say(self, text):
        self.said.append(text)

    def ask(self, prompt, *, secret):
        self.said.append(prompt)
        self.hidden.append(secret)
        if not self.lines:
            raise click.Abort
        return self.lines.pop(0)


def token(count):
    return "R" * count


def answers_of(name, *sets, asker=None, env=None):
    (one,) = found = wanted([name])
    return one, gather(found, sets, env or {}, asker, token)[0]


def fitting(question, folder):
    """An answer that is right."""
    if question.type == "secret":
        file = folder / "secret"
        file.write_text(ED25519 + "\n")
        return f"@{file}"
    if question.type == "file":
        file = folder / "some.pem"
        file.write_text("x")
        return str(file)
    return question.example or question.default or "10.0.0.0/8"


# -- what is asked -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mappings.sources())
def test_every_preset_asks_for_all_that_it_needs_and_says_where_each_answer_is_found(name):
    base = preset(name)
    asked = base.setup.ask
    must = {key for key, one in base.settings.items() if one.required and one.default is None}
    assert must <= {key.into.removeprefix("settings.") or word for word, key in asked.items()} | set(asked)
    assert sum(one.type == "secret" for one in asked.values()) >= 1
    assert base.setup.needs
    for word, one in asked.items():
        assert len(one.where.split()) >= 4, f"{word}: where in the product is that?"
        assert one.into or word in base.settings


@pytest.mark.parametrize("name", ["webhook", *HOOKS, "syslog", "file:sshd"])
def test_every_other_channel_says_where_each_answer_is_found_and_what_is_left_to_do(name):
    (one,) = wanted([name])
    assert all(len(question.where.split()) >= 4 for question in one.asked.values())
    assert all(question.into for question in one.asked.values())
    assert one.after or name == "file:sshd"


USABLE = [*mappings.sources(), "webhook", *HOOKS, "syslog", "syslog:cef", "sshd", "json", "auto"]
USABLE.remove("webhook:lever")  # it needs an API of the user's own


@pytest.mark.parametrize("name", USABLE)
def test_with_fitting_answers_every_source_becomes_an_input_that_can_be_used(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    sources = [name]
    fed = wanted(sources)[0]
    if fed.fed:
        sources.append("keap")
    sets = []
    for one in wanted(sources):
        for key, question in one.asked.items():
            if question.when is None and question.make is None and not question.optional:
                sets += ["--set", f"{one.name}.{key}={fitting(question, tmp_path)}"]
    words = [word for source in sources for word in ("--source", source)]
    done = CliRunner().invoke(cli, ["init", *words, *sets, "--no-connect", "-c", str(tmp_path / "f.yaml")])
    assert done.exit_code == 0, (done.output, done.exception)
    document = yaml.safe_load((tmp_path / "f.yaml").read_text())
    assert [one["id"] for one in document["inputs"]] == [one.id for one in wanted(sources)]


def test_every_polled_section_is_of_a_preset_and_whole(tmp_path):
    for name in mappings.sources():
        (one,) = wanted([name])
        sets = [f"{key}={fitting(question, tmp_path)}" for key, question in one.asked.items()]
        _, found = answers_of(name, *sets)
        files = {key: tmp_path / "secret" for key, question in one.asked.items() if question.type == "secret"}
        made = dict(section_of(one, found, files, None))
        assert made["type"] == "poll" and made["preset"] == name
        source, problems = compile_source(section(**{k: v for k, v in made.items() if k not in {"id", "type"}}))
        assert problems == [] and source is not None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("okat", "okta"),
        ("webhook:greenhose", "webhook:greenhouse"),
        ("poll:sshd", "sshd"),
        ("sylog", "syslog"),
        ("file:ssdh", "file:sshd"),
        ("syslog:nothing", "syslog"),
    ],
)
def test_an_unknown_source_is_refused_with_the_nearest_names(name, near):
    with pytest.raises(UsageError) as refused:
        wanted([name])
    assert near in refused.value.hint
    assert "no such source" in refused.value.cause


def test_a_format_is_a_file_unless_an_api_has_its_name():
    assert [one.input["type"] for one in wanted(["sshd", "greenhouse", "file:greenhouse"])] == ["file", "poll", "file"]
    assert [one.id for one in wanted(["greenhouse", "file:greenhouse", "webhook:greenhouse"])] == [
        "greenhouse",
        "greenhouse-file",
        "greenhouse-hooks",
    ]
    with pytest.raises(UsageError, match="twice"):
        wanted(["okta", "okta"])
    assert set(parsers.names()) | set(mappings.sources()) <= set(names())


def test_a_webhook_without_a_scheme_of_its_own_is_signed_with_our_own():
    one, found = answers_of("webhook:django_auditlog")
    made = section_of(one, found, {"secret": "/s"}, None)
    assert (made["id"], made["path"], made["format"]) == (
        "django-auditlog-hooks",
        "/in/django-auditlog",
        "django_auditlog",
    )
    assert made["auth"] == {"fieldtrail": {"secret_file": "/s"}}


# -- answers that are given --------------------------------------------------------------------------------------------


def test_what_is_missing_is_told_at_once_with_where_it_is_and_how_it_is_given():
    with pytest.raises(MissingAnswersError) as missing:
        gather(wanted(["makecom", "okta"]), ["zone=eu1.make.com"], {}, None, token)
    said = missing.value.render()
    assert missing.value.exit_code == 64
    for word in ("makecom.organization", "makecom.token", "okta.domain", "okta.token"):
        assert f"{word} is missing" in said
    assert "makecom.zone" not in said and "makecom.team" not in said
    assert "--set makecom.token=@FILE, or the environment variable FIELDTRAIL_INIT_MAKECOM_TOKEN" in said
    assert "Profile, API, Add token" in said


def test_the_command_line_counts_before_the_environment_and_both_before_the_usual():
    (one,) = wanted(["syslog"])
    name = variable(one, "listen")
    assert name == "FIELDTRAIL_INIT_SYSLOG_LISTEN"
    env = {name: "udp://127.0.0.1:2"}
    assert answers_of("syslog", "listen=udp://127.0.0.1:1", env=env)[1]["listen"].value == ("udp://127.0.0.1:1",)
    assert answers_of("syslog", env=env)[1]["listen"].value == ("udp://127.0.0.1:2",)
    assert answers_of("syslog")[1]["listen"].value == ("udp://127.0.0.1:5514", "tcp://127.0.0.1:5514")


def test_a_secret_on_the_command_line_is_refused_and_not_repeated(tmp_path):
    with pytest.raises(MissingAnswersError) as refused:
        answers_of("slack", "token=xoxp-123456")
    assert "seen by everybody" in refused.value.render()
    assert "xoxp-123456" not in refused.value.render()


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["domian=x"], "did you mean domain?"),
        (["okta.domian=x"], "did you mean okta.domain?"),
        (["octa.domain=x"], "there is no --source octa"),
        (["domain"], "not KEY=VALUE"),
        (["domain=a.example", "okta.domain=b.example"], "is there twice"),
    ],
)
def test_a_setting_that_nobody_asks_for_is_refused(sets, said):
    with pytest.raises(UsageError) as refused:
        answers_of("okta", *sets)
    assert said in refused.value.render()


def test_a_setting_of_several_sources_must_say_of_which():
    with pytest.raises(UsageError) as refused:
        gather(wanted(["okta", "slack"]), ["token=@x"], {}, None, token)
    assert "okta.token or slack.token" in refused.value.render()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("okta", "domain=a b", "does not look like one; for example acme.okta.example"),
        ("okta", "domain=", "an answer is needed"),
        ("okta", "domain=a\x1b[2J", "cannot be printed"),
        ("okta", "api=ftp://x", "not a URL"),
        ("okta", "token=@/no/such/file", "cannot read /no/such/file: No such file"),
        ("okta", "id=-", "does not look like one"),
        ("webhook", "listen=example.com:80", "not an address"),
        ("webhook", "cert=/etc/hosts", "is not used with this address"),
        ("webhook:keap", "path=/in/keap", "does not look like one"),
        ("syslog", "listen=127.0.0.1:514", "not an address to listen on"),
        ("sshd", "paths=/etc", "/etc is a directory; write /etc/*"),
        ("sshd", "paths=/var/${env:X}", "would be a reference"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused_in_words(name, text, said):
    with pytest.raises(MissingAnswersError) as refused:
        answers_of(name, text)
    assert said in refused.value.render()


def test_addresses_for_other_hosts_need_more():
    with pytest.raises(MissingAnswersError) as missing:
        answers_of("syslog", "listen=udp://0.0.0.0:5514")
    assert "syslog.allow is missing" in missing.value.render() and "cert" not in missing.value.render()
    with pytest.raises(MissingAnswersError) as missing:
        answers_of("syslog", "listen=tls://127.0.0.1:6514")
    assert "syslog.cert is missing" in missing.value.render() and "allow" not in missing.value.render()
    with pytest.raises(MissingAnswersError) as missing:
        answers_of("webhook", "listen=[::]:8443")
    assert "webhook.cert is missing" in missing.value.render()
    _, found = answers_of("syslog", "listen=udp://0.0.0.0:5514", "allow=10.0.0.0/8, 192.0.2.7")
    assert found["allow"].value == ("10.0.0.0/8", "192.0.2.7")


# -- somebody who is asked ---------------------------------------------------------------------------------------------


def test_a_bad_answer_is_asked_again_with_the_reason_and_secrets_are_hidden():
    asker = Scripted("eu1 make", "eu1.make.com", "eleven", "11", "", "t0k3n")
    _, found = answers_of("makecom", asker=asker)
    assert {key: one.value for key, one in found.items()} == {
        "zone": "eu1.make.com",
        "organization": "11",
        "token": "t0k3n",
    }
    assert asker.hidden == [False] * 5 + [True]
    text = "\n".join(asker.said)
    assert text.count("does not look like one") == 2
    assert "follows /organization/ in your browser's address" in text
    assert "t0k3n" not in text


def test_the_needs_stand_before_the_first_question_and_what_is_given_is_not_asked():
    asker = Scripted("acme.okta.example")
    _, found = answers_of("okta", asker=asker, env={"FIELDTRAIL_INIT_OKTA_TOKEN": "s"})
    assert asker.hidden == [False]
    assert asker.said[0].startswith("\nOkta\n  Note: a user whose administrator role")
    assert found["token"].value == "s"


def test_an_empty_answer_makes_a_secret_or_a_path_that_nobody_can_guess():
    _, found = answers_of("webhook:makecom", asker=Scripted("", "", ""))
    assert (found["listen"].value, found["path"].value) == ("127.0.0.1:8088", "/in/makecom")
    assert (found["secret"].value, found["secret"].made) == ("R" * 32, True)
    _, found = answers_of("webhook:keap", asker=Scripted("", ""))
    assert found["path"].value == "/in/keap/" + "R" * 24


def test_what_was_given_wrongly_is_told_before_anybody_types():
    asker = Scripted("acme.okta.example")
    with pytest.raises(MissingAnswersError, match="cannot be used") as refused:
        answers_of("okta", "token=@/no/such/file", asker=asker)
    assert "cannot read /no/such/file" in refused.value.render() and asker.said == []


def test_what_may_be_left_out_can_be_given_as_nothing():
    asker = Scripted("eu1.make.com", "11", "t")
    _, found = answers_of("makecom", "team=", asker=asker)
    assert "team" not in found and asker.lines == []


def test_a_short_secret_is_asked_again():
    asker = Scripted("", "", "short", "long enough for a secret")
    _, found = answers_of("webhook", asker=asker)
    assert found["secret"].value == "long enough for a secret"
    assert any("can be guessed" in text for text in asker.said)


# -- the file ----------------------------------------------------------------------------------------------------------


TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc", "Cn")), max_size=20)


@settings(max_examples=200, deadline=None)
@given(st.recursive(TEXT | st.integers(-5, 5) | st.booleans(), lambda one: st.lists(one, max_size=3), max_leaves=5))
def test_every_value_is_read_back_as_it_was_written(value):
    if isinstance(value, str) and not value.isprintable():
        return
    text = f"x: {flow(value)}\n"
    try:
        assert _yaml.read(text) == {"x": value}
    except yaml.reader.ReaderError:
        assert not flow(value).isprintable()


def items(*sources):
    found = []
    for name in sources:
        one, given_ = answers_of(name, *(("domain=a.example", "token=@/etc/hostname") if name == "okta" else ()))
        found.append((one, section_of(one, given_, {"token": "/t"} if name == "okta" else {}, None)))
    return found


BEFORE = {
    "no inputs": "agent:\n  name: a   # mine\n# the end\n",
    "nothing in it": "",
    "a null": "# top\ninputs:\n  # - an example\noutputs: [{id: o, type: store}]\n",
    "an empty list": "inputs: []   # none yet\noutputs:\n  - {id: o, type: store}\n",
    "a list": "inputs:\n  - id: a   # one\n    type: stdin\n    # its end\n\n# outputs follow\noutputs: []\n",
    "not indented": "inputs:\n- id: a\n  type: stdin\n- {id: b, type: stdin}\noutputs: []\n",
    "at the end": "outputs: []\ninputs:\n  - {id: a, type: stdin}",
    "the installed file": Path("tools/packaging/fieldtrail.yaml").read_text(encoding="utf-8"),
    "a text of several lines": "inputs:\n  - id: a\n    type: stdin\n    x: |\n      one\n      # two\n\n# end\n",
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("sources", [["sshd"], ["okta", "sshd", "json"]], ids=len)
def test_inputs_are_added_without_a_loss_of_comments_or_anything_else(before, sources):
    made = added(before, items(*sources))
    if made is None:
        assert "# two" in before, "only what looks like a comment and is none"
        return
    old, now = _yaml.read(before) or {}, _yaml.read(made)
    assert now["inputs"][: -len(sources)] == (old.get("inputs") or [])
    assert [one["id"] for one in now["inputs"][-len(sources) :]] == [one.id for one, _ in items(*sources)]
    assert {key: one for key, one in now.items() if key not in {"inputs", "formats"}} == {
        key: one for key, one in old.items() if key != "inputs"
    }
    for line in before.splitlines():
        if "#" in line and "[]" not in line:
            assert line in made.splitlines()


ITEM = st.sampled_from(
    [
        ["- {id: a, type: stdin}"],
        ["- id: b   # b", "  type: stdin", "", "  # more of b", "  format: json"],
        ["-", "  id: c", "  type: file", "  paths:", '    - "/var/log/#1.log"', "    # - another"],
        ["# before d", '- {id: d, type: file, paths: ["/x"],', "   format: json}  # over two lines"],
    ]
)
OTHER = st.sampled_from(
    ["# a comment", "", "agent: {name: x}", "outputs:\n  - {id: o, type: store}", "privacy:\n  rules: []"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(OTHER, max_size=3, unique=True),
    st.lists(ITEM, min_size=1, max_size=4),
    st.sampled_from(["", "  ", "    "]),
    st.lists(OTHER, max_size=3, unique=True),
    st.sampled_from(["", "\n", "\n\n  # indented at the end\n"]),
)
def test_wherever_inputs_stand_every_line_stays_in_its_order(head, listed, indent, tail, end):
    tail = [part for part in tail if part not in head or part.startswith("#")]
    lines = [f"{indent}{line}" if line else "" for item in listed for line in item]
    before = "\n".join([*head, "inputs:  # what is read", *lines, *tail]) + end
    made = added(before, items("sshd"))
    assert made is not None
    rest = iter(made.splitlines())
    assert all(line in rest for line in before.splitlines()), "every line is there, in its order"
    assert len(made.splitlines()) == len(before.splitlines()) + len(written(*items("sshd")[0], 0).splitlines())


@pytest.mark.parametrize("before", ["inputs: [{id: a, type: stdin}]\n", "{inputs: []}\n", "inputs: {a: b}\n", "[]\n"])
def test_what_cannot_be_added_safely_is_not(before):
    assert added(before, items("sshd")) is None


def test_a_new_file_is_commented_and_says_what_is_read():
    text = new(items("okta", "json"), "store", None)
    assert "#   system_log: everything that the System Log has" in text
    assert "# Okta: a user whose administrator role" in text
    assert yaml.safe_load(text)["formats"]["my_audit"]["decode"] == "json"
    assert written(*items("okta")[0], 4).startswith("    # Okta")


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words, **more):
    done = CliRunner().invoke(cli, ["init", "--no-connect", *words], **more)
    if isinstance(done.exception, FieldtrailError):
        return done.exception.exit_code, done.exception.render() + done.output
    assert done.exception is None or isinstance(done.exception, (SystemExit, click.Abort)), done.exception
    return done.exit_code, done.output


def secrets_of(place):
    return sorted((place / "home").rglob("secrets/*"))


def test_a_secret_goes_to_a_file_for_its_owner_alone_and_never_into_the_configuration(place, monkeypatch):
    monkeypatch.setenv("FIELDTRAIL_INIT_BAMBOOHR_KEY", "k3y-of-bamboo")
    code, out = run("--source", "bamboohr", "--set", "company=acme", "--source", "webhook:ashby")
    assert code == 0, out
    hook, key = secrets_of(place)
    assert (key.name, key.read_text()) == ("bamboohr.key", "k3y-of-bamboo\n")
    for file in (hook, key):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    text = (place / "fieldtrail.yaml").read_text()
    assert "k3y-of-bamboo" not in text + out
    assert f'username: "${{file:{key}}}"' in text
    made = hook.read_text().strip()
    assert len(made) >= 43 and made not in text
    assert out.count(made) == 1, "shown once"


def test_the_file_of_a_secret_is_named_as_it_is_given(place):
    (place / "real").write_text("tok")
    (place / "link").symlink_to("real")
    assert run("--source", "slack", "--set", f"token=@{place / 'link'}")[0] == 0
    assert f"token_file: {place / 'link'}" in (place / "fieldtrail.yaml").read_text()
    assert secrets_of(place) == []


def test_nothing_is_written_where_answers_are_missing(place):
    code, out = run("--source", "keap")
    assert code == 64 and "keap.token is missing" in out
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("lines", [(), ("eu1.make.com",), ("eu1.make.com", "11", "")])
def test_ctrl_c_and_the_end_of_input_leave_nothing_behind(place, monkeypatch, lines):
    monkeypatch.setattr(command, "_Terminal", lambda: Scripted(*lines))
    monkeypatch.setattr(command.sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    with pytest.raises(click.Abort):
        command.init.main(["--source", "makecom", "--no-connect"], standalone_mode=False)
    assert list(place.iterdir()) == []


def test_secrets_are_taken_back_where_the_configuration_cannot_be_written(place):
    code, out = run("--source", "webhook", "-c", str(place / "none" / "f.yaml"))
    assert code == 64 and "No such file or directory" in out
    assert secrets_of(place) == []


def test_a_problem_of_the_whole_configuration_is_told_and_nothing_is_changed(place):
    assert run("--source", "webhook")[0] == 0
    before = (place / "fieldtrail.yaml").read_bytes()
    code, out = run("--source", "webhook:makecom", "--set", "path=/in/app")
    assert code == 78 and "another input has it" in out
    assert (place / "fieldtrail.yaml").read_bytes() == before
    assert [file.name for file in secrets_of(place)] == ["webhook.secret"]


def test_the_comments_of_the_last_input_stay_with_it():
    made = added(BEFORE["a list"], items("sshd"))
    assert made.index("# its end") < made.index("id: sshd") < made.index("# outputs follow")


def test_files_that_came_with_the_program_are_named_where_they_are(place):
    code, out = run("--source", "webhook:makecom", "--no-connect")
    assert code == 0
    (named,) = [word for word in out.split() if word.endswith("change-recorder.blueprint.json")]
    assert Path(named).is_absolute() and Path(named).is_file()


def test_a_name_that_is_nearly_right_is_offered_once(place):
    code, out = run("--source", "oktaa")
    assert code == 64 and "did you mean okta or file:okta" in out


def test_a_second_source_is_added_to_the_file_that_is_there(place):
    assert run("--source", "file:sshd")[0] == 0
    path = place / "fieldtrail.yaml"
    path.chmod(0o640)
    before = path.read_text()
    (place / "tok").write_text("t")
    code, out = run("--source", "okta", "--set", "domain=a.example", "--set", "token=@tok")
    assert (code, "added okta to fieldtrail.yaml" in out) == (0, True)
    assert set(before.splitlines()) <= set(path.read_text().splitlines())
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [one.name for one in place.iterdir() if one.name.endswith(".new")] == []
    code, out = run("--source", "okta", "--set", "domain=a.example", "--set", "token=@tok")
    assert code == 64 and "an input okta already exists" in out and "--set okta.id=okta-2" in out
    assert run("--source", "okta", "--set", "domain=a.example", "--set", "token=@tok", "--set", "id=okta-2")[0] == 0
    assert [one["id"] for one in yaml.safe_load(path.read_text())["inputs"]] == ["sshd", "okta", "okta-2"]


def test_what_cannot_be_added_is_shown_to_be_pasted(place):
    path = place / "fieldtrail.yaml"
    path.write_text(f"agent: {{state_dir: {place / 'home'}}}\ninputs: [{{id: a, type: stdin}}]\n")
    before = path.read_bytes()
    code, out = run("--source", "webhook:greenhouse")
    assert code == 64 and "paste the above" in out
    assert path.read_bytes() == before
    pasted = yaml.safe_load(out[out.index("inputs:") : out.index("secret of")])
    assert pasted["inputs"][0]["auth"]["greenhouse"]["secret_file"] == str(secrets_of(place)[0])


def test_a_file_is_replaced_only_where_that_is_said(place):
    assert run("--source", "file:sshd")[0] == 0
    assert run("--source", "file:nginx", "--to", "syslog")[0] == 64, "outputs stay as they are"
    assert run("--source", "file:nginx", "--to", "syslog", "--force")[0] == 0
    document = yaml.safe_load((place / "fieldtrail.yaml").read_text())
    assert [one["id"] for one in document["inputs"]] == ["nginx"]
    assert document["outputs"][0]["type"] == "syslog"


def test_a_configuration_that_comes_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        write(path, "other", over=False)
    assert path.read_text() == "mine" and os.listdir(tmp_path) == ["f.yaml"]


def test_a_hook_that_only_hints_finds_the_poll_that_it_feeds(place):
    (place / "tok").write_text("t")
    code, out = run("--source", "webhook:keap")
    assert code == 64 and "--source keap --source webhook:keap" in out
    code, out = run("--source", "webhook:lever", "--set", "secret=@tok")
    assert code == 64 and "docs/howto/polling.md" in out
    assert run("--source", "keap", "--set", "token=@tok")[0] == 0
    code, out = run("--source", "webhook:keap")
    assert code == 0, out
    hook = yaml.safe_load((place / "fieldtrail.yaml").read_text())["inputs"][1]
    assert hook["feeds"] == "keap"
    assert f"https://YOUR-NAME{hook['path']}" in out


# -- root, in a folder of the agent's user -----------------------------------------------------------------------------


class Root:
    """As if root ran this, in a state folder of user 4711. `given`: what was given away, by its real path."""

    def __init__(self, place, monkeypatch):
        self.state, self.given = place / "state", {}
        self.state.mkdir(mode=0o700)
        self.agents, self.names = {self.state}, {}
        self._real = os.fstat
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "fstat", lambda handle: self._owned(self._real(handle)))
        monkeypatch.setattr(os, "fchown", lambda handle, *to: self._give(self._real(handle), to))
        monkeypatch.setattr(os, "chown", lambda path, *to, **_: self._give(os.stat(path), to))

    def _owned(self, found):
        known = {(one.stat().st_dev, one.stat().st_ino) for one in self.agents if one.exists()}
        of = (4711, 4712) if (found.st_dev, found.st_ino) in known else (0, 0)
        return os.stat_result([*found[:4], *of, *found[6:]])

    def _give(self, found, to):
        self.given[found.st_dev, found.st_ino] = to

    def has_given(self, path):
        """To whom, or None."""
        found = path.lstat()
        return self.given.get((found.st_dev, found.st_ino))


@pytest.fixture
def root(place, monkeypatch):
    return Root(place, monkeypatch)


@pytest.fixture
def victim(place):
    """A folder that is none of the agent's user's business."""
    folder = place / "victim"
    folder.mkdir(mode=0o700)
    (folder / "shadow").write_text("root's own")
    return folder


def test_root_gives_what_it_writes_to_the_agents_own_user(root):
    code, out = run("--source", "webhook", "--state-dir", str(root.state))
    assert code == 0, out
    for name in ("keys", "keys/identity.pem", "secrets", "secrets/webhook.secret"):
        assert root.has_given(root.state / name) == (4711, 4712), name
    assert len(root.given) == 4, "and nothing else"


@pytest.mark.parametrize("name", ["keys", "secrets"])
def test_root_follows_no_link_of_the_agents_user(root, victim, name):
    (root.state / name).symlink_to(victim)
    path = root.state.parent / "fieldtrail.yaml"
    if name == "keys":
        with pytest.raises(UsageError, match="keys: a symbolic link"):
            hand_over(root.state / "keys")
    code, out = run("--source", "webhook", "--state-dir", str(root.state))
    assert code != 0 and str(root.state / name) in out
    assert ("a symbolic link" in out) == (name == "secrets")
    assert os.listdir(victim) == ["shadow"] and not path.exists()
    assert root.has_given(victim) is None and root.has_given(victim / "shadow") is None


def test_a_link_or_a_second_name_in_the_folder_gives_nothing_of_others_away(root, victim):
    folder = root.state / "keys"
    folder.mkdir(mode=0o700)
    (folder / "mine").write_text("x")
    (folder / "mine too").hardlink_to(victim / "shadow")
    hand_over(folder)
    assert root.has_given(victim / "shadow") is None
    assert root.has_given(folder / "mine") == root.has_given(folder) == (4711, 4712)
    root.given.clear()
    (folder / "link").symlink_to(victim / "shadow")
    with pytest.raises(UsageError, match="symbolic links"):
        hand_over(folder)
    assert root.given == {}


def test_what_is_in_a_folder_of_somebody_elses_is_not_given_away(root):
    folder = root.state / "keys"
    folder.mkdir(mode=0o700)
    (folder / "moved here").write_text("root's own")
    root.agents.add(folder)
    with pytest.raises(UsageError, match="belongs to user id 4711, not to 0"):
        hand_over(folder)
    assert root.given == {}


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(root, victim, monkeypatch):
    folder, real = root.state / "secrets", os.fsync

    def swap(handle):
        real(handle)
        if not folder.is_symlink():
            folder.rename(root.state / "moved")
            folder.symlink_to(victim)

    (victim / "name").write_text("root's own")
    with monkeypatch.context() as patched, contextlib.suppress(KeyError), Undo() as undo:
        patched.setattr(os, "fsync", swap)
        keep_secret(folder, "name", "s", undo)
        assert root.has_given(root.state / "moved" / "name") == (4711, 4712)
        raise KeyError
    assert root.has_given(victim) is None and root.has_given(victim / "name") is None
    assert (victim / "name").read_text() == "root's own", "what is taken back is what was made"
    assert os.listdir(root.state / "moved") == []


def test_taking_back_and_keeping_both_close_what_was_open(place):
    handle = os.open(place, os.O_RDONLY)
    os.close(handle)
    for error in (None, KeyError):
        with contextlib.suppress(KeyError), Undo() as undo:
            kept = keep_secret(place / "secrets", "name", "s", undo)
            if error is not None:
                raise error
        again = os.open(place, os.O_RDONLY)
        os.close(again)
        assert again == handle
        assert kept.exists() == (error is None)
    assert os.listdir(place / "secrets") == ["name"]


def test_root_says_who_can_show_a_key_that_it_does_not_read(place, monkeypatch):
    assert run("--source", "sshd", "--state-dir", str(place / "state"))[0] == 0
    real = Path.stat

    def owned(self, **more):
        found = list(real(self, **more))
        found[4:6] = (4711, 4712) if self == place / "state" / "keys" else found[4:6]
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", owned)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        os, "fstat", lambda handle, real=os.fstat: os.stat_result([*real(handle)[:4], 4711, *real(handle)[5:]])
    )
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    code, out = run("--source", "webhook")
    assert code == 0, out
    assert "signing key (sudo -u '#4711' fieldtrail keys show -c fieldtrail.yaml) in" in out
    assert "The secret, shown once: " in out


# -- the configuration while it is rewritten ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644], ids=oct)
def test_a_configuration_is_at_no_time_open_to_more_than_before(tmp_path, monkeypatch, mode):
    path = tmp_path / "f.yaml"
    path.write_text("password: old\n")
    path.chmod(mode)
    seen = []

    def spied(name):
        real = getattr(os, name)

        def spy(*args, **more):
            seen.extend(stat.S_IMODE(one.stat().st_mode) for one in tmp_path.glob(".*.new"))
            return real(*args, **more)

        monkeypatch.setattr(os, name, spy)

    for name in ("fsync", "fchmod", "fdopen"):
        spied(name)
    monkeypatch.setattr(os, "chown", lambda *_, **__: pytest.fail("by its path, which may lead elsewhere by now"))
    before = os.umask(0o022)
    try:
        write(path, "password: new\n", over=True)
    finally:
        os.umask(before)
    assert path.read_text() == "password: new\n" and stat.S_IMODE(path.stat().st_mode) == mode
    assert seen[0] == 0o600 and all(one & ~mode == 0 for one in seen)


def test_a_file_that_was_not_there_has_the_usual_mode_with_force_too(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "a", "x", over=False)
        write(tmp_path / "b", "x", over=True)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o640, 0o640]


def test_only_a_file_is_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a file"):
        write(tmp_path / "pipe", "x", over=True)
    assert os.listdir(tmp_path) == ["pipe"] and stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
