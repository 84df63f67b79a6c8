"""A real Django application that django-auditlog, django-simple-history and django-easy-audit watch at once.

People use it over HTTP, each from an address of their own; a command imports. Then the rows are exported as the
formats' documentation says (the exporter of django-simple-history is taken out of it), parsed by the real command, and
held against what was done: who, what, from what to what, when, from where. All three have to tell one story.
"""

import functools
import importlib
import json
import re
import subprocess
import sys
import textwrap
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.components import absent
from tests.e2e.agent_process import ROOT, environment, run
from tests.e2e.hrapp.driver import PATIENCE, Application, Person

WORDS = {"dana": "dana-likes-long-words", "lee": "lee-likes-long-words", "kim": "kim-likes-long-words"}
WHERE = {"dana": "127.0.0.1", "lee": "127.0.0.2"}
SKILLS = ("welding", "payroll", "Ünïcode")
NEW_WORDS = "another-long-phrase-of-lee"
FIRST, SECOND = "7711", "7712"
IMPORTED = [
    {"id": 7711, "name": "Robin Q", "salary": "90000.00"},
    {"id": 7712, "name": "Ash P", "salary": "70000.00", "bonus": "100.00"},
]
NIGHTLY = [{"id": 7712, "name": "Ash P", "salary": "71000.00", "bonus": None}]
DUMPS = {
    "django_auditlog": ("auditlog.logentry", "--natural-foreign"),
    "django_easyaudit": ("easyaudit", "--natural-foreign"),
}
EXPORTER = """
import json
from django.apps import apps
from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder
"""
COLUMNS = (
    EXPORTER
    + """
class Command(BaseCommand):
    def handle(self, **options):
        for model in apps.get_app_config("easyaudit").get_models():
            for row in model.objects.order_by("pk").values():
                self.stdout.write(json.dumps(row, cls=DjangoJSONEncoder))
"""
)
HISTORIES = (
    EXPORTER
    + """
class Command(BaseCommand):
    def handle(self, **options):
        for employee in set(apps.get_model("hr.employee").history.values_list("id", flat=True)):
            rows = apps.get_model("hr.employee").history.filter(id=employee).order_by("history_id").values()
            line = {"model": "hr.Employee", "rows": list(rows)}
            self.stdout.write(json.dumps(line, cls=DjangoJSONEncoder))
"""
)


# -- the application, and what people do in it -------------------------------------------------------------------------


class Hr(Application):
    module = "tests.integration.djangoapp"


class Clerk(Person):
    """Someone who also works on the pages that only this application has."""

    def send(self, path, words=""):
        self._send(path, {**self._form(path), "words": words}, "-")

    def skills(self, record, *names):
        self.send(f"employees/{record}/skills/", " ".join(names))

    def export(self):
        with self._browser.open(f"{self.base}employees/export/?year=2026&token=abc123", timeout=PATIENCE) as answer:
            return answer.read()

    def leave(self):
        token = self._form("password/")["csrfmiddlewaretoken"]
        self._send("logout/", {"csrfmiddlewaretoken": token}, "-")


def needed():
    for module, package in (("simple_history", "django-simple-history"), ("easyaudit", "django-easy-audit")):
        try:
            importlib.import_module(module)
        except ImportError:
            absent(f"{package} is not installed: pip install {package}")


def documented_exporter():
    """The management command in the documentation of the format django_simple_history, as it stands there."""
    text = importlib.import_module("parsers.django_simple_history").__doc__
    return EXPORTER + re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]


