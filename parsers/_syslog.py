"""What a syslog header says, as ECS fields: for formats of messages that come through syslog. Pure."""

from __future__ import annotations

from typing import Any, Final

from parsers._hosts import set_host
from parsers._text import Header

_MAX_PID: Final = 2**31


def header_fields(header: Header) -> dict[str, Any]:
    """Host, program, process, priority and structured data by dotted name; the time is not among them."""
    fields: dict[str, Any] = {}
    if header.app:
        fields["process.name"] = header.app
    if header.host:
        set_host(fields, header.host)
    if header.procid:
        # PROCID need not be a process id (RFC 5424, section 6.2.6).
        known = header.procid.isdigit() and len(header.procid) < 11 and int(header.procid) < _MAX_PID
        fields.update({"process.pid": int(header.procid)} if known else {"log.syslog.procid": header.procid})
    fields.update(priority_fields(header.priority))
    if header.version is not None:
        fields["log.syslog.version"] = str(header.version)
    if header.msgid:
        fields["log.syslog.msgid"] = header.msgid
    if header.structured:
        fields["log.syslog.structured_data"] = header.structured
    return fields


def priority_fields(priority: int | None) -> dict[str, Any]:
    """Facility and severity, which the priority is made of."""
    if priority is None:
        return {}
    facility, severity = divmod(priority, 8)
    return {
        "log.syslog.priority": priority,
        "log.syslog.facility.code": facility,
        "log.syslog.severity.code": severity,
    }
