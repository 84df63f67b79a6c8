"""A rotation that happens between any two system calls of the reader: each line once, whatever falls together."""

import os

import pytest

from tests.tailing import Tailing, named, numbered

CALLS = ("fstat", "lstat", "open", "pread", "scandir", "stat")


FURTHEST = 30
"""So many system calls lie between the two steps of a rotation at most: a turn of the reader has fewer."""


class Between:
    """Lets others act before the n-th of the reader's system calls. `acts`: {n: what happens then, in order}."""

    def __init__(self, monkeypatch, acts):
        self.acts, self.count, self._inside = acts, 0, False
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, call):
        def wrapped(*given, **options):
            if not self._inside:
                self._act(self.count)
                self.count += 1
            return call(*given, **options)

        return wrapped

    def _act(self, number):
        self._inside = True
        for act in self.acts.pop(number, ()):
            act()
        self._inside = False

    def end(self):
        """What has not happened happens now."""
        for number in sorted(self.acts):
            self._act(number)


class Rotated:
    """A log of which all but the end was read, and its rotation in steps."""

    def __init__(self, tailing, way):
        self.t, self.way = tailing, way
        tailing.write("app.log", numbered(0, 20))
        tailing.read()
        tailing.write("app.log", numbered(20, 24) + numbered(24, 25)[:9])
        tailing.read()
        tailing.write("app.log", numbered(24, 25)[9:] + numbered(25, 27))

    def begin(self):
        """The first half: a copy in the making, or the new name."""
        if self.way == "copytruncate":
            raw = (self.t.root / "app.log").read_bytes()
            self.t.write("app.log.1", raw[: len(raw) // 2])
        else:
            self.t.rename("app.log", "app.log.1")

    def finish(self):
        """The second: the whole copy and the truncation, or the new file."""
        if self.way == "copytruncate":
            raw = (self.t.root / "app.log").read_bytes()
            self.t.write("app.log.1", raw[len(raw) // 2 :])
            os.truncate(self.t.root / "app.log", 0)

    def go_on(self):
        self.t.write("app.log", numbered(27, 40))


@pytest.mark.parametrize("most", [512, 1])
@pytest.mark.parametrize("way", ["copytruncate", "rename"])
def test_a_rotation_between_any_two_system_calls_loses_and_doubles_nothing(tmp_path, way, most):
    first, calls = 0, FURTHEST
    while first < calls:
        for gap in range(FURTHEST):
            folder = tmp_path / f"{first}-{gap}"
            folder.mkdir()
            tailing = Tailing(folder, "app.log*", max_open_files=most)
            log = Rotated(tailing, way)
            with pytest.MonkeyPatch.context() as patch:
                between = Between(patch, {first: [log.begin], first + gap: [log.finish]})
                if not gap:
                    between.acts[first] = [log.begin, log.finish]
                tailing.read()
                tailing.read()
                calls = max(FURTHEST, between.count)
                between.end()
            log.go_on()
            for wait in (1, 1, 20, 90):
                tailing.read(wait=wait)
            assert sorted(tailing.lines) == named(0, 40), (first, gap)
            assert not tailing.losses, (first, gap)
            tailing.crash()
        first += 1
    assert first >= FURTHEST
