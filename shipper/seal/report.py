"""A verification report as one HTML page, self-contained: no script, no request, everything foreign escaped.

Pure. Meant to be printed and filed; it says what was not checked as plainly as what was.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from shipper.seal.findings import printable

if TYPE_CHECKING:
    from shipper.seal.findings import Report

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ccc;
vertical-align:top}td{overflow-wrap:anywhere}code{font-family:ui-monospace,monospace;font-size:.9em}
.verdict{padding:.8rem 1rem;border-left:.5rem solid;font-weight:600}
.ok{border-color:#1a7f37;background:#eaf6ec}.bad{border-color:#b42318;background:#fdecea}
@media print{body{margin:0;max-width:none}}
"""
_LIMITS: Final = (
    "It does not show what a source never sent, nor what was changed in the source before the agent read it.",
    "Whoever controls the agent's host controls what is sealed from that moment on.",
    "A log that ends early shows only against a newer note: the one in the trust file, a live clock, a second output.",
    "It judges the stored documents. What a person is shown depends on their role and on the index settings.",
)


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _table(head: tuple[str, ...], rows: list[str]) -> str:
    return f"<table><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>{''.join(rows)}</table>"


def _text(value: object) -> str:
    return escape(printable(str(value), 500))


def render_html(report: Report, made: str = "") -> str:
    """The page. `made`: when the verification ran, RFC 3339, for the heading."""
    verdict = "Nothing unexplained was found." if report.ok else "The documents are not what was sealed."
    several = len(report.logs) > 1
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Fieldtrail verification</title>",
        f"<style>{_STYLE}</style><h1>Verification of sealed audit documents</h1>",
        f"<p>Source: <code>{_text(report.source)}</code>{f'<br>Made: {_text(made)}' if made else ''}</p>",
        f"<p class='verdict {'ok' if report.ok else 'bad'}'>{verdict}</p>",
        f"<p>{_text(report.summary())}</p>",
        "<h2>Logs</h2>",
        _table(
            ("Origin", "Leaves", "Checkpoints", "Sealed in the period", "Found", "Pending", "Newest statement", "Root"),
            [
                _row(
                    f"{_text(log.origin)}<br><code>{_text(log.log)}</code><br><code>{_text(log.fingerprint)}</code>",
                    f"{log.size:,}",
                    f"{log.checkpoints:,}",
                    f"{log.sealed:,}",
                    f"{log.found:,}",
                    f"{log.pending:,}",
                    _text(log.newest or "none"),
                    f"<code>{_text(log.root)}</code>",
                )
                for log in report.logs
            ],
        ),
        "<h2>Findings</h2>",
    ]
    if report.findings:
        rows = [
            _row(f"<code>{_text(finding.line(name_log=several))}</code>", "yes" if finding.fails else "explained")
            for finding in report.findings
        ]
        rows += [
            _row(_text(f"{kind}: {count:,} more findings, not listed"), "") for kind, count in report.unlisted.items()
        ]
        parts.append(_table(("Finding", "Counts as failure"), rows))
    else:
        parts.append("<p>None.</p>")
    if report.warnings:
        parts.append("<h2>Warnings</h2><ul>")
        parts += [f"<li>{_text(text)}</li>" for text in report.warnings]
        parts.append("</ul>")
    parts.append("<h2>What this does not show</h2><ul>")
    parts += [f"<li>{text}</li>" for text in _LIMITS]
    parts.append("</ul></html>\n")
    return "".join(parts)
