"""What OpenSearch's answers mean that are no success, in words a person can act on."""

from __future__ import annotations

from shipper.errors import UnavailableError
from shipper.outputs._bulk import CLOCK_IS_OFF, Answer, clock_is_off, error_of


class DeniedError(UnavailableError):
    """The server does not accept who we are, or we cannot say it: a person is needed."""


def is_denied(answer: Answer) -> bool:
    """Whether it says that who we are is not accepted (401), or not enough (403; a write block is something else)."""
    return answer.status == 401 or (answer.status == 403 and b"block_exception" not in answer.body)


def explain(answer: Answer) -> tuple[str, str]:
    """(cause, hint) of an answer that is no success. Not for answers to documents: the cause quotes the server."""
    content = answer.json()
    kind, reason = error_of(content.get("error")) if isinstance(content, dict) else ("unknown", "")
    if answer.status == 401:
        return "wrong user name or password (401)", "check auth, or --user and --password-file"
    if answer.status == 403 and clock_is_off(answer):
        return CLOCK_IS_OFF, "timedatectl status"
    if answer.status == 403 and "block" not in kind:
        return f"not allowed (403): {reason or kind}", "give the role the rights listed in docs/howto/opensearch.md"
    if 300 <= answer.status < 400:
        return f"the address redirects ({answer.status})", "name OpenSearch itself, not a page in front of it"
    text = f"{kind}: {reason}" if reason and kind != "unknown" else reason or kind
    return f"status {answer.status}" + ("" if text == "unknown" else f", {text}"), ""


def op_of(method: str) -> str:
    """The operation, for messages."""
    return "talk to OpenSearch" if method in {"GET", "HEAD"} else "send to OpenSearch"
