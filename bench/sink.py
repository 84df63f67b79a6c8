"""The destination of the benchmark (sink.c): compiling it, starting it, and the questions that only we ask it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from bench import peers
from bench.failed import Failed


class Sink:
    """A running sink. `gzip` tells whether it was built with zlib."""

    def __init__(self, folder: Path) -> None:
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise Failed(
                69, "no C compiler: bench/sink.c has to be compiled", "apt-get install gcc libc6-dev zlib1g-dev"
            )
        program, source = folder / "sink", peers.ROOT / "bench/sink.c"
        base = [compiler, "-O2", "-o", str(program), str(source)]
        with_zlib = subprocess.run([*base, "-DHAVE_ZLIB", "-lz"], capture_output=True, check=False)
        self.gzip = with_zlib.returncode == 0
        if not self.gzip:
            plain = subprocess.run(base, capture_output=True, text=True, check=False)
            if plain.returncode:
                raise Failed(
                    69, f"bench/sink.c cannot be compiled:\n{plain.stderr}", "apt-get install gcc libc6-dev zlib1g-dev"
                )
        templates = folder / "templates.json"
        templates.write_bytes(peers.templates_answer())
        self._process = subprocess.Popen([program, templates], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = self._process.stdout.readline().split()
        if len(said) != 2:
            raise Failed(70, "the sink did not start", f"{program} {templates}")
        self.port = int(said[1])

    def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read()
        finally:
            connection.close()

    def reset(self, marker: str) -> None:
        """Count anew, documents with this marker apart."""
        self._ask("POST", "/_sink/reset", marker.encode())

    def stats(self) -> dict[str, Any]:
        """The counts since `reset`; see sink.c."""
        told: dict[str, Any] = json.loads(self._ask("GET", "/_sink/stats"))
        return told

    def sample(self) -> Any:
        """The first marked document since `reset`, None where there was none."""
        text = self._ask("GET", "/_sink/sample")
        return json.loads(text) if text else None

    def close(self) -> None:
        """End it."""
        self._process.communicate()
