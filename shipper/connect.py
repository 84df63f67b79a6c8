"""`fieldtrail validate`: remarks on a valid configuration; with `--connect`, inputs and outputs are tried in steps."""

from __future__ import annotations

import contextlib
import glob
import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from shipper._listening import MetricsSection
from shipper._settings import stays_here
from shipper.build import output_sections
from shipper.clock import SystemClock
from shipper.config import Config
from shipper.control import status_of
from shipper.directory.keeper import probe as probe_directory
from shipper.errors import ConfigError, UnavailableError
from shipper.input_sections import FileInputSection, InputSection, PollInputSection
from shipper.output_sections import HttpSection, OpenSearchSection, SyslogSection


class Step(NamedTuple):
    """One thing that was tried. `part`: `input crm-app`; `name`: `resolve`, `connect`, `TLS`, `auth` or `version`.

    `degraded`: it is not to be had, but what else the input reads is; then it is `ok`.
    """

    part: str
    name: str
    ok: bool
    detail: str = ""
    hint: str = ""
    degraded: bool = False


def remarks(config: Config) -> Iterator[str]:
    """What a user should know although nothing is wrong."""
    if config.privacy is None:
        yield (
            "no privacy policy: bank, tax and government-id values are masked, credentials dropped, all others sealed"
            " as they are"
        )
    if config.metrics is not None and config.metrics.allow_remote:
        yield f"metrics.listen: whoever can reach {config.metrics.listen} can read the figures: no TLS, no password"
    written = config.retention if "retention" in config.model_fields_set else None
    if written is not None and not any(isinstance(output, OpenSearchSection) for output in output_sections(config)):
        yield (
            "retention: no output is known to delete by age, yet the log will say that events older than"
            f" {written.days} days may be gone; set retention: null"
        )
    for index, output in enumerate(output_sections(config)):
        where = f"outputs[{index}]"
        if isinstance(output, SyslogSection):
            if output.format != "rfc5424":
                yield (
                    f"{where}: {output.format} is a translation of the sealed documents: what arrives there cannot be"
                    " verified alone"
                )
            if output.address.startswith("udp:"):
                yield f"{where}: UDP loses messages without a word; what arrives there cannot be verified alone"
            elif output.control == "none" and output.format == "rfc5424":
                yield f"{where}: without control documents what arrives there cannot be verified alone"
            if output.transport not in {"tls", "relps"} and not stays_here(output.address):
                yield f"{where}: {output.transport}:// is not encrypted: anybody in between can read and change it"
        if isinstance(output, HttpSection):
            if output.control == "none":
                yield f"{where}: without control documents what arrives there cannot be verified alone"
            if output.address.startswith("http:") and not stays_here(output.address):
                yield f"{where}: http:// is not encrypted: anybody in between can read and change it"
        if isinstance(output, OpenSearchSection | SyslogSection | HttpSection) and not output.tls.verify:
            yield f"{where}: tls.verify is off: anybody in between can read and change what is sent"
        if output.when is not None:
            yield f"{where}: `when` is set: verification will say `filtered` for what it leaves out"


def steps(config: Config) -> Iterator[Step]:
    """Try each input and output; nothing is written anywhere but a probe of folders."""
    yield from input_steps(config, config.inputs)
    for listed in config.directory:
        ok, detail = probe_directory(listed)
        yield Step(f"directory {listed.id}", "read", ok, detail, "" if ok else "docs/howto/directory.md")
    if config.metrics is not None:
        yield _metrics(config.metrics, config.agent.state_dir)
    for output in output_sections(config):
        part = f"output {output.id}"
        if isinstance(output, OpenSearchSection):
            from shipper.outputs._opensearch_client import probe  # noqa: PLC0415 - the client costs 240 ms at import

            for name, ok, detail, hint in probe(output, config.agent.namespace):
                yield Step(part, name, ok, detail, hint)
        elif isinstance(output, SyslogSection):
            yield from _syslog(part, output)
        elif isinstance(output, HttpSection):
            yield from _http(part, output)
        elif output.type == "file":
            folder = output.path.parent
            ok = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
            yield Step(part, "write", ok, str(output.path), "" if ok else f"ls -ld {folder}")
        else:
            yield Step(part, "write", ok=True, detail=output.type)


def input_steps(config: Config, sections: Iterable[InputSection]) -> Iterator[Step]:
    """Try these inputs of a configuration."""
    running = _is_running(config.agent.state_dir)
    for section in sections:
        part = f"input {section.id}"
        if section.type == "poll":
            yield from _poll(part, section)
        elif section.type == "webhook":
            from shipper.inputs.webhook import probe as webhook  # noqa: PLC0415 - loaded where it is used
            from shipper.inputs.webhook.settings import settings_of as place_of  # noqa: PLC0415 - as above

            found = webhook.probe(place_of(section), section.auth.scheme, section.path, running=running)
            yield from (Step(part, *tried) for tried in found)
        elif section.type == "syslog":
            from shipper.inputs.syslog import probe as syslog  # noqa: PLC0415 - loaded where it is used
            from shipper.inputs.syslog.settings import settings_of  # noqa: PLC0415 - as above

            yield from (Step(part, *tried) for tried in syslog.probe(settings_of(section), running=running))
        elif section.type == "file":
            yield from _files(part, section)
        else:
            yield Step(part, "read", ok=True, detail="standard input")


