"""Which configuration a command takes where none is named: the installed one, none, or an error that says why not."""

import os
from pathlib import Path

import pytest

from shipper.commands import _common, agent
from shipper.config import Config
from shipper.errors import ConfigError


@pytest.fixture
def place(tmp_path, monkeypatch):
    path = tmp_path / "etc" / "fieldtrail.yaml"
    path.parent.mkdir()
    for module in (_common, agent):
        monkeypatch.setattr(module, "DEFAULT_PATH", path)
    return path


def looks():
    """What the commands that look take, and what `run` takes."""
    return (lambda: _common.configuration(None)), (lambda: agent._configuration_of_run(None, (), once=False))


def test_without_a_file_commands_take_the_defaults_and_run_says_so(place):
    look, run = looks()
    assert look() == (Config(), "(no configuration)")
    with pytest.raises(ConfigError, match="no such file"):
        run()


def test_the_installed_file_is_taken(place):
    place.write_text(
        "agent: {name: here}\ninputs: [{id: app, type: file, paths: [/var/log/app.log]}]\noutputs: [{id: s, type: store}]\n"
    )
    for call in looks():
        config, told = call()
        assert (config.agent.name, told) == ("here", str(place))


@pytest.mark.parametrize("number", [0, 1], ids=["look", "run"])
def test_who_may_not_look_into_its_folder_is_told_so_and_not_that_there_is_none(place, monkeypatch, number):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:  # by hand, since root may look everywhere
        for name in ("open", "stat"):
            patched.setattr(os, name, refuse)
        with pytest.raises(ConfigError, match="permission denied") as caught:
            looks()[number]()
    assert "hint: sudo -u fieldtrail fieldtrail" in caught.value.render()


def test_what_is_no_file_is_told_in_words(place):
    place.mkdir()
    for call in looks():
        with pytest.raises(ConfigError, match="is a directory"):
            call()


def test_a_file_that_is_named_is_the_one_that_is_taken(place, tmp_path):
    place.write_text("agent: {name: installed}\n")
    named = tmp_path / "own.yaml"
    named.write_text("agent: {name: own}\n")
    assert _common.configuration(Path(named))[0].agent.name == "own"
