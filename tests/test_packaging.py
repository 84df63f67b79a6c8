"""What is installed: the wheel holds the three packages with their data, and nothing else; the unit and its scripts."""

import configparser
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from shipper.config import AgentSection, load
from shipper.errors import ConfigError, UsageError
from tests.components import absent
from tools.packaging import build
from tools.packaging.build import platforms, requirements

ROOT = Path(__file__).resolve().parent.parent
PACKAGING = ROOT / "tools" / "packaging"
EXPOSURE = 1.6
"""The unit's score as systemd 252 gives it, of 10 (the less the better)."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_module_and_every_data_file(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("shipper", "parsers", "mappings"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert str(path.relative_to(ROOT)) in names


def test_the_wheel_holds_nothing_else(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"shipper", "parsers", "mappings"}


def test_the_wheel_names_its_command_its_licence_and_its_pythons(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    text = archive.read(metadata).decode()
    assert "License-Expression: Apache-2.0" in text
    assert "Requires-Python: >=3.11" in text
    (entries,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "fieldtrail = shipper.cli:main" in archive.read(entries).decode()


def test_the_packages_that_are_imported_are_ours():
    import mappings
    import parsers
    import shipper

    for package in (mappings, parsers, shipper):
        assert Path(package.__file__).resolve().parent.parent == ROOT


# -- the unit ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def unit(tmp_path):
    """The unit with programs that are there before the package is installed."""
    if shutil.which("systemd-analyze") is None:
        absent("no systemd-analyze: apt-get install systemd")
    text = (PACKAGING / "fieldtrail.service").read_text()
    for program in ("/usr/bin/fieldtrail", "/opt/fieldtrail/rebuild"):
        assert program in text
        text = text.replace(program, "/bin/true")
    path = tmp_path / "fieldtrail.service"
    path.write_text(text)
    return path


def analyze(*words):
    return subprocess.run(["systemd-analyze", "--no-pager", *words], capture_output=True, text=True, check=False)


def test_systemd_has_nothing_against_the_unit(unit):
    done = analyze("verify", "--man=no", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_is_as_well_shut_as_was_measured(unit):
    done = analyze("security", "--offline=true", f"--threshold={round(EXPOSURE * 10)}", str(unit))
    assert done.returncode == 0, done.stdout


def test_the_unit_waits_longer_than_the_agent_and_restarts_where_that_helps():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(PACKAGING / "fieldtrail.service")
    service = parser["Service"]
    assert int(service["TimeoutStopSec"]) > AgentSection.model_fields["shutdown_grace"].default
    assert set(service["RestartPreventExitStatus"].split()) == {str(UsageError.exit_code), str(ConfigError.exit_code)}
    assert service["Restart"] == "always" and service["SuccessExitStatus"] == "75"
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == "CAP_DAC_READ_SEARCH"


# -- the packages ------------------------------------------------------------------------------------------------------


def test_the_packaged_configuration_is_right_and_reads_nothing_yet(tmp_path):
    config = load(PACKAGING / "fieldtrail.yaml")
    assert config.inputs == () and config.agent.state_dir == Path("/var/lib/fieldtrail")
    text = (PACKAGING / "fieldtrail.yaml").read_text()
    for commented in ("# inputs:\n#   - {id", "  # - {id: archive", "  # - {id: siem"):
        assert commented in text
        text = text.replace(commented, commented.replace("# ", "", 1).replace("\n#", "\n"))
    (tmp_path / "all.yaml").write_text(text)
    whole = load(tmp_path / "all.yaml")
    assert (len(whole.inputs), len(whole.outputs)) == (1, 3), "what it has as comments is right as well"


def test_every_file_of_the_packages_is_there_and_every_script_is_plain_sh():
    config = yaml.safe_load((PACKAGING / "nfpm.yaml").read_text())
    own = [ROOT / part["src"] for part in config["contents"] if "${" not in part.get("src", "${")]
    own += [ROOT / path for path in config["scripts"].values()]
    for path in own:
        assert path.is_file(), path
        if path.suffix == ".sh":
            assert path.read_text().startswith("#!/bin/sh\n")
            done = subprocess.run(["sh", "-n", path], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), path
    modes = {part["dst"]: part.get("file_info", {}).get("mode") for part in config["contents"]}
    assert modes["/opt/fieldtrail/rebuild"] == modes["/usr/bin/fieldtrail"] == 0o755
    assert modes["/etc/fieldtrail/fieldtrail.yaml"] == 0o640


def test_the_wheels_of_each_python_are_those_that_its_markers_ask_for():
    text = (ROOT / "requirements" / "runtime.txt").read_text()
    names = {
        python: {line.split("==")[0] for line in requirements(text, python, "x86_64")} for python in ("3.11", "3.14")
    }
    assert names["3.11"] - names["3.14"] == {"backports-zstd"}
    assert names["3.14"] < names["3.11"]
    assert all("--hash=sha256:" in line for line in requirements(text, "3.12", "aarch64"))


def test_wheels_are_taken_that_run_on_an_older_system_too():
    tags = platforms("x86_64")
    assert tags[0] == "manylinux_2_28_x86_64" and "manylinux_2_17_x86_64" in tags and "manylinux2014_x86_64" in tags


def test_the_package_says_which_wheels_are_its_own(tmp_path, monkeypatch):
    asked = []

    def run(*words):
        asked.append(words)
        (tmp_path / "wheels" / "pip-99-py3-none-any.whl").touch()

    monkeypatch.setattr(build, "run", run)
    (tmp_path / "wheels").mkdir()
    build.download(tmp_path, ["3.11", "3.14"], "x86_64")
    assert (tmp_path / "pip-wheel").read_text() == "pip-99-py3-none-any.whl\n"
    text = (ROOT / "requirements" / "runtime.txt").read_text()
    for python, words in zip(("3.11", "3.14"), asked, strict=True):
        lines = (tmp_path / f"requirements-{python}.txt").read_text().splitlines()
        assert lines == requirements(text, python, "x86_64")
        assert not any(line.startswith("pip==") for line in lines), "pip is not in the environment that it makes"
        assert words[-1] == str(PACKAGING / "pip.txt"), "and it is downloaded all the same"
    sources = {
        part.get("src", "").removeprefix("${FIELDTRAIL_STAGE}/")
        for part in yaml.safe_load((PACKAGING / "nfpm.yaml").read_text())["contents"]
    }
    assert {"pip-wheel", "requirements-*.txt"} <= sources


def wheel_of(folder, name, version, files, needs=""):
    """A wheel that pip takes; its path."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in files.items():
            archive.writestr(inner, text)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def installed(tmp_path):
    """What lies in /opt/fieldtrail while an rpm is upgraded: the wheels of this version, and of the one before."""
    asked = ["/usr/bin/python3", "-I", "-S", "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"]
    try:
        which = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        absent("no /usr/bin/python3 with the venv module: apt-get install python3")
    home = tmp_path / "home"
    wheels = home / "wheels"
    wheels.mkdir(parents=True)
    shutil.copy(PACKAGING / "rebuild.sh", home / "rebuild")
    found = importlib.util.find_spec("pip")
    if found is None or found.origin is None:
        absent("no pip in this environment: python -m ensurepip")
    pip = Path(found.origin).parent
    with zipfile.ZipFile(wheels / "pip-50-py3-none-any.whl", "w") as archive:
        for path in pip.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(pip.parent))
    (wheels / "pip-100-py3-none-any.whl").write_text("of the version before")
    wanted = wheel_of(wheels, "dependency", "1.0", {"dependency.py": "VERSION = '1.0'\n"})
    wheel_of(wheels, "dependency", "2.0", {"dependency.py": "VERSION = '2.0'\n"})
    main = "import dependency\nprint(dependency.VERSION)\n"
    for version in ("0.1", "0.2"):
        files = {"shipper/__init__.py": "", "shipper/__main__.py": main}
        wheel_of(wheels, "fieldtrail", version, files, "Requires-Dist: dependency\n")
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    (home / f"requirements-{which}.txt").write_text(f"dependency==1.0 --hash=sha256:{digest}\n")
    (home / "version").write_text("0.1\n")
    (home / "pythons").write_text(f"{which}\n")
    (home / "pip-wheel").write_text("pip-50-py3-none-any.whl\n")
    return home


