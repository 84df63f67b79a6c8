r"""Grok expressions, compiled onto a regular expression with named groups.

`%{NAME}` stands for the pattern of that name, `%{NAME:field}` keeps what it matched as `field`, `%{NAME:field:int}` (or
`:float`) as a number. A field may be written `a.b` or `[a][b]`. The names are those that users of Logstash, Vector and
Fluent Bit know; the patterns are our own, written so that each can match a text in few ways. All else in an expression
is a regular expression. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from shipper.patterns import PatternError

_MAX_DEPTH: Final = 20
_MAX_LENGTH: Final = 100_000

PATTERNS: Final[Mapping[str, str]] = {
    # Words and numbers.
    "WORD": r"\b\w+\b",
    "NOTSPACE": r"\S+",
    "SPACE": r"\s*",
    "DATA": r".*?",
    "GREEDYDATA": r".*",
    "INT": r"[+-]?[0-9]+",
    "POSINT": r"\b[1-9][0-9]*\b",
    "NONNEGINT": r"\b[0-9]+\b",
    "BASE10NUM": r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)",
    "NUMBER": r"%{BASE10NUM}",
    "BASE16NUM": r"[+-]?(?:0x)?[0-9A-Fa-f]+",
    "BASE16FLOAT": r"\b[+-]?(?:0x)?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]*)?\b",
    "BOOLEAN": r"(?i:true|false|yes|no|on|off)",
    "QUOTEDSTRING": r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)""",
    "QS": r"%{QUOTEDSTRING}",
    "UUID": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "USERNAME": r"[A-Za-z0-9._-]+",
    "USER": r"%{USERNAME}",
    "EMAILLOCALPART": r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}",
    "EMAILADDRESS": r"%{EMAILLOCALPART}@%{HOSTNAME}",
    "HTTPDUSER": r"(?:%{EMAILADDRESS}|%{USER})",
    # Networks.
    "MAC": r"(?:%{COMMONMAC}|%{WINDOWSMAC}|%{CISCOMAC})",
    "COMMONMAC": r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}",
    "WINDOWSMAC": r"(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}",
    "CISCOMAC": r"(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}",
    "IPV4": r"(?<![0-9.])(?:%{OCTET}\.){3}%{OCTET}(?![0-9])",
    "OCTET": r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
    "IPV6": r"(?<![0-9A-Fa-f:])(?=[0-9A-Fa-f]*:)[0-9A-Fa-f:]{2,39}(?:(?<=:)%{IPV4})?"
    r"(?:%[0-9A-Za-z]{1,16})?(?![0-9A-Fa-f:])",
    "IP": r"(?:%{IPV6}|%{IPV4})",
    "HOSTNAME": r"\b[0-9A-Za-z](?:[0-9A-Za-z_-]{0,62})(?:\.[0-9A-Za-z][0-9A-Za-z_-]{0,62})*+\.?",
    "HOST": r"%{HOSTNAME}",
    "IPORHOST": r"(?:%{IP}|%{HOSTNAME})",
    "HOSTPORT": r"%{IPORHOST}:%{POSINT}",
    # Paths and addresses.
    "UNIXPATH": r"(?:/[^\s/]*+)+",
    "WINPATH": r"(?:[A-Za-z]:|\\)(?:\\[^\\?*\r\n]*+)+",
    "PATH": r"(?:%{UNIXPATH}|%{WINPATH})",
    "TTY": r"/dev/(?:pts/[0-9]+|tty[A-Za-z0-9]*)",
    "URIPROTO": r"[A-Za-z][A-Za-z0-9+.-]*",
    "URIHOST": r"%{IPORHOST}(?::%{POSINT})?",
    "URIPATH": r"/[^\s?#]*",
    "URIQUERY": r"[^\s#]*",
    "URIPARAM": r"\?[^\s#]*",
    "URIPATHPARAM": r"%{URIPATH}(?:\?%{URIQUERY})?",
    "URI": r"%{URIPROTO}://(?:[^\s/@]*@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?",
    "URN": r"urn:[0-9A-Za-z][0-9A-Za-z-]{0,31}:\S+",
    # Dates and times.
    "MONTH": r"\b(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:tember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b",
    "MONTHNUM": r"(?:0?[1-9]|1[0-2])",
    "MONTHNUM2": r"(?:0[1-9]|1[0-2])",
    "MONTHDAY": r"(?:0[1-9]|[12][0-9]|3[01]|[1-9])",
    "DAY": r"\b(?:Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)\b",
    "YEAR": r"(?:[0-9]{4}|[0-9]{2})",
    "HOUR": r"(?:2[0-3]|[01]?[0-9])",
    "MINUTE": r"[0-5][0-9]",
    "SECOND": r"(?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?",
    "TIME": r"%{HOUR}:%{MINUTE}(?::%{SECOND})?",
    "DATE_US": r"%{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}",
    "DATE_EU": r"%{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}",
    "DATE": r"(?:%{DATE_US}|%{DATE_EU})",
    "DATESTAMP": r"%{DATE}[- ]%{TIME}",
    "TZ": r"[A-Z]{3,5}",
    "ISO8601_TIMEZONE": r"(?:Z|[+-]%{HOUR}(?::?%{MINUTE})?)",
    "ISO8601_SECOND": r"%{SECOND}",
    "TIMESTAMP_ISO8601": r"[0-9]{4}-%{MONTHNUM2}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?%{ISO8601_TIMEZONE}?",
    "DATESTAMP_RFC822": r"%{DAY} %{MONTH} %{MONTHDAY} %{YEAR} %{TIME} %{TZ}",
    "DATESTAMP_RFC2822": r"%{DAY}, %{MONTHDAY} %{MONTH} %{YEAR} %{TIME} %{ISO8601_TIMEZONE}",
    "DATESTAMP_OTHER": r"%{DAY} %{MONTH} %{MONTHDAY} %{TIME} %{TZ} %{YEAR}",
    "DATESTAMP_EVENTLOG": r"[0-9]{14}",
    "HTTPDATE": r"%{MONTHDAY}/%{MONTH}/%{YEAR}:%{TIME} %{INT}",
    "SYSLOGTIMESTAMP": r"%{MONTH} +%{MONTHDAY} %{TIME}",
    # Logs.
    "LOGLEVEL": r"(?i:\b(?:alert|trace|debug|notice|info(?:rmation)?|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe"
    r"|emerg(?:ency)?)\b)",
    "PROG": r"[!-Z\\^-~]+",
    "SYSLOGPROG": r"%{PROG:process.name}(?:\[%{POSINT:process.pid}\])?",
    "SYSLOGHOST": r"%{IPORHOST}",
    "SYSLOGFACILITY": r"<%{NONNEGINT:facility}\.%{NONNEGINT:priority}>",
    "SYSLOGBASE": r"%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:host.hostname} %{SYSLOGPROG}:",
    "COMMONAPACHELOG": r"%{IPORHOST:clientip} %{NOTSPACE:ident} %{NOTSPACE:auth} \[%{HTTPDATE:timestamp}\] "
    r'"(?:%{WORD:verb} %{NOTSPACE:request}(?: HTTP/%{NUMBER:httpversion})?|%{DATA:rawrequest})" '
    r"(?:%{NONNEGINT:response}|-) (?:%{NONNEGINT:bytes}|-)",
    "COMBINEDAPACHELOG": r"%{COMMONAPACHELOG} %{QS:referrer} %{QS:agent}",
    "HTTPD_COMMONLOG": r"%{COMMONAPACHELOG}",
    "HTTPD_COMBINEDLOG": r"%{COMBINEDAPACHELOG}",
}
"""The patterns that an expression may name."""

