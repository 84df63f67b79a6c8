"""What the threads of an agent may open, by its configuration; Landlock holds them to it where the kernel has it.

To be read: the directories in which inputs look for files, what a trusted link among them leads to, certificates,
Python, and what the system's libraries read by themselves. To be written: the state folder and the archives' folders.
Nothing else, so a log that somebody replaced by a link to /etc/shadow is not read, whatever the agent's user may read.

A right hangs on what was there when it was given. Where a directory comes later, or is replaced, the agent needs a new
set of rights, which a confined thread cannot get; `Confinement.outgrown` tells whoever stayed outside, and starts it.
"""

# ruff: noqa: PTH100, PTH114, PTH115, PTH117, PTH118, PTH120, PTH207 (thousands of names may be looked at: plain strings)

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from shipper import landlock, telemetry
from shipper.clock import Clock, SystemClock
from shipper.config import AgentSection, Config
from shipper.errors import ConfigError
from shipper.input_sections import FileInputSection
from shipper.landlock import READ, RUN, WRITE, Held, Right
from shipper.output_sections import FileOutputSection

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at what has outgrown the rights."""
LINKS_EVERY: Final = 30.0
"""The same for links among the files, each of which has to be looked at."""
CALM: Final = 600.0
"""Seconds after which an agent that needed new rights again and again gets them at once again."""
FIRST_PATIENCE, LONGEST_PATIENCE = 5.0, 300.0
"""Seconds between two new sets of rights; doubled each time, so that no system keeps an agent starting anew."""

_CODE: Final = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
_SYSTEM: Final = (
    "/proc",  # what it tells of other processes is under the rules of ptrace(2), which Landlock makes stricter
    "/sys/devices/system/cpu",
    "/dev/urandom",
    "/dev/random",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/mime.types",
    "/etc/services",
    "/etc/protocols",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
)
_NETWORK: Final = (
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/run/nscd",
)
"""What names are resolved with. Other programs replace these files while the agent runs."""
_FARMS: Final = ("/var/log/pods", "/var/lib/docker/containers", "/var/lib/containers/storage", "/run/containerd")
"""Where containers' logs lie, to which links lead: containers come and go, so these are taken whole."""
_WIDE: Final = frozenset(
    (
        *("/", "/boot", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/run", "/srv", "/sys"),
        *("/tmp", "/usr", "/var", "/var/lib", "/var/tmp"),  # noqa: S108 - named so as not to be taken whole
    )
)
"""Directories of which a file is taken alone where it is named alone (a certificate, the target of a link)."""
_MOST_LINKS: Final = 40
"""Links on the way to a file, as the kernel limits them (path_resolution(7))."""

Rights = dict[str, Right]


class Confinement:
    """The rights of one agent. `patience`: seconds from now on in which they are not found outgrown."""

    def __init__(self, config: Config, *, clock: Clock | None = None, patience: float = 0.0) -> None:
        self._config = config
        self._clock: Clock = clock or SystemClock()
        self._began = self._clock.monotonic()
        self._patience = patience
        self._links_at = self._began + LINKS_EVERY
        self._rights: Rights = {}
        self._held: Held = {}

    def enter(self) -> None:
        """Confine the calling thread and all that it starts. The state folder must be there.

        With `agent.confine: auto` nothing happens where the kernel cannot; with `require` it raises `ConfigError`.
        """
        # Sorting beyond its memory SQLite would do in a directory that may not be written.
        os.environ.setdefault("SQLITE_TMPDIR", str(self._config.agent.state_dir))
        seen = _seen(self._config, links=True)
        mine = _both(seen, _named(self._config))
        self._rights = _both(_fixed(), mine)
        try:
            self._held = landlock.restrict(self._rights, exact=seen)
        except OSError as error:
            self._held = {}
            if self._config.agent.confine == "require":
                raise _impossible(error.strerror or str(error)) from None
            telemetry.agent_not_confined(cause=error.strerror or str(error))
            return
        own = sorted(path for path in mine if path in self._held and path not in _NETWORK)
        telemetry.agent_confined(
            read=[path for path in own if WRITE not in mine[path]], write=[path for path in own if WRITE in mine[path]]
        )

    def outgrown(self) -> str:
        """A path that the agent needs by now, and has no right to; "" for none. For a thread that is not confined."""
        now = self._clock.monotonic()
        if not self._held or now - self._began < self._patience:
            return ""
        links = now >= self._links_at
        if links:
            self._links_at = now + LINKS_EVERY
        wanted = _moving(self._config, links=links)
        for path, place in landlock.places(wanted).items():
            if self._held.get(path) != place and not self._covered(path, wanted[path]):
                return path
        return ""

    def wider(self) -> Confinement:
        """The one that follows, with new rights. Where it is needed again and again, each lasts longer."""
        calm = self._clock.monotonic() - self._began > CALM
        patience = FIRST_PATIENCE if calm else min(max(2 * self._patience, FIRST_PATIENCE), LONGEST_PATIENCE)
        return Confinement(self._config, clock=self._clock, patience=patience)

    def _covered(self, path: str, right: Right) -> bool:
        """Whether a right to a directory above holds for it as well."""
        for above in map(str, Path(os.path.realpath(path)).parents):
            place = self._held.get(above)
            if place is not None and right in self._rights[above] and landlock.places([above]).get(above) == place:
                return True
        return False


def confinement_of(config: Config, *, clock: Clock | None = None) -> Confinement | None:
    """The confinement that a configuration asks for: None where it says `off`, or `auto` and the kernel has none.

    Raises `ConfigError` where it says `require` and the kernel has none.
    """
    if config.agent.confine == "off":
        return None
    if landlock.version() == 0:
        if config.agent.confine == "require":
            raise _impossible("this kernel has no Landlock, or it is turned off")
        telemetry.agent_not_confined(cause="this kernel has no Landlock, or it is turned off")
        return None
    return Confinement(config, clock=clock)


def _impossible(cause: str) -> ConfigError:
    hint = "Linux 5.13 or newer with landlock in its lsm= list, or agent.confine: auto"
    return ConfigError("confine the agent", "agent.confine", cause, hint)


def _fixed() -> Rights:
    """Python, our own code, and what the system's libraries read: the same as long as the process lives."""
    rights: Rights = dict.fromkeys(_SYSTEM, READ) | dict.fromkeys(_CODE, RUN)
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = [ours, sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))]
    # `python -m` puts the working directory in front, which may be anything.
    here = os.path.realpath(".")
    code += [entry for entry in sys.path if os.path.isabs(entry) and os.path.realpath(entry) not in {"/", here}]
    rights |= dict.fromkeys(code, RUN)
    rights["/dev/null"] = Right.READ_FILE | Right.WRITE_FILE | Right.TRUNCATE
    return rights


