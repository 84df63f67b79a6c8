"""Real web servers that write access logs: Apache and nginx, each a process of its own on loopback, IPv4 and IPv6."""

import base64
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.components import absent
from tests.integration.opensearch.server import free_port

HOST, REALM = "www.shop.example", "back office"
USERS = {"alice": "pw of alice", 'zoë "z" \\ x': "pw", "amy smith": "pw"}
ZONE, TZ = "Asia/Kolkata", "IST-5:30"
"""The servers' zone: by its name, and as a rule that a C library understands without a table of zones."""
PATIENCE = 20.0

_MODULES = (
    *("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "auth_digest"),
    *("alias", "dir", "headers", "reqtimeout", "socache_shmcb"),
)

_APACHE = r"""
ServerRoot "{folder}"
ServerName {host}
PidFile "{folder}/pid"
Mutex pthread
Listen 127.0.0.1:{port}
Listen [::1]:{port}
{modules}
{user}
StartServers 1
MinSpareThreads 1
ThreadsPerChild 8
ServerLimit 2
MaxRequestWorkers 16
RequestReadTimeout header=1
LogLevel debug
ErrorLog "{folder}/error.log"
LogFormat "%h %l %u %t \"%r\" %>s %b" common
LogFormat "%h %l %u %t \"%r\" %>s %b \"%{{Referer}}i\" \"%{{User-Agent}}i\"" combined
LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{{Referer}}i\" \"%{{User-Agent}}i\"" vhost_combined
CustomLog "{folder}/common.log" common
CustomLog "{folder}/combined.log" combined
CustomLog "{folder}/vhost_combined.log" vhost_combined
DocumentRoot "{folder}/www"
Redirect 500 /broken
<Directory "{folder}/www">
  Require all granted
</Directory>
<Location /private>
  AuthType Basic
  AuthName "{realm}"
  AuthUserFile "{folder}/users"
  Require valid-user
</Location>
<Location /digest>
  AuthType Digest
  AuthName "{realm}"
  AuthUserFile "{folder}/digests"
  Require valid-user
</Location>
<Location /closed>
  Require all denied
</Location>
"""

_NGINX = r"""
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log info;
{user}
events {{ worker_connections 64; }}
http {{
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  client_header_timeout 1s;
  log_format further '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                     '"$http_referer" "$http_user_agent" "$http_x_forwarded_for" rt=$request_time host="$host"';
  log_format iso '$remote_addr - $remote_user [$time_iso8601] "$request" $status $body_bytes_sent '
                 '"$http_referer" "$http_user_agent"';
  access_log {folder}/combined.log combined;
  access_log {folder}/further.log further;
  access_log {folder}/iso.log iso;
  server {{
    listen 127.0.0.1:{port}; listen [::1]:{port};
    server_name {host}; root {folder}/www;
    location /broken {{ return 500; }}
    location /closed {{ deny all; }}
    location /private {{ auth_basic "{realm}"; auth_basic_user_file {folder}/users; }}
  }}
}}
"""


def program(name, package):
    """The path of a server program."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        absent(f"there is no {name}: apt-get install -y {package}")
    return found


def nginx_command(folder):
    """Nginx in the foreground with `folder/nginx.conf`, its error log beside it."""
    places = ("-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"))
    return [program("nginx", "nginx-light"), *places, "-g", "daemon off;"]


class Served:
    """A server program in `folder`, that listens at `port` of loopback."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port

    def start(self, command, **environment):
        """Run it until it listens; what it says otherwise."""
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env={**os.environ, **environment}, cwd=self.folder
        )
        try:
            self.until(self._is_listening)
        except AssertionError:
            self.stop()
            raise

    def until(self, condition):
        """Wait for a condition; what the server says otherwise."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError((self.folder / "error.log").read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.02)

    def _is_listening(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def stop(self):
        """End it; its workers end with it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _modules():
    """Lines that load what is not built in."""
    folder = next(
        (one for one in map(Path, ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules")) if one.is_dir()), None
    )
    if folder is None:
        absent("no folder of Apache's modules: apt-get install apache2-bin")
    lines = [f'LoadModule {name}_module "{folder}/mod_{name}.so"' for name in _MODULES]
    shared = [name for name in ("log_config", "logio", "unixd") if (folder / f"mod_{name}.so").exists()]
    return "\n".join([*lines, *(f'LoadModule {name}_module "{folder}/mod_{name}.so"' for name in shared)])


class WebServer(Served):
    """A server in `folder`, which its workers (no root) must be able to enter. `logs`: the paths of its access logs."""

    def __init__(self, folder, logs):
        super().__init__(folder, free_port())
        self.logs = {name: folder / f"{name}.log" for name in logs}
        for path in ("www/private", "www/digest", "www/closed"):
            (folder / path).mkdir(parents=True)
            (folder / path / "page.html").write_text("private\n")
        (folder / "www/page.html").write_text("a page\n")
        (folder / "www/a b.html").write_text("blanks\n")
        (folder / "www/größe.html").write_text("letters\n", encoding="utf-8")
        lines = [
            f"{user}:{{SHA}}{base64.b64encode(hashlib.sha1(word.encode()).digest()).decode()}\n"
            for user, word in USERS.items()
        ]
        (folder / "users").write_text("".join(lines), encoding="utf-8")
        secret = hashlib.md5(f"alice:{REALM}:{USERS['alice']}".encode()).hexdigest()
        (folder / "digests").write_text(f"alice:{REALM}:{secret}\n")


class Apache(WebServer):
    """Writes the access log in three formats, and an error log at level info."""

    def __init__(self, folder):
        super().__init__(folder, ("common", "combined", "vhost_combined"))
        user = "User #65534\nGroup #65534" if os.geteuid() == 0 else ""
        text = _APACHE.format(folder=self.folder, host=HOST, realm=REALM, port=self.port, modules=_modules(), user=user)
        (self.folder / "apache.conf").write_text(text)
        places = ("-d", str(self.folder), "-f", str(self.folder / "apache.conf"))
        self.start([program("apache2", "apache2-bin"), *places, "-DFOREGROUND"], TZ=TZ)


class Nginx(WebServer):
    """Writes the access log as it comes, with further fields behind, and with times of ISO 8601, and an error log."""

    def __init__(self, folder):
        super().__init__(folder, ("combined", "further", "iso"))
        user = "user root;" if os.geteuid() == 0 else ""
        text = _NGINX.format(folder=self.folder, host=HOST, realm=REALM, port=self.port, user=user)
        (self.folder / "nginx.conf").write_text(text)
        self.start(nginx_command(self.folder), TZ=TZ)