_REFERENCE: Final = re.compile(r"%\{([A-Za-z0-9_]+)(?::([^}:]*))?(?::([a-z]+))?\}")
_FIELD: Final = re.compile(r"[A-Za-z_@][A-Za-z0-9_@-]*(?:\.[A-Za-z0-9_@-]+)*")
_NUMBERS: Final[Mapping[str, type]] = {"int": int, "long": int, "integer": int, "float": float, "double": float}
_TEXTS: Final = frozenset({"string", "keyword", "text"})


class GrokError(PatternError):
    """An expression that cannot be compiled; the text says why."""


class Expression(NamedTuple):
    """A regular expression, and for each of its groups the field that it fills and what it is converted to.

    `fields`: group name -> (field, `int` or `float` or None). Several groups may fill one field: the first that took
    part counts.
    """

    pattern: str
    fields: Mapping[str, tuple[str, type | None]]


def expand(text: str, definitions: Mapping[str, str] | None = None) -> Expression:
    """The regular expression for a grok expression; `definitions` come before the names built in.

    Raises `GrokError` for a name that nobody defined, a name defined by itself, or an expression of monstrous size.
    """
    known = {**PATTERNS, **(definitions or {})}
    fields: dict[str, tuple[str, type | None]] = {}

    def replaced(part: str, above: tuple[str, ...]) -> str:
        def one(found: re.Match[str]) -> str:
            name, field, kind = found.groups()
            if name not in known:
                raise GrokError(f"no pattern is called {name!r}")
            if name in above:
                raise GrokError(f"the pattern {name} is defined by itself")
            if len(above) >= _MAX_DEPTH:
                raise GrokError(f"patterns within patterns deeper than {_MAX_DEPTH}")
            inner = replaced(known[name], (*above, name))
            if not field:
                return f"(?:{inner})"
            group = f"grok{len(fields)}"
            fields[group] = (_field(field), _kind(kind))
            return f"(?P<{group}>{inner})"

        whole = _REFERENCE.sub(one, part)
        if len(whole) > _MAX_LENGTH:
            raise GrokError(f"longer than {_MAX_LENGTH} characters when expanded")
        return whole

    return Expression(replaced(text, ()), fields)


def _field(text: str) -> str:
    """`[a][b]` -> `a.b`."""
    name = ".".join(text[1:-1].split("][")) if text.startswith("[") and text.endswith("]") else text
    if not _FIELD.fullmatch(name):
        raise GrokError(f"{text!r} is no name of a field")
    return name


def _kind(text: str | None) -> type | None:
    if text is None or text in _TEXTS:
        return None
    kind = _NUMBERS.get(text)
    if kind is None:
        raise GrokError(f"{text!r} is no type; int and float are")
    return kind
