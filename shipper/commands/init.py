"""`init`: from the name of a source to a configuration that was tried."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import mappings
from shipper.commands._common import tell_steps
from shipper.config import AgentSection, Config, load, parse
from shipper.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from shipper.onboarding.answers import Answers
    from shipper.onboarding.document import Section
    from shipper.onboarding.sources import Wanted


@click.command(
    epilog="Examples: fieldtrail init --source makecom; fieldtrail init --source webhook:greenhouse;"
    " fieldtrail init --source file:sshd --to opensearch"
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME",
    help="What to read (repeatable): an API (makecom, keap, okta …), webhook:NAME, syslog, or a format of log files.",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="[SOURCE.]KEY=VALUE",
    help="An answer, so that nobody is asked (repeatable); of a secret only its file: KEY=@FILE.",
)
@click.option(
    "--to",
    type=click.Choice(["opensearch", "syslog", "store"]),
    help="Where events go, in a new file (default: store).",
)
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=Path("fieldtrail.yaml"),
    show_default=True,
    metavar="FILE",
    help="File to write; to one that is there the sources are added.",
)
@click.option(
    "--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="State folder (default: the user's own)."
)
@click.option("--force", is_flag=True, help="Write a new file over the one that is there.")
@click.option("--no-connect", is_flag=True, help="Do not try the sources at the end.")
def init(
    sources: tuple[str, ...],
    sets: tuple[str, ...],
    to: str | None,
    config_path: Path,
    state_dir: Path | None,
    force: bool,  # noqa: FBT001 - click passes flags so
    no_connect: bool,  # noqa: FBT001 - as above
) -> None:
    """Ask what a source needs, write a commented configuration, create the key, and try what was set up.

    Secrets go to files of their own (0600) below the state folder. Where standard input is no terminal nobody is
    asked: answers come from --set and from the environment (FIELDTRAIL_INIT_<SOURCE>_<KEY>).
    """
    from shipper.onboarding.answers import gather
    from shipper.onboarding.sources import wanted

    found = wanted(sources or ("auto",))
    there = None if force or not os.path.lexists(config_path) else _There(config_path, load(config_path))
    if there is not None and (to is not None or state_dir is not None):
        raise UsageError("init", str(config_path), "already exists, with outputs and a state folder", "leave them out")
    asker = _Terminal() if sys.stdin.isatty() else None
    _check_feeds(found, there)
    answers = gather(found, sets, os.environ, asker, secrets.token_urlsafe)
    found = [
        one if "id" not in given else replace(one, id=str(given["id"].value))
        for one, given in zip(found, answers, strict=True)
    ]
    _check_ids(found, there)
    made = _write(found, answers, there, config_path, state_dir, to or "store", force=force)
    _tell_made(made, config_path, there)
    sys.exit(0 if no_connect else _try(made, config_path))


@dataclass(frozen=True, slots=True)
class _There:
    """A configuration that is there already."""

    path: Path
    config: Config


@dataclass(frozen=True, slots=True)
class _Made:
    """What was written. `files`: of secrets; `shown`: the secrets that were made here, by what they are for."""

    config: Config
    sources: Sequence[Wanted]
    sections: Sequence[Section]
    files: Sequence[Path]
    shown: Sequence[tuple[Wanted, str]]
    to: str | None


class _Terminal:
    """The user at the terminal. Questions go to standard error; a secret is not shown."""

    def say(self, text: str) -> None:
        """Tell something."""
        click.echo(text, err=True)

    def ask(self, prompt: str, *, secret: bool) -> str:
        """The answer; `click.Abort` at Ctrl-C and at the end of the input."""
        answer: str = click.prompt(
            prompt, default="", show_default=False, hide_input=secret, err=True, prompt_suffix=" "
        )
        return answer


def _feed(one: Wanted, found: Sequence[Wanted], there: _There | None) -> str | None:
    """The id of the poll input that a webhook feeds."""
    if one.feeds is None:
        return None
    here = [other.id for other in found if other.input.get("preset") == one.feeds]
    known = there.config.inputs if there is not None else ()
    before = [section.id for section in known if section.type == "poll" and one.feeds in {section.preset, section.id}]
    return next(iter([*here, *before]), None)


def _check_feeds(found: Sequence[Wanted], there: _There | None) -> None:
    for one in found:
        if one.fed and _feed(one, found, there) is None:
            preset = one.feeds in mappings.sources()
            hint = f"fieldtrail init --source {one.feeds} --source {one.name}"
            describe = f"describe its API as an input of type poll with the id {one.feeds}: docs/howto/polling.md"
            cause = "its bodies are not signed: it needs a poll that reads the object again"
            raise UsageError("init", f"--source {one.name}", cause, hint if preset else describe)


def _check_ids(found: Sequence[Wanted], there: _There | None) -> None:
    known = {section.id for section in there.config.inputs} if there is not None else set()
    for one in found:
        if one.id in known or sum(one.id == other.id for other in found) > 1:
            place = str(there.path) if there is not None else f"--source {one.name}"
            hint = f"--set {one.name}.id={one.id}-2 for another one, --force for a new file"
            raise UsageError("init", place, f"an input {one.id} already exists", hint)


def _write(
    found: Sequence[Wanted],
    answers: Sequence[Answers],
    there: _There | None,
    path: Path,
    state_dir: Path | None,
    to: str,
    *,
    force: bool,
) -> _Made:
    """Everything or nothing: the key, the secrets, the file."""
    from shipper.onboarding import document
    from shipper.onboarding.writing import Undo, hand_over, keep_secret, write
    from shipper.seal import keys
    from shipper.state_folder import prepare_folder

    if there is not None:
        folder = there.config.agent.state_dir
    else:
        folder = state_dir.resolve() if state_dir is not None else AgentSection().state_dir
    if prepare_folder(folder):
        keys.create_identity(folder / "keys")
        hand_over(folder / "keys")
    with Undo() as undo:
        items, made, shown = [], [], []
        for one, given in zip(found, answers, strict=True):
            files: dict[str, Path] = {}
            for key, answer in given.items():
                if one.asked.get(key) is None or one.asked[key].type != "secret":
                    continue
                files[key] = answer.file or keep_secret(folder / "secrets", f"{one.id}.{key}", str(answer.value), undo)
                made += [] if answer.file else [files[key]]
                shown += [(one, str(answer.value))] if answer.made else []
            items.append((one, document.section_of(one, given, files, _feed(one, found, there))))
        if there is None:
            text: str | None = document.new(items, to, None if state_dir is None else folder)
        else:
            text = document.added(there.path.read_text(encoding="utf-8"), items)
        if text is not None:
            config = _checked(text, path)
            write(path, text, over=force or there is not None)
            return _Made(config, found, [section for _, section in items], made, shown, to if there is None else None)
    # What cannot be added stands here; its secrets are kept, since it names them.
    click.echo("inputs:")
    for one, section in items:
        click.echo(document.written(one, section, 2), nl=False)
    for one, secret in shown:
        click.echo(f"secret of {one.id}, shown once: {secret}")
    raise UsageError(
        "init",
        str(path),
        "its inputs are not written one below the other, so that none can be added",
        "paste the above",
    )


def _checked(text: str, path: Path) -> Config:
    from shipper.build import Lanes

    config = parse(text, str(path))
    Lanes(config, str(path), os.urandom)
    return config


def _tell_made(made: _Made, path: Path, there: _There | None) -> None:
    names = ", ".join(one.id for one in made.sources)
    click.echo(f"wrote {path}" if there is None else f"added {names} to {path}")
    for file in made.files:
        click.echo(f"secret in {file}")
    folder = made.config.agent.state_dir / "keys"
    click.echo(f"signing key {_key(folder, path)} in {folder}")
    click.echo(f"{path}: the configuration is valid")
    for one, section in zip(made.sources, made.sections, strict=True):
        lines = [f"  {line}" for line in _to_do(one, section)]
        lines += [f"  The secret, shown once: {secret}" for of, secret in made.shown if of is one]
        if lines:
            click.echo(f"\n{one.title}: left to do\n" + "\n".join(lines))


def _key(folder: Path, path: Path) -> str:
    """Its fingerprint; or who can tell it: root reads no key that belongs to the agent's own user."""
    from shipper.seal import keys
    from shipper.seal.note import public_bytes

    if os.geteuid() == 0 and folder.exists() and (whose := folder.stat().st_uid) != 0:
        return f"(sudo -u '#{whose}' fieldtrail keys show -c {path})"
    return keys.fingerprint(public_bytes(keys.load_identity(folder)))


