"""Which files some paths name."""

from __future__ import annotations

import os

import pytest

from shipper.errors import ConfigError
from shipper.inputs.file.discovery import Discovery, family


def touch(root, *names, age=0):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))


def names(root, *patterns, exclude=()):
    found = Discovery([str(root / pattern) for pattern in patterns], exclude).scan().files
    return [os.path.relpath(file.path, root) for file in found]


def test_files_come_oldest_first_and_then_by_name(tmp_path):
    touch(tmp_path, "b.log", "a.log")
    touch(tmp_path, "z.log", age=50)
    assert names(tmp_path, "*.log") == ["z.log", "a.log", "b.log"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.log", ["a.log"]),
        ("?.log", ["a.log"]),
        ("[ab].log", ["a.log"]),
        ("[!a].log", []),
        ("*/*.log", ["one/b.log"]),
        ("**/*.log", ["a.log", "one/b.log", "one/two/c.log"]),
        ("one/**", ["one/b.log", "one/two/c.log"]),
        ("**/two/*", ["one/two/c.log"]),
        ("one/**/c.log", ["one/two/c.log"]),
        (".hid*", [".hidden.log"]),
        ("none/*.log", []),
        ("a.log/*", []),
    ],
)
def test_a_glob_matches_as_in_a_shell(tmp_path, pattern, expected):
    touch(tmp_path, "a.log", "one/b.log", "one/two/c.log", ".hidden.log", ".git/d.log")
    assert sorted(names(tmp_path, pattern)) == expected


def test_a_name_with_a_bracket_in_it_can_be_given_as_it_is(tmp_path):
    touch(tmp_path, "app[1].log", "app1.log")
    assert names(tmp_path, "app[1].log") == ["app[1].log"]


def test_a_file_behind_several_names_is_found_once_with_all_of_them(tmp_path):
    touch(tmp_path, "a.log")
    os.link(tmp_path / "a.log", tmp_path / "b.log")
    os.symlink("a.log", tmp_path / "c.log")
    (found,) = Discovery([str(tmp_path / "*.log"), str(tmp_path / "a.log")]).scan().files
    assert [os.path.basename(name) for name in found.names] == ["a.log", "b.log", "c.log"]
    assert found.path == found.names[0]


def test_directories_pipes_and_dead_links_that_a_glob_matches_are_passed_over(tmp_path):
    (tmp_path / "dir.log").mkdir()
    os.mkfifo(tmp_path / "pipe.log")
    os.symlink("nowhere", tmp_path / "dead.log")
    touch(tmp_path, "a.log")
    scan = Discovery([str(tmp_path / "*.log")]).scan()
    assert [os.path.basename(file.path) for file in scan.files] == ["a.log"]
    assert scan.problems == []


def test_a_double_star_does_not_descend_through_a_link(tmp_path):
    touch(tmp_path, "one/a.log")
    os.symlink(tmp_path, tmp_path / "one/back")
    assert names(tmp_path, "**/*.log") == ["one/a.log"]
    assert names(tmp_path, "one/back/one/*.log") == ["one/back/one/a.log"]


def test_exclude_matches_names_or_whole_paths(tmp_path):
    touch(tmp_path, "a.log", "a.log.gz", "debug/x.log", "debug/deep/y.log", "keep/debug.log")
    assert names(tmp_path, "**/*", exclude=["*.gz", str(tmp_path / "debug/**")]) == ["a.log", "keep/debug.log"]
    assert "debug/deep/y.log" in names(tmp_path, "**/*", exclude=[str(tmp_path / "debug/*")])


def test_a_directory_given_as_a_path_is_refused_with_what_to_write_instead(tmp_path):
    with pytest.raises(ConfigError) as caught:
        Discovery([str(tmp_path)])
    assert caught.value.exit_code == 78
    assert caught.value.hint == f"name the files in it: {tmp_path}/*.log"


def test_no_path_at_all_is_refused():
    with pytest.raises(ConfigError, match="no path"):
        Discovery([])


def test_what_cannot_be_listed_or_looked_at_is_a_problem_and_not_an_exception(tmp_path, monkeypatch):
    touch(tmp_path, "one/a.log", "two/b.log")
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("one"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("shipper.inputs.file.discovery.os.scandir", guarded)
    scan = Discovery([str(tmp_path / "*/*.log")]).scan()
    assert [os.path.basename(file.path) for file in scan.files] == ["b.log"]
    assert scan.problems == [(str(tmp_path / "one"), "Permission denied")]


def test_the_directories_to_watch_are_those_searched_and_those_that_links_lead_to(tmp_path):
    touch(tmp_path, "logs/a.log", "target/real.log")
    os.symlink(tmp_path / "target/real.log", tmp_path / "logs/link.log")
    scan = Discovery([str(tmp_path / "logs/*.log"), str(tmp_path / "later/x.log")]).scan()
    assert {os.path.relpath(path, tmp_path) for path in scan.directories} == {"logs", "target", "later"}


def test_a_literal_path_that_is_not_there_is_named(tmp_path):
    touch(tmp_path, "a.log")
    discovery = Discovery([str(tmp_path / "a.log"), str(tmp_path / "b.log"), str(tmp_path / "*.txt")])
    assert discovery.missing() == [str(tmp_path / "b.log")]


@pytest.mark.parametrize(
    "name",
    [
        "app.log",
        "app.log.1",
        "app.log.12",
        "app.log-20260203",
        "app.log.2026-02-03",
        "app.log.1.old",
        "app.log.bak",
        "app.log-2026-02-03T10:00Z",
    ],
)
def test_the_names_of_a_rotated_log_have_one_family(name):
    assert family("/var/log/" + name) == "/var/log/app.log"


def test_different_logs_have_different_families():
    assert len({family(name) for name in ["/a/web-1.log", "/a/web-2.log", "/b/web-1.log", "/a/web.log"]}) == 4
