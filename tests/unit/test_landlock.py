"""What a confined thread may open, by the kernel's word; and which paths a configuration comes to."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shipper import confine, landlock
from shipper.config import AgentSection, Config
from shipper.confine import Confinement, confinement_of, followed
from shipper.errors import ConfigError
from shipper.input_sections import FileInputSection
from shipper.landlock import READ, RUN, WRITE
from shipper.output_sections import FileOutputSection, SyslogSection, TlsSection
from tests.components import absent


class Hands:
    """A clock that is set by hand."""

    def __init__(self):
        self.time = 100.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


@pytest.fixture
def kernel():
    """A kernel that can confine."""
    if landlock.version() == 0:
        absent("this kernel has no Landlock: Linux 5.13 or newer with landlock in its lsm= list")


def apart(*steps):
    """What each of the steps gives, one after the other in a thread of its own; OSErrors by their class."""
    found = []

    def work():
        for step in steps:
            try:
                found.append(step())
            except (OSError, ConfigError) as error:
                found.append(type(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found


def config_of(tmp_path, *paths, outputs=(), **agent):
    section = FileInputSection(id="app", type="file", paths=tuple(map(str, paths)) or (f"{tmp_path}/logs/*.log",))
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    return Config(agent=AgentSection(state_dir=state, **agent), inputs=(section,), outputs=outputs)


# -- the kernel's side -------------------------------------------------------------------------------------------------


def test_a_confined_thread_reads_and_writes_where_it_may_and_nowhere_else(kernel, tmp_path):
    for name in ("read", "write", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    read, write, other = tmp_path / "read", tmp_path / "write", tmp_path / "other"
    given = apart(
        lambda: sorted(landlock.restrict({str(read): READ, str(write): WRITE})),
        (read / "file").read_text,
        (write / "file").read_text,
        (other / "file").read_text,
        lambda: os.listdir(other),
        Path("/etc/passwd").read_bytes,
        lambda: (write / "new").write_text("x"),
        lambda: (write / "new").rename(write / "newer"),
        (write / "newer").unlink,
        (write / "folder").mkdir,
        (write / "folder").rmdir,
        lambda: (read / "file").write_text("x"),
        lambda: (read / "new").write_text("x"),
        (read / "file").unlink,
        lambda: os.truncate(read / "file", 0),
        lambda: (write / "link").symlink_to("/etc/passwd"),
        lambda: os.mkfifo(write / "pipe"),
    )
    refused = [PermissionError]
    assert given == [
        sorted(map(str, (read, write))),
        "read",
        "write",
        *refused * 3,
        1,
        write / "newer",
        *[None] * 3,
        *refused * 6,
    ]
    assert (other / "file").read_text() == "other", "the thread that started it is not confined"


def test_what_a_confined_thread_starts_is_confined_too(kernel, tmp_path):
    (tmp_path / "secret").write_text("x")
    rights = dict.fromkeys(("/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix), RUN) | {"/dev/null": READ}
    command = [sys.executable, "-I", "-S", "-c", f"open({str(tmp_path / 'secret')!r})"]
    threads = []

    def start():
        def look():
            threads.extend(apart((tmp_path / "secret").read_text))

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    given = apart(
        lambda: landlock.restrict(rights) and None,
        start,
        lambda: subprocess.run(command, capture_output=True, check=False).stderr.decode().splitlines()[-1],
    )
    assert threads == [PermissionError]
    assert given[2].startswith("PermissionError")


def test_a_program_may_be_started_only_where_that_was_granted(kernel, tmp_path):
    shutil.copy("/bin/true", tmp_path / "true")
    rights = dict.fromkeys(("/usr", "/lib", "/lib64"), RUN) | {str(tmp_path): WRITE}

    def start(program):
        return lambda: subprocess.run([program], check=False).returncode

    assert apart(lambda: landlock.restrict(rights) and None, start("/bin/true"), start(str(tmp_path / "true"))) == [
        None,
        0,
        PermissionError,
    ]


def test_a_right_hangs_on_what_was_there_and_comes_back_with_a_new_thread(kernel, tmp_path):
    place = tmp_path / "logs"
    place.mkdir()
    held = {}

    def replace():
        shutil.rmtree(place)
        place.mkdir()
        (place / "new").write_text("new")
        return landlock.places([str(place)]) == held

    rights = {str(place): READ, str(tmp_path / "late"): READ, str(tmp_path): landlock.Right.MAKE_DIR}
    rights[str(tmp_path)] = WRITE & ~READ
    given = apart(lambda: held.update(landlock.restrict(rights)), replace, (place / "new").read_text)
    assert str(tmp_path / "late") not in held
    assert given == [None, False, PermissionError]
    assert apart(lambda: landlock.restrict(rights) and None, (place / "new").read_text) == [None, "new"]


def test_a_kernel_without_landlock_is_told_by_its_version(monkeypatch):
    for code in (38, 95, 1):

        def refuse(*_, code=code):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(landlock, "_call", refuse)
        assert landlock.version() == 0


# -- links -------------------------------------------------------------------------------------------------------------


def chain(tmp_path, *owners):
    """A file of the first owner, and links to it, each of the next owner; the last one."""
    if os.geteuid() != 0:
        absent("needs root, to make links of other users")
    last = tmp_path / "target"
    last.write_text("x")
    os.chown(last, owners[0], -1)
    for number, owner in enumerate(owners[1:]):
        link = tmp_path / f"link{number}"
        link.symlink_to(last)
        os.lchown(link, owner, -1)
        last = link
    return str(last)


@pytest.mark.parametrize(
    ("owners", "trusted"),
    [
        ((0, 1001), False),
        ((1002, 1001), False),
        ((0, 0, 1001), False),
        ((0, 1001, 0), False),
        ((1001, 1001), True),
        ((1001, 0), True),
        ((0, 0), True),
        ((1001, 1001, 0), True),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_link_is_followed_when_root_or_the_owner_of_its_target_made_it(tmp_path, owners, trusted):
    last = chain(tmp_path, *owners)
    assert followed(last) == (str(tmp_path / "target") if trusted else None)


def test_links_in_a_ring_and_links_to_nothing_lead_nowhere(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "gone").symlink_to("nowhere")
    assert [followed(str(tmp_path / name)) for name in ("a", "gone", "missing")] == [None] * 3


def test_relative_links_and_dots_lead_where_the_kernel_says(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "file").write_text("x")
    (tmp_path / "a" / "b" / "up").symlink_to("../../c/./file")
    (tmp_path / "a" / "here").symlink_to("b")
    path = str(tmp_path / "a" / "here" / "up")
    assert followed(path) == os.path.realpath(path) == str(tmp_path / "c" / "file")


@pytest.mark.parametrize("turn", range(1, 30))
def test_a_link_that_is_swapped_during_the_look_does_not_lead_to_the_secret(tmp_path, monkeypatch, turn):
    last = chain(tmp_path, 1001, 1001)
    secret = tmp_path / "secret"
    secret.write_text("x")
    calls = []

    def hooked(real):
        def call(path, *more, **named):
            calls.append(path)
            if len(calls) == turn:
                (tmp_path / "next").symlink_to(secret)
                os.lchown(tmp_path / "next", 1001, -1)
                os.rename(tmp_path / "next", last)
            return real(path, *more, **named)

        return call

    with monkeypatch.context() as patched:
        for name in ("stat", "lstat", "readlink"):
            patched.setattr(confine.os, name, hooked(getattr(os, name)))
        found = followed(last)
    assert calls
    assert found in {None, str(tmp_path / "target")}


def test_what_is_replaced_by_a_link_after_it_was_looked_at_is_not_granted(kernel, tmp_path):
    for name in ("logs", "app", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    config = config_of(tmp_path, tmp_path / "logs" / "*", tmp_path / "app" / "*")
    real, held = landlock.restrict, {}

    def late(rights, exact=()):
        (tmp_path / "logs").rename(tmp_path / "before")
        (tmp_path / "logs").symlink_to(tmp_path / "secret")
        held.update(real(rights, exact))
        return held

    def enter():
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(landlock, "restrict", late)
            Confinement(config).enter()

    given = apart(enter, (tmp_path / "logs" / "file").read_text, (tmp_path / "app" / "file").read_text)
    assert given == [None, PermissionError, "app"]
    assert str(tmp_path / "logs") not in held and str(tmp_path / "app") in held


def test_folders_of_the_configuration_that_are_links_are_granted(kernel, tmp_path):
    for name in ("real-state", "real-logs", "real-archive", "real-certs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        (tmp_path / name.removeprefix("real-")).symlink_to(name)
    outputs = (
        FileOutputSection(id="archive", type="file", path=tmp_path / "archive" / "events.ndjson"),
        SyslogSection(
            id="soc",
            type="syslog",
            address="tls://soc.example:6514",
            tls=TlsSection(ca=tmp_path / "certs" / "ca.pem"),
        ),
    )
    config = config_of(tmp_path, outputs=outputs)
    names = ("state", "logs", "archive", "certs")
    given = apart(Confinement(config).enter, *((tmp_path / name / "file").read_text for name in names))
    assert given == [None, *(f"real-{name}" for name in names)]


# -- what a configuration comes to -------------------------------------------------------------------------------------


def test_inputs_are_read_outputs_and_state_written_and_certificates_read(tmp_path):
    for name in ("logs", "deep", "certs", "archive"):
        (tmp_path / name).mkdir()
    config = config_of(
        tmp_path,
        tmp_path / "logs" / "*.log",
        tmp_path / "deep" / "*" / "log" / "**" / "*.json",
        outputs=(
            FileOutputSection(id="archive", type="file", path=tmp_path / "archive" / "events.ndjson"),
            SyslogSection(
                id="soc",
                type="syslog",
                address="tls://soc.example:6514",
                tls=TlsSection(ca=tmp_path / "certs" / "ca.pem", cert=Path("/etc/fieldtrail.pem")),
            ),
        ),
    )
    rights = confine._moving(config, links=True)
    mine = {path: right for path, right in rights.items() if path not in confine._NETWORK}
    assert mine == {
        str(tmp_path / "logs"): READ,
        str(tmp_path / "deep"): READ,
        str(tmp_path / "certs"): READ,
        "/etc/fieldtrail.pem": READ,
        str(tmp_path / "archive"): WRITE,
        str(tmp_path / "state"): WRITE,
    }


def test_a_link_among_the_files_adds_the_directory_that_it_leads_to(tmp_path):
    for name in ("logs", "data", "elsewhere/app"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data" / "real.log").write_text("x")
    (tmp_path / "elsewhere" / "app" / "b.log").write_text("x")
    (tmp_path / "logs" / "a.log").symlink_to(tmp_path / "data" / "real.log")
    (tmp_path / "logs" / "inside.log").symlink_to(tmp_path / "logs" / "a.log")
    (tmp_path / "logs" / "gone.log").symlink_to(tmp_path / "nowhere" / "x.log")
    (tmp_path / "logs" / "folder").symlink_to(tmp_path / "elsewhere" / "app")
    config = config_of(tmp_path, tmp_path / "logs" / "*.log", tmp_path / "logs" / "*" / "*.log")
    with_links, without = (set(confine._moving(config, links=links)) for links in (True, False))
    assert with_links - without == {str(tmp_path / "data"), str(tmp_path / "elsewhere" / "app")}
    literal = config_of(tmp_path, tmp_path / "logs" / "a.log")
    assert str(tmp_path / "data") in confine._moving(literal, links=False)


def test_a_link_of_a_stranger_adds_nothing(tmp_path):
    last = chain(tmp_path, 0, 1001)
    (tmp_path / "logs").mkdir()
    os.rename(last, tmp_path / "logs" / "app.log")
    rights = confine._moving(config_of(tmp_path), links=True)
    assert str(tmp_path) not in rights and str(tmp_path / "target") not in rights


def test_a_link_to_ones_own_file_in_a_directory_of_others_adds_the_file_alone(tmp_path):
    if os.geteuid() != 0:
        absent("needs root, to make files of somebody else")
    shared, logs = tmp_path / "mail", tmp_path / "logs"
    shared.mkdir()
    logs.mkdir()
    (shared / "mine").write_text("x")
    os.chown(shared / "mine", 1234, 1234)
    (logs / "app.log").symlink_to(shared / "mine")
    os.chown(logs / "app.log", 1234, 1234, follow_symlinks=False)
    rights = confine._moving(config_of(tmp_path), links=True)
    assert str(shared / "mine") in rights
    assert str(shared) not in rights


def test_links_to_containers_logs_add_the_place_of_all_of_them(tmp_path, monkeypatch):
    farm = tmp_path / "farm"
    (farm / "pod-1").mkdir(parents=True)
    (farm / "pod-1" / "0.log").write_text("x")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "pod-1.log").symlink_to(farm / "pod-1" / "0.log")
    monkeypatch.setattr(confine, "_FARMS", (str(farm),))
    assert str(farm) in confine._moving(config_of(tmp_path), links=True)


def test_a_file_with_a_bracket_in_its_name_may_be_meant(tmp_path):
    (tmp_path / "logs[1]").mkdir()
    (tmp_path / "logs[1]" / "app.log").write_text("x")
    config = config_of(tmp_path, tmp_path / "logs[1]" / "app.log")
    assert str(tmp_path / "logs[1]") in confine._moving(config, links=False)


# -- outgrown ----------------------------------------------------------------------------------------------------------


def held_by(config, clock, **more):
    """A confinement as it is once its thread has entered it."""
    made = Confinement(config, clock=clock, **more)
    assert apart(made.enter) == [None]
    return made


def test_a_directory_that_comes_late_or_is_replaced_outgrows_the_rights(kernel, tmp_path):
    config, clock = config_of(tmp_path), Hands()
    logs = tmp_path / "logs"
    first = held_by(config, clock)
    assert first.outgrown() == ""
    logs.mkdir()
    assert first.outgrown() == str(logs)
    second = held_by(config, clock)
    assert second.outgrown() == ""
    logs.rename(tmp_path / "before")
    assert second.outgrown() == "", "what is gone needs no right"
    logs.mkdir()
    assert second.outgrown() == str(logs)


def test_what_comes_beneath_a_granted_directory_needs_no_new_right(kernel, tmp_path):
    (tmp_path / "logs").mkdir()
    config = config_of(tmp_path, tmp_path / "logs" / "*.log", tmp_path / "logs" / "app" / "*.log")
    made = held_by(config, Hands())
    (tmp_path / "logs" / "app").mkdir()
    assert made.outgrown() == ""


def test_a_new_link_is_seen_by_the_slower_look(kernel, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "real.log").write_text("x")
    clock = Hands()
    made = held_by(config_of(tmp_path), clock)
    (tmp_path / "logs" / "a.log").symlink_to(tmp_path / "data" / "real.log")
    assert made.outgrown() == ""
    clock.time += confine.LINKS_EVERY
    assert made.outgrown() == str(tmp_path / "data")


def test_new_rights_again_and_again_come_ever_more_seldom_and_calm_ends_that(kernel, tmp_path):
    clock = Hands()
    made = held_by(config_of(tmp_path), clock)
    (tmp_path / "logs").mkdir()
    waits = []
    for _ in range(9):
        began = clock.time
        while not made.outgrown():
            clock.time += 1
        waits.append(clock.time - began)
        made = made.wider()  # not entered by anyone: it holds nothing of the new directory
        made._held = {"/nowhere": (0, 0)}
    assert waits == [0, 5, 10, 20, 40, 80, 160, 300, 300]
    clock.time += confine.CALM + 1
    assert made.wider()._patience == confine.FIRST_PATIENCE


# -- what the configuration asks for -----------------------------------------------------------------------------------


def test_off_confines_nobody_whatever_the_kernel_can(tmp_path):
    assert confinement_of(config_of(tmp_path, confine="off")) is None
    assert confinement_of(config_of(tmp_path, confine=False)) is None, "YAML takes a bare off for false"


def test_a_kernel_that_cannot_is_passed_over_or_refused_as_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert confinement_of(config_of(tmp_path)) is None
    with pytest.raises(ConfigError, match=r"agent\.confine") as caught:
        confinement_of(config_of(tmp_path, confine="require"))
    assert "hint: " in caught.value.render()


def test_a_kernel_that_refuses_late_is_passed_over_or_refused_as_is_asked(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(landlock, "restrict", refuse)
    made = Confinement(config_of(tmp_path))
    assert apart(made.enter) == [None]
    assert made.outgrown() == ""
    assert apart(Confinement(config_of(tmp_path, confine="require")).enter) == [ConfigError]


def test_the_working_directory_and_the_root_are_not_granted_with_pythons_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), "/", "", *sys.path])
    rights = confine._fixed()
    assert str(tmp_path) not in rights and "/" not in rights and "" not in rights
    assert rights[str(Path(confine.__file__).parents[1])] == RUN