def _moving(config: Config, *, links: bool) -> Rights:
    """What the configuration leads to, and what other programs may replace. `links`: those among the files too."""
    return _both(_seen(config, links=links), _named(config))


def _seen(config: Config, *, links: bool) -> Rights:
    """What inputs lead to: paths without links, to be granted only while they still lead to what was looked at."""
    sections = (section for section in config.inputs if isinstance(section, FileInputSection))
    return dict.fromkeys((path for section in sections for path in _looked_in(section, links=links)), READ)


def _named(config: Config) -> Rights:
    """What is taken at its name, wherever links lead: only who wrote the configuration has a say in it."""
    rights: Rights = dict.fromkeys(_NETWORK, READ)
    for file in _files(config):
        for name in {os.path.abspath(file), os.path.realpath(file)}:
            _add(rights, _around(name), READ)
    for output in config.outputs:
        if isinstance(output, FileOutputSection):
            _add(rights, os.path.dirname(os.path.abspath(output.path)), WRITE)
    _add(rights, os.path.abspath(config.agent.state_dir), WRITE)
    return rights


def _both(first: Rights, second: Rights) -> Rights:
    rights = dict(first)
    for path, right in second.items():
        _add(rights, path, right)
    return rights


def _add(rights: Rights, path: str, right: Right) -> None:
    rights[path] = rights.get(path, Right(0)) | right


def _files(value: Any) -> Iterator[Path]:
    """The files that sections name to be read: certificates and keys. Found by their type, so none is forgotten."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, BaseModel):
        written = {FileOutputSection: "path", AgentSection: "state_dir"}.get(type(value))
        for name in type(value).model_fields:
            if name != written:
                yield from _files(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _files(item)


def _looked_in(section: FileInputSection, *, links: bool) -> Iterator[str]:
    """The directories in which an input looks, and what links lead to."""
    for pattern in map(os.path.abspath, section.paths):
        magic = glob.has_magic(pattern) and not os.path.lexists(pattern)
        folder = os.path.dirname(pattern)
        while magic and glob.has_magic(folder):
            folder = os.path.dirname(folder)
        root = followed(folder)
        if root is None:
            continue
        yield root
        if links or not magic:
            yield from _led_out(glob.iglob(pattern, recursive=True) if magic else (pattern,), root)


def _led_out(names: Iterator[str] | tuple[str, ...], root: str) -> Iterator[str]:
    """The directories outside of `root` to which links among these names lead."""
    inside = f"{root.rstrip('/')}/"
    seen: dict[str, str | None] = {}
    for name in names:
        folder = os.path.dirname(name)
        if folder not in seen:
            seen[folder] = real = followed(folder)
            if real is not None and not f"{real}/".startswith(inside):
                yield _farm(real) or real
        if os.path.islink(name):
            target = followed(name)
            if target is not None and not target.startswith(inside):
                yield _farm(target) or (_around(target) if _whole(name, target) else target)


def _whole(name: str, target: str) -> bool:
    """Whether the directory of a link's target is granted with it, in which the file will be rotated.

    Who may make a link to his own file in a directory of others (/var/mail) must not have that directory read.
    """
    try:
        if os.lstat(name).st_uid in {0, os.geteuid()}:
            return True
        return os.lstat(os.path.dirname(target)).st_uid == os.lstat(target).st_uid
    except OSError:
        return False


def _farm(path: str) -> str | None:
    return next((farm for farm in _FARMS if path.startswith(f"{farm}/")), None)


def _around(path: str) -> str:
    """The directory of a file, since files are renewed by being replaced; the file itself where that says too much."""
    folder = os.path.dirname(path)
    return path if folder in _WIDE else folder


def followed(path: str) -> str | None:
    """Where a path leads; None where there is nothing, or where a link on the way is not to be trusted.

    A link is trusted when root or the agent's own user made it, or else the owner of what it leads to: who may write
    into a directory of logs must not be able to name files that only others may read. It is decided at the end of the
    walk, of what the walk came to: a link that is replaced meanwhile is judged by where it led this time.
    """
    try:
        owners: set[int] = set()
        here, parts, links = "/", os.path.abspath(path).split("/")[:0:-1], 0
        while parts:
            part = parts.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                here = os.path.dirname(here)
                continue
            step = os.path.join(here, part)
            status = os.lstat(step)
            if not stat.S_ISLNK(status.st_mode):
                here = step
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            owners.add(status.st_uid)
            target = os.readlink(step)
            parts += reversed(target.split("/"))
            here = "/" if target.startswith("/") else here
        trusted = owners <= {0, os.geteuid(), os.lstat(here).st_uid}
    except OSError:
        return None
    return here if trusted else None
