"""A program that logs as people's programs do; beside each log it writes what it really logged, one JSON line a record.

`python logging_program.py FOLDER`: FOLDER/<name>.log and FOLDER/<name>.truth for each layout, and for structlog (in
three set-ups), ecs-logging (in two) and Django's development server.
"""

import json
import logging
import sys
import threading
import traceback
import urllib.error
import urllib.request
from pathlib import Path

import ecs_logging
import structlog

# name: format, datefmt, style
LAYOUTS = {
    "basic": (logging.BASIC_FORMAT, None, "%"),
    "dashes": ("%(asctime)s - %(name)s - %(levelname)s - %(message)s", None, "%"),
    "colon": ("%(asctime)s %(levelname)s %(name)s: %(message)s", None, "%"),
    "colons": ("%(asctime)s:%(levelname)s:%(name)s:%(message)s", None, "%"),
    "level_in_brackets": ("%(asctime)s [%(levelname)s] %(name)s: %(message)s", None, "%"),
    "name_in_brackets": ("%(asctime)s %(levelname)s [%(name)s] %(message)s", None, "%"),
    "all_in_brackets": ("[%(asctime)s] [%(levelname)s] [%(name)s] %(message)s", None, "%"),
    "padded": ("%(asctime)s | %(levelname)-8s | %(name)s | %(message)s", None, "%"),
    "cookbook": ("%(asctime)s %(name)-12s %(levelname)-8s %(message)s", None, "%"),
    "short": ("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S", "%"),
    "offset": ("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z", "%"),
    "flask": ("[%(asctime)s] %(levelname)s in %(module)s: %(message)s", None, "%"),
    "gunicorn": ("%(asctime)s [%(process)d] [%(levelname)s] %(message)s", "[%Y-%m-%d %H:%M:%S %z]", "%"),
    "celery": ("[%(asctime)s: %(levelname)s/%(processName)s] %(message)s", None, "%"),
    "django": ("{levelname} {asctime} {module} {process:d} {thread:d} {message}", None, "{"),
    "place": ("%(asctime)s - %(name)s - %(levelname)s - %(filename)s:%(lineno)d - %(message)s", None, "%"),
}


class SaveError(Exception):
    """Raised from another one."""


class Truth(logging.Handler):
    """Writes what a record holds, as JSON."""

    def __init__(self, path):
        super().__init__()
        self.file = path.open("w", encoding="utf-8")

    def emit(self, record):
        kind, value, _ = record.exc_info or (None, None, None)
        known = {
            "level": record.levelname,
            "logger": record.name,
            "module": record.module,
            "message": record.getMessage(),
            "time": record.created,
            "process": record.process,
            "thread": record.thread,
            "line": record.lineno,
            "function": record.funcName,
        }
        if kind is not None:
            known["error"] = kind.__name__ if kind.__module__ in ("builtins", "__main__") else kind.__qualname__
            known["error_text"] = str(value)
            known["stack"] = "".join(traceback.format_exception(value)).rstrip("\n")
        self.file.write(json.dumps(known) + "\n")

    def close(self):
        self.file.close()
        super().close()


def fail(text):
    """A chain of two exceptions."""
    try:
        int(text)
    except ValueError as error:
        raise SaveError(f"employee {text} was not saved\nand this is why") from error


def work(log):
    """What the program logs in each layout."""
    log.info("service started version=4.2.0")
    log.warning('größe = 5 %%, "quoted" and [bracketed]: %s', {"a": 1})
    log.error("two lines\n  of one message")
    try:
        fail("x55")
    except SaveError:
        log.exception("could not save employee=%s by=%s", 55, "kim")
    try:
        raise KeyError  # noqa: TRY301 (caught at once on purpose)
    except KeyError:
        log.critical("no text in the exception", exc_info=True)
    try:
        raise ExceptionGroup("two at once", [ValueError("a"), OSError("b")])  # noqa: TRY301 (same)
    except ExceptionGroup:
        log.exception("a group")
    error = RuntimeError("with a note")
    error.add_note("seen by nobody")
    try:
        raise error
    except RuntimeError:
        log.exception("two lines\nbefore a traceback")
    log.error("connect to db with password=hunter2 failed")
    log.info("stack asked for", stack_info=True)
    log.info("the end")


