"""OpenSearch with its security plugin in folders, as a distribution has it, put together from published parts.

    python -m tests.integration.opensearch.distribution --prepare

A distribution gives every module and plugin a class loader of its own. The security plugin brings copies of jars that
modules have too, so it runs in no other layout. Its version is the newest for which the plugin's archive is published;
it is another one than that of server.py.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.opensearch import server
from tests.integration.opensearch.server import ServerError

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "3.4.0"
LOG4J = "2.21.0"
PLUGIN = "opensearch-security"
ARCHIVE = f"org.opensearch.plugin:{PLUGIN}:{VERSION}.0:zip"
# The plugin extends the distribution's module of rules, which is not published; this is what it uses of it.
BESIDE = ("org.apache.commons", "commons-collections4", "4.4")
MODULES = {
    "transport-netty4": ("transport-netty4-client", "org.opensearch.transport.Netty4ModulePlugin"),
    "analysis-common": ("analysis-common", "Analysis"),
    "lang-painless": ("lang-painless", "org.opensearch.painless.PainlessModulePlugin"),
    "reindex": ("reindex-client", "org.opensearch.index.reindex.ReindexModulePlugin"),
    "ingest-common": ("ingest-common", "org.opensearch.ingest.common.IngestCommonModulePlugin"),
    "mapper-extras": ("mapper-extras-client", "org.opensearch.index.mapper.MapperExtrasModulePlugin"),
    "aggs-matrix-stats": (
        "aggs-matrix-stats-client",
        "org.opensearch.search.aggregations.matrix.MatrixAggregationModulePlugin",
    ),
}
"""Name of a module -> its artifact and its class. Those of the distribution that our code has to do with."""

_HERE = Path(__file__).resolve()
_DESCRIPTOR = """description={name}
version={version}
name={name}
classname={classname}
java.version=21
opensearch.version={version}
has.native.controller=false
"""
_PROJECT = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local.fieldtrail</groupId><artifactId>{name}</artifactId><version>1</version><packaging>pom</packaging>
  {content}
</project>
"""
_DEPENDENCY = "<dependency><groupId>{0}</groupId><artifactId>{1}</artifactId><version>{2}</version></dependency>"


def _folder() -> Path:
    cache = server.cache(VERSION)
    return cache / f"secure-{server.digest(_HERE, server.POM, server.LAUNCHER, server.ANALYSIS)}"


def missing() -> str | None:
    """In one line what must be installed before this server can start, or None when nothing is."""
    return server.missing(prepared=_folder().is_dir())


def prepare() -> Path:
    """Fetch and lay out everything that a start needs, unless the cache has it; return the folder."""
    if reason := missing():
        hint = "install that, then python -m tests.integration.opensearch.distribution --prepare"
        raise ServerError("preparing OpenSearch with security", reason, hint)
    server.fill(_folder(), _lay_out)
    return _folder()


def _lay_out(folder: Path) -> None:
    """`lib`, `launcher`, `modules/<name>` and `plugins/<name>`, as a distribution has them."""
    with tempfile.TemporaryDirectory() as scratch:
        fetched = _fetch(Path(scratch))
        shutil.copytree(fetched / "lib", folder / "lib")
        core = {jar.name for jar in (folder / "lib").iterdir()}
        for name, (_, classname) in MODULES.items():
            module = folder / "modules" / name
            # a module sees the jars of `lib`; a second copy of one of them would not be let in
            shutil.copytree(fetched / name, module, ignore=lambda _, names: core.intersection(names))
            text = _DESCRIPTOR.format(name=name, version=VERSION, classname=classname)
            (module / "plugin-descriptor.properties").write_text(text, encoding="utf-8")
        plugin = folder / "plugins" / PLUGIN
        _unpack(next(fetched.glob(f"{PLUGIN}-*.zip")), plugin)
        for jar in (fetched / PLUGIN).iterdir():
            shutil.copy(jar, plugin)
    jars = [*(folder / "lib").glob("*.jar"), *(folder / "modules" / "analysis-common").glob("*.jar")]
    server.compile_java(folder / "launcher", (folder / "lib").glob("*.jar"), server.LAUNCHER)
    with tempfile.TemporaryDirectory() as scratch:
        server.compile_java(Path(scratch), jars, server.ANALYSIS)
        # a module's classes are taken from jars only
        with zipfile.ZipFile(folder / "modules" / "analysis-common" / "thai.jar", "w") as jar:
            for file in Path(scratch).glob("*.class"):
                jar.write(file, file.name)


def _fetch(scratch: Path) -> Path:
    """Fetch the jars of each module by itself, in one run of Maven: `<scratch>/out/<name>/*.jar`, and the archive."""
    out = scratch / "out"
    wanted = {name: [("org.opensearch.plugin", artifact, VERSION)] for name, (artifact, _) in MODULES.items()}
    wanted["lib"] = [
        ("org.opensearch", "opensearch", VERSION),
        ("org.opensearch", "opensearch-plugin-classloader", VERSION),
        ("org.apache.logging.log4j", "log4j-core", LOG4J),
    ]
    wanted[PLUGIN] = [BESIDE]
    for name, dependencies in wanted.items():
        content = "".join(_DEPENDENCY.format(*one) for one in dependencies)
        (scratch / name).mkdir()
        text = _PROJECT.format(name=name, content=f"<dependencies>{content}</dependencies>")
        (scratch / name / "pom.xml").write_text(text, encoding="utf-8")
    modules = "".join(f"<module>{name}</module>" for name in wanted)
    pom = scratch / "pom.xml"
    pom.write_text(_PROJECT.format(name="all", content=f"<modules>{modules}</modules>"), encoding="utf-8")
    goal = f"{server.MAVEN_DEPENDENCY}:copy-dependencies"
    server.maven(goal, "-DincludeScope=runtime", f"-DoutputDirectory={out}/${{project.artifactId}}", pom=pom)
    server.maven(f"{server.MAVEN_DEPENDENCY}:copy", f"-Dartifact={ARCHIVE}", f"-DoutputDirectory={out}")
    return out


def _unpack(archive: Path, folder: Path) -> None:
    """The plugin as it is, less the word that it extends modules: those are not there."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    descriptor = folder / "plugin-descriptor.properties"
    lines = descriptor.read_text(encoding="utf-8").splitlines(keepends=True)
    descriptor.write_text("".join(line for line in lines if not line.startswith("extended.plugins=")), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 done, 69 when it cannot be had."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.integration.opensearch.distribution", description="for tests"
    )
    parser.add_argument("--prepare", action="store_true", required=True, help="fetch and lay out what a start needs")
    parser.parse_args(arguments)
    try:
        print(prepare())
    except ServerError as error:
        print(error, file=sys.stderr)
        return 69
    return 0


if __name__ == "__main__":
    sys.exit(main())
