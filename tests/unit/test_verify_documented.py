"""The checker printed in the documentation is another implementation: it must agree with ours."""

import re
import subprocess
import sys
from pathlib import Path

from shipper.seal.checkpoint import KINDS
from shipper.seal.findings import EXPLAINED
from shipper.seal.findings import KINDS as FINDINGS
from shipper.seal.trust import write_trust
from tests.sealed import edited, replaced, small_log, trust, without

DOCS = Path(__file__).parents[2] / "docs"


def test_the_documented_checker_agrees_with_the_verifier(tmp_path):
    code = re.search(r"```python\n(.*?)```", (DOCS / "reference/checkpoint.md").read_text(encoding="utf-8"), re.DOTALL)
    book = small_log()
    write_trust(tmp_path / "trust.json", trust(book))

    def run(documents):
        (tmp_path / "log.ndjson").write_bytes(b"".join(data + b"\n" for _, data in documents))
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code[1], tmp_path / "trust.json", tmp_path / "log.ndjson"],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    assert run(book.documents) == []
    assert run(replaced(book.documents, book.at(3), edited(b"to 3000", b"to 9000"))) == ["MODIFIED 3"]
    assert run(without(book.documents, book.at(8))) == ["MISSING 8"]


def test_the_documentation_names_every_control_leaf_and_every_finding():
    reference = (DOCS / "reference/checkpoint.md").read_text(encoding="utf-8")
    assert {kind for kind in KINDS if f"`{kind}`" not in reference} == set()
    explanation = (DOCS / "explanation/sealing.md").read_text(encoding="utf-8")
    assert {kind for kind in FINDINGS if f"`{kind}" not in explanation} == set()
    assert {cause for cause in EXPLAINED if f"MISSING a-b {cause}" not in explanation} == set()


def test_the_documentation_promises_no_more_than_evidence():
    for path in ("reference/checkpoint.md", "explanation/sealing.md"):
        text = (DOCS / path).read_text(encoding="utf-8").lower()
        assert "tamper-proof" not in text and "immutable" not in text