def plain(folder):
    """The standard library's layouts."""
    log = logging.getLogger("hr.payroll")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    for name, (text, datefmt, style) in LAYOUTS.items():
        handler = logging.FileHandler(folder / f"{name}.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter(text, datefmt, style))
        log.handlers = [handler, Truth(folder / f"{name}.truth")]
        work(log)
        for one in log.handlers:
            one.close()


def facts(log):
    """What an application says by structlog."""
    log = log.bind(user_id=7, username="kim", ip="192.0.2.10", session_id="s-81", request_id="r-1")
    log.info("service started", version="4.2.0")
    log.info(
        "employee saved",
        action="update",
        object_type="employee",
        object_id=55,
        changes={"salary": [90000, 1.5], "größe": [None, "x\n"]},
    )
    log.warning("login refused", action="login", outcome="failure", password="hunter2")
    log.info(
        "employee created", action="create", object_type="employee", object_id="56", changes={"name": [None, "Lee"]}
    )
    try:
        fail("x55")
    except SaveError:
        log.exception("could not save", object_type="employee", object_id="x55")
    log.error("with stack", stack_info=True)


def structured(folder):
    """structlog: its own loggers, with structured tracebacks and the place of the call, and over the standard library."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    common = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.StackInfoRenderer(),
    ]
    place = structlog.processors.CallsiteParameterAdder()
    render = structlog.processors.JSONRenderer()
    setups = {
        "structlog": [*common, stamp, structlog.processors.format_exc_info, render],
        "structlog_dicts": [
            *common,
            structlog.processors.TimeStamper(),
            place,
            structlog.processors.dict_tracebacks,
            render,
        ],
    }
    for name, processors in setups.items():
        with (folder / f"{name}.log").open("w", encoding="utf-8") as file:
            structlog.configure(processors=processors, logger_factory=structlog.WriteLoggerFactory(file=file))
            facts(structlog.get_logger())
    handler = logging.FileHandler(folder / "structlog_stdlib.log", encoding="utf-8")
    names = [structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level, stamp]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=names,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    log = logging.getLogger("hr.structlog")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.handlers = [handler]
    structlog.configure(
        processors=[*names, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    facts(structlog.get_logger("hr.structlog"))
    log.warning("from the standard library")
    handler.close()


def ecs(folder):
    """ecs-logging: its formatter of the standard library, and the one of structlog."""
    log = logging.getLogger("hr.ecs")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    handler = logging.FileHandler(folder / "ecs.log", encoding="utf-8")
    handler.setFormatter(ecs_logging.StdlibFormatter(extra={"service.name": "hr"}))
    log.handlers = [handler, Truth(folder / "ecs.truth")]
    work(log)
    more = {
        "user.id": "7",
        "user": {"name": "kim"},
        "source.ip": "192.0.2.10",
        "event.action": "auth.login",
        "event.outcome": "failure",
        "trail.session.id": "s-81",
        "order": 5,
    }
    log.info("kim could not log in", extra=more)
    for one in log.handlers:
        one.close()
    with (folder / "ecs_structlog.log").open("w", encoding="utf-8") as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                ecs_logging.StructlogFormatter(),
            ],
            wrapper_class=None,
            logger_factory=structlog.WriteLoggerFactory(file=file),
        )
        log = structlog.get_logger()
        log.info("kim could not log in", **{"user.id": "7", "source.ip": "192.0.2.10", "event.action": "auth.login"})
        log.warning("größe", user={"name": "kim"}, order=5)


def django_server(folder):
    """Django's development server, as `runserver` logs."""
    from django.conf import settings
    from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    def page(request):
        if "fail" in request.GET:
            raise SaveError("x")
        return HttpResponse("a page")

    sys.modules["logged_urls"] = type(sys)("logged_urls")
    sys.modules["logged_urls"].urlpatterns = [path("page", page)]
    settings.configure(
        DEBUG=True,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="logged_urls",
        SECRET_KEY="x",
        USE_TZ=True,
        TIME_ZONE="Asia/Kolkata",
    )
    application = get_wsgi_application()  # sets logging up
    handler = logging.FileHandler(folder / "django_server.log", encoding="utf-8")
    server_log = logging.getLogger("django.server")
    handler.setFormatter(server_log.handlers[0].formatter)
    server_log.handlers = [handler]
    logging.getLogger("django.request").handlers = [logging.NullHandler()]
    logging.getLogger("django.request").propagate = False
    server = WSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    asked = []
    for method, target in (
        ("GET", "/page?x=1&y=%22"),
        ("POST", "/page"),
        ("GET", "/none"),
        ("GET", "/page?fail=1"),
        ("GET", "/page?token=hunter2"),
    ):
        url = f"http://127.0.0.1:{server.server_port}{target}"
        request = urllib.request.Request(url, method=method, data=b"a=b" if method == "POST" else None)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, size = answer.status, len(answer.read())
        except urllib.error.HTTPError as error:
            status, size = error.code, len(error.read())
        asked.append({"method": method, "target": target, "status": status, "size": size})
    server.shutdown()
    thread.join()
    server.server_close()
    handler.close()
    (folder / "django_server.truth").write_text("".join(json.dumps(one) + "\n" for one in asked))


if __name__ == "__main__":
    here = Path(sys.argv[1])
    plain(here)
    structured(here)
    ecs(here)
    django_server(here)