def manage(application, commands, *words):
    """What a management command prints."""
    settings = "tests.integration.djangoapp.settings"
    more = {"HR_DATABASE": str(application.database), "HR_COMMANDS": str(commands)}
    done = subprocess.run(
        [sys.executable, "-m", "django", *map(str, words)],
        cwd=ROOT,
        env=environment(application.folder, DJANGO_SETTINGS_MODULE=settings, PYTHONUTF8="1", **more),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def act(application, commands, root):
    """All that is done, in this order; each deed with the moments before and after it."""
    for name, rows in (("first", IMPORTED), ("nightly", NIGHTLY)):
        (root / f"{name}.json").write_text(json.dumps(rows))
    manage(application, commands, "import_employees", root / "first.json")
    with pytest.raises(AssertionError, match="errorlist"):
        Clerk(application.url, "dana", "not-her-password", "127.0.0.9")
    dana, lee = (Clerk(application.url, name, WORDS[name], ip) for name, ip in WHERE.items())
    dana.edit(FIRST, salary="95000.00")
    dana.edit(FIRST, name='Robin "Rob" Qü', hired="2026-01-05")
    dana.edit(FIRST, bonus="250.50", note="None")
    lee.edit(FIRST, bonus="", manager=SECOND)
    lee.edit(FIRST)  # opened and saved as it was
    dana.skills(FIRST, "welding", "Ünïcode")
    lee.skills(FIRST, "welding", "payroll")
    hired = lee.create(name="Sam T", salary="61000.00", bonus="", hired="", note="", manager=FIRST)
    lee.edit(hired, salary="62000.00")
    dana.delete(hired)
    exported = dana.export()
    lee.send("password/", NEW_WORDS)
    lee.send("promote/", "kim")
    lee.leave()
    manage(application, commands, "import_employees", root / "nightly.json")
    return SimpleNamespace(dana=dana, lee=lee, hired=hired, exported=exported)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Everything that was done, the exports, and the events of each."""
    needed()
    root = tmp_path_factory.mktemp("django")
    commands = root / "exporter"
    for folder in (commands, commands / "management", commands / "management" / "commands"):
        folder.mkdir()
        (folder / "__init__.py").touch()
    for name, code in (("export_history", documented_exporter()), ("columns", COLUMNS), ("histories", HISTORIES)):
        (commands / "management" / "commands" / f"{name}.py").write_text(textwrap.dedent(code))
    folder = root / "app"
    folder.mkdir(mode=0o700)
    began = datetime.now(UTC)
    with Hr(folder, root / "unused.log", {"users": WORDS, "skills": SKILLS}) as application:
        done = act(application, commands, root)
    ended = datetime.now(UTC)
    out = functools.partial(manage, application, commands)
    exports = {
        **{name: out("dumpdata", *words, "--format", "jsonl") for name, words in DUMPS.items()},
        "django_simple_history": out("export_history", "hr.Employee"),
        "easyaudit columns": out("columns"),
        "history rows": out("histories"),
        "history dump": out("dumpdata", "hr.historicalemployee", "--format", "jsonl"),
    }
    files = {}
    for name, data in exports.items():
        files[name] = root / f"{name}.jsonl"
        files[name].write_bytes(data)
    return SimpleNamespace(
        root=root, done=done, files=files, exports=exports, began=began, ended=ended, parsed={}, url=application.url
    )


def events(story, name, *, format_name=None):
    """The events of an export, by the real command."""
    format_name = format_name or {"e": "django_easyaudit", "h": "django_simple_history"}.get(name[0], name)
    key = name, format_name
    if key not in story.parsed:
        done = run("parse", "--format", format_name, story.files[name], home=story.root)
        assert done.code == 0, done
        found = [json.loads(line) for line in done.out.splitlines()]
        assert not [one for one in found if one["event"]["kind"] == "pipeline_error"], found
        story.parsed[key] = found
    return story.parsed[key]


# -- what was done, and what an event says -----------------------------------------------------------------------------


def changes_done(story):
    """Each change of a plain field: who, of which record, which field, from what, to what."""
    for person in (story.done.dana, story.done.lee):
        for deed in person.deeds:
            if deed.verb == "update":
                for name, new in deed.after.items():
                    if (old := deed.before[name]) != new:
                        # An empty box of the form is null, but for texts.
                        sides = (None if value == "" and name != "note" else value for value in (old, new))
                        yield person.name, deed.record, name, *sides
    yield None, SECOND, "salary", "70000.00", "71000.00"
    yield None, SECOND, "bonus", "100.00", None


def who(event):
    """The name of who did it: sources that only know the key say it by its order of creation."""
    user = event.get("user", {})
    return user.get("name") or {"1": "dana", "2": "lee", None: None}[user.get("id")]


def about(found, *kinds):
    return [one for one in found if one["trail"].get("object", {}).get("type") in kinds]


def changes_told(found):
    """The same of events; a field of a record that came or went is told as well, but is no change."""
    for one in about(found, "employee"):
        change = one["trail"].get("change", {})
        if change and change["field"] != "skills" and "absent" not in (change["old_state"], change["new_state"]):
            old, new = ("" if change[f"{side}_state"] == "empty" else change.get(side) for side in ("old", "new"))
            yield who(one), one["trail"]["object"]["id"], change["field"], old, new


def adapted(done, **values):
    """The changes done, as a source tells them that writes some values in its own way: (field, value) -> value."""
    return Counter(
        (*common, field, values.get(f"{field} {old}", old), values.get(f"{field} {new}", new))
        for *common, field, old, new in done
    )


# -- the one story -----------------------------------------------------------------------------------------------------


def test_all_three_tell_every_change_of_a_field_with_who_what_old_and_new(story):
    done = list(changes_done(story))
    assert len(done) == 10
    # A text "None" is a null for who writes all values as text, and easy-audit writes what the other record is called.
    own = {
        "django_auditlog": {"note None": None},
        "django_easyaudit": {"manager 7712": "Ash P"},
        "easyaudit columns": {"manager 7712": "Ash P"},
        "django_simple_history": {},
    }
    for name, values in own.items():
        assert Counter(changes_told(events(story, name))) == adapted(done, **values), name


def test_whole_histories_give_the_same_changes_as_the_exporter(story):
    told = Counter(changes_told(events(story, "django_simple_history")))
    rows = [
        (person, record, field.removesuffix("_id"), old, new)
        for person, record, field, old, new in changes_told(events(story, "history rows"))
    ]
    assert Counter(rows) == told


def test_rows_without_what_was_before_say_only_that_something_changed(story):
    saved = [one for one in about(events(story, "history dump"), "employee") if one["event"]["code"] == "~"]
    assert len(saved) == 10
    for one in saved:
        assert "change" not in one["trail"] and "trail.change.old" in one["trail"]["missing"]


def test_created_and_deleted_records_are_told_with_their_values(story):
    expected = [
        ("record.create", None, FIRST, "Robin Q", "90000.00"),
        ("record.create", None, SECOND, "Ash P", "70000.00"),
        ("record.create", "lee", story.done.hired, "Sam T", "61000.00"),
        ("record.delete", "dana", story.done.hired, "Sam T", "62000.00"),
    ]
    for name in ("django_auditlog", "django_easyaudit", "easyaudit columns", "django_simple_history", "history rows"):
        told = [
            (
                one["event"]["action"],
                who(one),
                trail["object"]["id"],
                trail["values"]["name"],
                trail["values"]["salary"],
            )
            for one in about(events(story, name), "employee")
            if "values" in (trail := one["trail"])
        ]
        assert Counter(told) == Counter(expected), name


def test_many_to_many_changes_are_told_by_what_came_and_went(story):
    def told(name):
        found = [
            one
            for one in about(events(story, name), "employee")
            if one["trail"].get("change", {}).get("field") == "skills"
        ]
        for one in found:
            change = one["trail"]["change"]
            yield who(one), *(json.loads(change[side]) if side in change else None for side in ("old", "new"))

    names = [("dana", None, ["welding", "Ünïcode"]), ("lee", ["Ünïcode"], None), ("lee", None, ["payroll"])]
    keys = [("dana", None, [1, 3]), ("lee", [3], None), ("lee", None, [2])]
    states = [[], [1, 3], [1], [1, 2]]
    rows = [[{"employee": 7711, "skill": key} for key in state] for state in states]
    assert list(told("django_auditlog")) == names
    assert list(told("django_easyaudit")) == list(told("easyaudit columns")) == keys
    assert list(told("django_simple_history")) == [
        (person, rows[step], rows[step + 1]) for step, person in enumerate(("dana", "lee", "lee"))
    ]


def test_every_event_happened_within_the_run_and_those_of_a_deed_within_it(story):
    cut = timedelta(milliseconds=1)  # the serializers of Django cut times to milliseconds
    for name in story.files:
        for one in events(story, name):
            assert story.began - cut <= datetime.fromisoformat(one["@timestamp"]) <= story.ended, (name, one)
    deeds = {deed.request: deed for person in (story.done.dana, story.done.lee) for deed in person.deeds}
    known = [
        one for one in events(story, "django_auditlog") if one.get("http", {}).get("request", {}).get("id") in deeds
    ]
    assert len(known) >= len(deeds) - 1  # one of them changed nothing
    for one in known:
        deed = deeds[one["http"]["request"]["id"]]
        assert deed.began - cut <= datetime.fromisoformat(one["@timestamp"]) <= deed.ended
        assert (one["source"]["ip"], one["user"]["email"]) == (deed.ip, f"{deed.who}@example.com")


def test_what_was_done_outside_of_a_request_has_nobody_and_no_address(story):
    for name in ("django_auditlog", "django_easyaudit", "django_simple_history"):
        imported = [one for one in about(events(story, name), "employee") if who(one) is None]
        assert len(imported) == 7, name  # two records with three amounts of pay, and two changes
        for one in imported:
            assert "source" not in one and {"user.id", "source.ip"} <= set(one["trail"]["missing"])


def test_logins_a_failed_one_and_a_logout_are_told_with_their_addresses(story):
    for name in ("django_easyaudit", "easyaudit columns"):
        told = [
            (one["event"]["action"], one["event"]["outcome"], one["user"]["name"], one["source"]["ip"])
            for one in events(story, name)
            if one["event"]["action"].startswith("auth.")
        ]
        assert Counter(told) == Counter(
            [
                ("auth.login", "failure", "dana", "127.0.0.9"),
                ("auth.login", "success", "dana", "127.0.0.1"),
                ("auth.login", "success", "lee", "127.0.0.2"),
                ("auth.logout", "success", "lee", "127.0.0.2"),
            ]
        )


def test_the_export_is_a_request_of_dana_and_a_view_of_each_record(story):
    assert story.done.exported.count(b"\n") == 2
    (request,) = (
        one for one in events(story, "django_easyaudit") if one.get("url", {}).get("path") == "/employees/export/"
    )
    assert (who(request), request["source"]["ip"], request["http"]["request"]["method"]) == ("dana", "127.0.0.1", "GET")
    assert request["url"]["query"] == "year=2026&token=(withheld)"
    viewed = [one for one in events(story, "django_auditlog") if one["event"]["action"] == "record.view"]
    assert [(who(one), one["source"]["ip"], one["trail"]["object"]["id"]) for one in viewed] == [
        ("dana", "127.0.0.1", FIRST),
        ("dana", "127.0.0.1", SECOND),
    ]


def test_what_was_done_to_accounts_is_called_what_it_amounts_to(story):
    expected = {
        ("password.change", "password", "2"): "lee",
        ("role.grant", "is_staff", "3"): "lee",
        ("role.grant", "groups", "3"): "lee",
    }
    for name in ("django_auditlog", "django_easyaudit", "easyaudit columns"):
        told = {}
        for one in about(events(story, name), "user"):
            change = one["trail"].get("change", {})
            if one["event"]["code"] == "create" or change.get("field") not in {"password", "is_staff", "groups"}:
                continue
            told[one["event"]["action"], change["field"], one["trail"]["object"]["id"]] = who(one)
            assert one["user"]["target"]["id"] == one["trail"]["object"]["id"]
        assert told == expected, name
        created = [one for one in about(events(story, name), "user") if one["event"]["action"] == "user.create"]
        assert len(created) == 3, name


def test_no_password_is_in_any_event(story):
    for name in ("django_auditlog", "django_easyaudit", "easyaudit columns"):
        hashes = {part[:30] for part in re.findall(rb"scrypt\$[0-9]+\$([^\"\\]+)", story.exports[name])}
        assert len(hashes) == 4, name
        text = json.dumps(events(story, name))
        assert not [part for part in hashes if part.decode() in text], name
        assert NEW_WORDS not in text and "abc123" not in text


@pytest.mark.parametrize("name", ["django_auditlog", "django_easyaudit", "django_simple_history"])
def test_auto_finds_the_format_and_gives_the_same_events(story, name):
    def said(found):
        return Counter((one["event"]["dataset"], one["message"], one["@timestamp"]) for one in found)

    assert said(events(story, name, format_name="auto")) == said(events(story, name))