def rebuilt(home):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    return subprocess.run(
        ["sh", home / "rebuild"],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "PIP_CONFIG_FILE": "/dev/null"},
    )


def test_an_upgrade_takes_its_own_wheels_though_newer_ones_lie_beside_them(installed):
    done = rebuilt(installed)
    assert (done.returncode, done.stderr) == (0, "")
    python = installed / "venv" / "bin" / "python"
    ran = subprocess.run([python, "-I", "-m", "shipper"], capture_output=True, text=True, check=False)
    assert ran.stdout == "1.0\n"
    assert (installed / "venv" / "version").read_text() == "0.1\n"
    assert not list((installed / "venv").glob("lib/python*/site-packages/pip"))


def test_a_wheel_that_is_not_the_one_that_was_packed_is_not_installed(installed):
    wheel_of(installed / "wheels", "dependency", "1.0", {"dependency.py": "VERSION = 'other'\n"})
    done = rebuilt(installed)
    assert done.returncode != 0 and "HASH" in done.stderr.upper()
    assert not (installed / "venv").exists() and not list((installed / "venvs").iterdir())


@pytest.mark.parametrize("kept", [True, False], ids=["there", "deleted"])
def test_an_upgrade_minds_no_configuration_that_was_deleted(tmp_path, kept):
    text = (PACKAGING / "postinstall.sh").read_text()
    for place in ("/etc/fieldtrail", "/opt/fieldtrail", "/var/lib/fieldtrail", "/var/log/fieldtrail", "/run/systemd"):
        assert place in text
        text = text.replace(place, f"{tmp_path}{place}")
    (tmp_path / "postinstall").write_text(text)
    for folder in ("etc/fieldtrail", "opt/fieldtrail", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    configuration = tmp_path / "etc" / "fieldtrail" / "fieldtrail.yaml"
    if kept:
        configuration.touch()
    # Instead of the programs that need root. They say that they were called; chgrp fails without a file, as the real one.
    said = f'echo "$(basename "$0") $*" >>{tmp_path}/said\n'
    for program in ("bin/systemd-sysusers", "bin/install", "bin/chgrp", "opt/fieldtrail/rebuild"):
        more = '[ -e "$2" ]\n' if program == "bin/chgrp" else ""
        (tmp_path / program).write_text(f"#!/bin/sh\n{said}{more}")
        (tmp_path / program).chmod(0o755)
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    done = subprocess.run(
        ["sh", tmp_path / "postinstall", "2"], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "said").read_text().splitlines()
    assert lines[-1].startswith("rebuild")
    assert (f"chgrp fieldtrail {configuration}" in lines) is kept
