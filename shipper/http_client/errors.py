"""What went wrong between us and a server, in words a person can act on: exceptions translated once, at the seam.

Never a library's own text where it may quote an answer, and an answer may quote a document.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError

from shipper.errors import UnavailableError


class NoAnswerError(UnavailableError):
    """No answer came. `sent`: the request may have been carried out all the same; `late`: its time was up.

    `wait`: seconds in which there is no point in asking again, None = as usual.
    """

    def __init__(
        self,
        op: str,
        place: str,
        cause: str,
        hint: str = "",
        *,
        sent: bool = False,
        late: bool = False,
        tls: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(op, place, cause, hint)
        self.sent, self.late, self.tls, self.wait = sent, late, tls, wait


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, what it wraps (opensearch-py: `info`; urllib3: `reason` or an argument) and what caused it."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        one = todo.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [argument for argument in one.args if isinstance(argument, BaseException)]
        todo += [*inner, getattr(one, "reason", None), one.__cause__]


def no_answer(
    op: str, host: str, error: Exception | None, timeout: float, *, expired: bool, connected: bool = True
) -> NoAnswerError:
    """What an exception of the library means. `expired`: the time was up; `connected`: there was a connection then."""
    causes = list(_chain(error))
    if expired and not connected:
        return NoAnswerError(op, host, f"no connection within {timeout:g} s", _reach(host))
    if not expired:
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return NoAnswerError(op, host, *_certificate(host, cause), tls=True)
            if isinstance(cause, ssl.SSLError):
                return NoAnswerError(op, host, *_handshake(host, cause), tls=True, sent="EOF" in str(cause))
        if any(isinstance(cause, NewConnectionError) for cause in causes):
            return NoAnswerError(op, host, _system_text(causes) or "no connection", _reach(host))
        if any(isinstance(cause, ConnectTimeoutError) for cause in causes):
            return NoAnswerError(op, host, f"no connection within {timeout:g} s", _reach(host))
    late = expired or any(isinstance(cause, TimeoutError | ReadTimeoutError) for cause in causes)
    if late:
        text, hint = f"no complete answer within {timeout:g} s", "a larger timeout, if the server is only slow"
        return NoAnswerError(op, host, text, hint, sent=True, late=True)
    text = _system_text(causes) or "the connection ended before the answer was complete"
    return NoAnswerError(op, host, text, _reach(host), sent=True)


def _reach(host: str) -> str:
    return f"curl -v {host}/"


def _system_text(causes: Sequence[BaseException]) -> str:
    """The operating system's words: `Connection refused`. Never a library's, which may quote an answer."""
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return ""


def _certificate(host: str, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    text = error.verify_message or "certificate not accepted"
    if "ostname mismatch" in text or "IP address mismatch" in text:
        return f"TLS: {text}", "set tls.server_name to a name in the certificate, or use that name in the address"
    url = urlsplit(host)
    address = f"{url.hostname}:{url.port or 443}"
    return (
        f"TLS: certificate not accepted: {text}",
        f"openssl s_client -connect {address} -showcerts, and name its authority with tls.ca or --ca",
    )


def _handshake(host: str, error: ssl.SSLError) -> tuple[str, str]:
    reason = (error.reason or "handshake failed").replace("_", " ").lower()
    if "wrong version number" in reason or "record layer failure" in reason or "http request" in reason:
        return "TLS: the server does not speak TLS here", f"http://{host.partition('://')[2]}"
    if "certificate required" in reason or "bad certificate" in reason:
        return f"TLS: {reason}", "the server asks for our certificate: tls.cert and tls.key, or --cert and --key"
    return f"TLS: {reason}", f"curl -v {host}/"