def _to_do(one: Wanted, section: Section) -> Iterator[str]:
    listen: Any = section.get("listen", "")
    values = {"path": section.get("path", ""), "listen": listen if isinstance(listen, str) else ", ".join(listen)}
    for line in one.after:
        # Files that came with the program, wherever it was installed.
        text = line.replace("mappings/", f"{Path(mappings.__file__).parent}/")
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        yield text


def _try(made: _Made, path: Path) -> int:
    """Try what was set up, as `validate --connect` does; its exit code."""
    from shipper.connect import input_steps

    ids = {one.id for one in made.sources}
    click.echo("")
    try:
        failed = tell_steps(input_steps(made.config, [one for one in made.config.inputs if one.id in ids]))
    except ConfigError as error:
        click.echo(error.render(), err=True)
        failed = True
    again = f"fieldtrail validate -c {path} --connect"
    if failed:
        said = f"mend what failed; what was written stays; try it again: {again}"
    elif made.to in {"opensearch", "syslog"}:
        said = f"name the address below outputs, then: {again}"
    elif made.to is None:
        said = f"systemctl reload fieldtrail where the agent runs already, or: fieldtrail run -c {path}"
    else:
        said = f"fieldtrail run -c {path}"
    click.echo(f"next: {said}")
    return 69 if failed else 0
