"""A PostgreSQL of a test's own, which logs in every way it knows: as text, csvlog and jsonlog, and to syslog.

syslog(3) writes to `/dev/log`, which is nobody's to take. A small library, loaded before the C library, hands each
message to a file instead: what PostgreSQL gave, with the process id and priority in front.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.integration.opensearch.server import free_port

SUPERUSER, PASSWORD = "chief", "pw-of-chief-9"
HOST = "127.0.0.1"
PREFIX = "%m [%p] %q%u@%d "
"""What Debian sets."""

_SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void put(int priority, const char *format, va_list arguments) {
  const char *path = getenv("FIELDTRAIL_TEST_SYSLOG");
  int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
  char *text = NULL;
  if (file < 0) return;
  if (vasprintf(&text, format, arguments) >= 0) {
    dprintf(file, "%d %d %s%c", priority, (int)getpid(), text, 0);
    free(text);
  }
  close(file);
}
void syslog(int priority, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  put(priority, format, arguments);
  va_end(arguments);
}
void __syslog_chk(int priority, int flag, const char *format, ...) {
  va_list arguments;
  (void)flag;
  va_start(arguments, format);
  put(priority, format, arguments);
  va_end(arguments);
}
"""

_CONFIGURATION = """
listen_addresses = '{host}'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
wal_level = logical
max_connections = 20
shared_buffers = 16MB
shared_preload_libraries = 'pgaudit'
pgaudit.log = 'all'
pgaudit.log_rows = on
pgaudit.log_parameter = on
logging_collector = on
log_destination = 'stderr,csvlog,jsonlog,syslog'
log_directory = '{folder}/log'
log_filename = 'server.log'
log_line_prefix = '{prefix}'
log_timezone = 'UTC'
log_connections = on
log_disconnections = on
syslog_split_messages = off
"""


def programs():
    """The folder of the newest PostgreSQL that knows jsonlog, or None."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin/postgres") if int(path.parts[4]) >= 15]
    return max(found, key=lambda path: int(path.parts[4])).parent if found else None


def missing():
    """In one line what must be installed, or None."""
    folder = programs()
    if folder is None:
        return "there is no PostgreSQL 15 or newer: apt-get install postgresql-15 postgresql-15-pgaudit"
    version = folder.parts[4]
    for name in ("pgaudit", "wal2json"):
        if not (folder.parent / "lib" / f"{name}.so").exists():
            return f"PostgreSQL has no {name}: apt-get install postgresql-{version}-{name}"
    for program, package in (("cc", "gcc libc6-dev"), ("setpriv", "util-linux")):
        if shutil.which(program) is None:
            return f"there is no {program}: apt-get install {package}"
    return None


class Cluster:
    """A running server with `port` and `folder`; what it logs is in the files of `logs()`."""

    def __init__(self):
        self._programs = programs()
        # A Unix socket's path is short, and a server that may not be root cannot enter pytest's folders.
        self.folder = Path(tempfile.mkdtemp(prefix="fieldtrail-pg-"))
        self._as = []
        if os.geteuid() == 0:
            account = pwd.getpwnam("nobody")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._as = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        self.port = free_port()
        self._process = None
        try:
            self._make()
            self._start()
        except BaseException:
            self.stop()
            raise

    def _make(self):
        library = self.folder / "syslog.so"
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=_SHIM, text=True, check=True, timeout=60)
        library.chmod(0o755)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            *("initdb", "-D", str(self.folder / "data"), "-U", SUPERUSER, "-E", "UTF8", "--locale", "C", "-N"),
            *("--auth-local", "trust", "--auth-host", "scram-sha-256", "--pwfile", str(secret)),
        )
        text = _CONFIGURATION.format(host=HOST, port=self.port, folder=self.folder, prefix=PREFIX)
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(text)

    def _run(self, program, *arguments, **more):
        return subprocess.run(
            [*self._as, str(self._programs / program), *arguments],
            cwd="/",
            check=more.pop("check", True),
            timeout=60,
            capture_output=True,
            env=self._environment(more.pop("env", {})),
            **more,
        )

    def _environment(self, more):
        kept = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}
        return {**kept, "PGCONNECT_TIMEOUT": "20", **more}

    def _start(self):
        extra = {"LD_PRELOAD": str(self.folder / "syslog.so"), "FIELDTRAIL_TEST_SYSLOG": str(self.folder / "syslog")}
        self._process = subprocess.Popen(
            [*self._as, str(self._programs / "postgres"), "-D", str(self.folder / "data")],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self._environment(extra),
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            if "database system is ready" in self.text():
                return
            time.sleep(0.02)
        raise AssertionError(f"PostgreSQL did not start: {self.text()}")

    def psql(self, *statements, user=SUPERUSER, database="hr", password=None, options="", application="psql", **more):
        """One session; with a password through TCP, else through the Unix socket. What it printed."""
        arguments = [part for statement in statements for part in ("-c", statement)]
        done = self._run(
            *("psql", "-X", "-A", "-t", "-q", "-h", HOST if password else str(self.folder), "-p", str(self.port)),
            *("-U", user, "-d", database, *arguments),
            env={"PGPASSWORD": password or "", "PGOPTIONS": options, "PGAPPNAME": application},
            **more,
        )
        return done.stdout.decode()

    def pgbench(self, script, *, options="", **variables):
        """One transaction of a script in the extended protocol, with parameters."""
        path = self.folder / "script.sql"
        path.write_text(script)
        path.chmod(0o644)
        given = [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
        self._run(
            *("pgbench", "-n", "-t", "1", "-M", "extended", "-f", str(path), "-h", str(self.folder)),
            *("-p", str(self.port), "-U", SUPERUSER, *given, "hr"),
            env={"PGOPTIONS": options, "PGAPPNAME": "pgbench"},
        )

    def text(self, name="server.log"):
        path = self.folder / "log" / name
        return path.read_text() if path.exists() else ""

    def wait_for(self, text, count=1):
        """Until each log has it: the collector writes them one after the other."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if all(self.text(name).count(text) >= count for name in ("server.log", "server.csv", "server.json")):
                return
            time.sleep(0.02)
        raise AssertionError(f"not in every log: {text}")

    def messages(self):
        """(priority, process id, text) of each message to syslog, as PostgreSQL gave it."""
        found = (self.folder / "syslog").read_bytes().decode().split("\0")[:-1]
        return [re.fullmatch(r"([0-9]+) ([0-9]+) (.*)", one, re.DOTALL).groups() for one in found]

    def shut_down(self):
        """As `pg_ctl stop` does; the logs stay until `stop`."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)

    def stop(self):
        """End it and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process is not None:
            self._process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)
