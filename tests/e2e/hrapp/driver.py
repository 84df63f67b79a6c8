"""Starts the application and uses it as people do: over HTTP, with cookies and forms, each from an address of their own.

A `Person` keeps what it did as a list of `Deed`, so that a test has a truth that no log was read for.
"""

import functools
import http.client
import json
import subprocess
import sys
import urllib.request
import uuid
from datetime import UTC, datetime
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin

from tests.e2e.agent_process import ROOT, environment

PATIENCE = 30


class Application:
    """The application as a process of its own; `begin` is what it holds from the start (see `__main__.py`)."""

    module = "tests.e2e.hrapp"

    def __init__(self, folder, log, begin):
        self.folder, self.database = folder, folder / "hr.sqlite3"
        (folder / "begin.json").write_text(json.dumps(begin))
        self.process = None
        self.url = ""
        self._environment = environment(folder, HR_DATABASE=str(self.database), HR_AUDIT_LOG=str(log))

    def __enter__(self):
        with (self.folder / "server.log").open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, str(self.folder / "begin.json")],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        try:
            port = self.process.stdout.readline().strip().decode()
            assert port, (self.folder / "server.log").read_text()
        except BaseException:
            self.__exit__()
            raise
        self.url = f"http://127.0.0.1:{port}/"
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Deed(NamedTuple):
    """One thing that a person did: a form that was sent and taken, between two moments."""

    request: str
    who: str
    ip: str
    verb: str
    """`create`, `update` or `delete`."""
    record: str
    before: dict[str, str]
    after: dict[str, str]
    began: datetime
    ended: datetime


class _Form(HTMLParser):
    """The values of the one form of a page."""

    def __init__(self, page):
        super().__init__()
        self.values: dict[str, str] = {}
        self._select = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        have: dict[str, Any] = dict(attrs)
        if tag == "input":
            self.values[have["name"]] = have.get("value") or ""
        elif tag == "select":
            self._select = have["name"]
        elif tag == "option" and "selected" in have:
            self.values[self._select] = have["value"]


class _From(urllib.request.HTTPHandler):
    """Connections from one of the loopback addresses."""

    def __init__(self, ip):
        super().__init__()
        self._connection = functools.partial(http.client.HTTPConnection, source_address=(ip, 0))

    def http_open(self, request):
        return self.do_open(self._connection, request)


class Person:
    """A user of the application with a browser."""

    def __init__(self, base, name, password, ip):
        self.base, self.name, self.ip = base, name, ip
        self.deeds: list[Deed] = []
        self._cookies = CookieJar()
        self._browser = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _From(ip), urllib.request.HTTPCookieProcessor(self._cookies)
        )
        self._browser.addheaders = [("User-Agent", f"browser-of-{name}")]
        form = self._form("login/")
        self._send("login/", {**form, "username": name, "password": password}, "-")
        assert self.cookie("sessionid"), f"{name} could not log in"

    def cookie(self, name):
        return next((cookie.value for cookie in self._cookies if cookie.name == name), None)

    def edit(self, record, **values):
        """Open the form of a record, put other values in, save."""
        form = self._form(f"employees/{record}/")
        before = _fields(form)
        self._do("update", str(record), f"employees/{record}/", {**form, **values}, before, {**before, **values})

    def create(self, **values):
        """Fill in an empty form; returns the record's id."""
        form = self._form("employees/new/")
        self._do("create", None, "employees/new/", {**form, **values}, {}, {**_fields(form), **values})
        return self.deeds[-1].record

    def delete(self, record):
        before = _fields(self._form(f"employees/{record}/"))
        form = self._form(f"employees/{record}/delete/")
        self._do("delete", str(record), f"employees/{record}/delete/", form, before, {})

    def forge(self, record, **values):
        """Send a form without its token; the status that the application answers with."""
        form = self._form(f"employees/{record}/")
        del form["csrfmiddlewaretoken"]
        try:
            self._send(f"employees/{record}/", {**form, **values}, "-")
        except urllib.request.HTTPError as error:
            with error:
                return error.code
        return 200

    def _do(self, verb, record, path, form, before, after):
        request, began = uuid.uuid4().hex, datetime.now(UTC)
        place = self._send(path, form, request)
        ended = datetime.now(UTC)
        if record is None:
            record = place.rstrip("/").rpartition("/")[2]
        self.deeds.append(Deed(request, self.name, self.ip, verb, record, before, after, began, ended))

    def _form(self, path):
        with self._browser.open(urljoin(self.base, path), timeout=PATIENCE) as answer:
            return _Form(answer.read().decode()).values

    def _send(self, path, values, request):
        """Send a form; the address that the application leads to. A form that is shown again was refused."""
        url = urljoin(self.base, path)
        message = urllib.request.Request(url, urlencode(values).encode(), {"X-Correlation-ID": request})
        with self._browser.open(message, timeout=PATIENCE) as answer:
            page = answer.read().decode()
            assert "errorlist" not in page, page
            return answer.url


def _fields(form):
    return {name: value for name, value in form.items() if name != "csrfmiddlewaretoken"}


def iban(number):
    """An invented account number with the right check digits."""
    account = f"{number:018d}"
    check = 98 - int(account + "131400") % 97  # D is 13, E is 14
    return f"DE{check:02d}{account}"