def _files(part: str, section: FileInputSection) -> Iterator[Step]:
    for pattern in section.paths:
        names = [name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name)]
        closed = [name for name in names if not os.access(name, os.R_OK)]
        if closed:
            yield Step(part, "read", ok=False, detail=f"{closed[0]}: permission denied", hint=f"ls -l {closed[0]}")
        else:
            count = f"{len(names)} file{'s' if len(names) != 1 else ''} now"
            yield Step(part, "match", ok=True, detail=f"{pattern}: {count}")


def _poll(part: str, section: PollInputSection) -> Iterator[Step]:
    """Each listing, asked once. What the account lacks is no failure while something else can be read."""
    from shipper.inputs.poll.http import Client  # noqa: PLC0415 - loaded where it is used
    from shipper.inputs.poll.preset import compile_source  # noqa: PLC0415 - as above
    from shipper.inputs.poll.probe import probe_with  # noqa: PLC0415 - as above

    source, problems = compile_source(section)
    if source is None:
        yield from (Step(part, where, ok=False, detail=text) for where, text in problems)
        return
    client = Client(section.timeout, section.max_response, section.tls)
    tries = list(probe_with(source, client, SystemClock()))
    asked = {name for name, one in source.resources.items() if one.format is not None or one.object is not None}
    usable = any(tried.ok and tried.name in asked for tried in tries)
    for name, ok, detail, hint, lacks in tries:
        degraded = lacks and usable
        yield Step(part, name, ok or degraded, detail, hint, degraded)


def _is_running(folder: Path) -> bool:
    with contextlib.suppress(UnavailableError):
        status_of(folder)
        return True
    return False


def _metrics(section: MetricsSection, folder: Path) -> Step:
    from shipper.endpoint import Endpoint  # noqa: PLC0415 - an HTTP server only where it is wanted

    if _is_running(folder):
        return Step("metrics", "listen", ok=True, detail=f"{section.listen}: not tried, the agent is running")
    try:
        Endpoint(section).close()
    except ConfigError as error:
        return Step("metrics", "listen", ok=False, detail=f"{section.listen}: {error.cause}", hint=error.hint)
    return Step("metrics", "listen", ok=True, detail=section.listen)


def _http(part: str, section: HttpSection) -> Iterator[Step]:
    """Name, connection and TLS; no request is made, since the receiver would take it for an event."""
    from shipper.http_client.tls import tls_context  # noqa: PLC0415 - loaded where it is used
    from shipper.outputs._syslog_target import explain  # noqa: PLC0415 - same

    url = urlsplit(section.address)
    host, secure = url.hostname or "", url.scheme == "https"
    port = url.port or (443 if secure else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield Step(part, "resolve", ok=False, detail=f"{host}: {explain(error)}", hint=f"getent hosts {host}")
        return
    yield Step(part, "resolve", ok=True, detail=f"{host} is {found[0][4][0]}")
    try:
        with socket.create_connection((host, port), timeout=section.timeout) as plain:
            yield Step(part, "connect", ok=True, detail=f"{host}:{port}; the address itself is not tried")
            if secure:
                name = section.tls.server_name or host
                with tls_context(section.tls).wrap_socket(plain, server_hostname=name) as secured:
                    trusted = "certificate trusted" if section.tls.verify else "certificate not checked"
                    yield Step(part, "TLS", ok=True, detail=f"{secured.version()}, {trusted}")
    except ssl.SSLError as error:
        hint = f"openssl s_client -connect {host}:{port} -showcerts"
        yield Step(part, "TLS", ok=False, detail=explain(error), hint=hint)
    except OSError as error:
        yield Step(part, "connect", ok=False, detail=explain(error), hint=f"nc -vz {host} {port}")


def _syslog(part: str, section: SyslogSection) -> Iterator[Step]:
    from shipper.outputs._relp_session import Session  # noqa: PLC0415 - loaded where it is used
    from shipper.outputs._syslog_target import SECURE, Target, explain  # noqa: PLC0415 - loaded where it is used

    target = Target(section)
    transport, host, port = target.transport, target.host, target.port
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    try:
        found = socket.getaddrinfo(host, port, type=kind)
    except OSError as error:
        yield Step(part, "resolve", ok=False, detail=f"{host}: {explain(error)}", hint=f"getent hosts {host}")
        return
    yield Step(part, "resolve", ok=True, detail=f"{host} is {found[0][4][0]}")
    if transport == "udp":
        return
    try:
        socket.create_connection((host, port), timeout=section.timeout).close()
    except OSError as error:
        yield Step(part, "connect", ok=False, detail=explain(error), hint=f"nc -vz {host} {port}")
        return
    yield Step(part, "connect", ok=True, detail=f"{host}:{port}")
    if transport == "tcp":
        return
    try:
        stream = target.connect()
    except OSError as error:
        hint = f"openssl s_client -connect {host}:{port} -showcerts"
        yield Step(part, "TLS" if transport in SECURE else "connect", ok=False, detail=explain(error), hint=hint)
        return
    if transport in SECURE:
        trusted = "certificate trusted" if section.tls.verify else "certificate not checked"
        yield Step(part, "TLS", ok=True, detail=f"{stream.version()}, {trusted}")
    if transport == "tls":
        stream.close()
        return
    try:
        session = Session.open(stream, section.timeout, 1)
    except OSError as error:
        hint = f'rsyslog on {host}: module(load="imrelp") input(type="imrelp" port="{port}")'
        yield Step(part, "RELP", ok=False, detail=explain(error), hint=hint)
        return
    yield Step(part, "RELP", ok=True, detail=session.software or "the receiver gives no name")
    session.close()
