"""The answers: given with `--set` or in the environment, else asked for one by one, each checked when it is given."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final, Protocol

from shipper._poll_spec import url_problem
from shipper._setup_spec import QuestionSection
from shipper.errors import UsageError
from shipper.input_sections import host_and_port, syslog_address
from shipper.onboarding.sources import Wanted

PREFIX: Final = "FIELDTRAIL_INIT_"
_LONGEST: Final = 16_384


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes into the section, or a secret. `file`: where the secret lies already; `made`: it was made here."""

    value: str | tuple[str, ...]
    file: Path | None = None
    made: bool = False


Answers = dict[str, Answer]
"""By the word of the question."""


class Asker(Protocol):
    """Somebody at a terminal."""

    def say(self, text: str) -> None:
        """Tell something."""

    def ask(self, prompt: str, *, secret: bool) -> str:
        """The answer, empty for the usual one; a secret is not shown."""


class MissingAnswersError(UsageError):
    """Answers that are missing or wrong, and nobody is there to be asked; all of them, and how each can be given."""

    def __init__(self, cause: str, lines: Sequence[str]) -> None:
        super().__init__("init", "", cause, "run it on a terminal to be asked, or give them as said above")
        self.lines = tuple(lines)

    def render(self) -> str:
        """As the base, with a line for each before the hint."""
        return "\n".join([f"error: {self}", *(f"  {line}" for line in self.lines), f"hint: {self.hint}"])


def variable(one: Wanted, key: str) -> str:
    """The environment variable that can hold an answer."""
    return PREFIX + re.sub(r"[^A-Z0-9]", "_", f"{one.id}_{key}".upper())


def gather(
    sources: Sequence[Wanted],
    sets: Sequence[str],
    env: Mapping[str, str],
    asker: Asker | None,
    random_text: Callable[[int], str],
) -> list[Answers]:
    """The answers of each source. `asker`: None where nobody can be asked; `random_text`: of so many random bytes.

    Raises `UsageError` for what cannot be an answer, with everything that is wrong or missing at once.
    """
    lines: list[str] = []
    given = _given(sources, sets)
    ready: dict[tuple[int, str], Answer] = {}
    for number, one in enumerate(sources):
        for key, question in one.questions.items():
            typed = given.get((number, key))
            text = env.get(variable(one, key)) if typed is None else typed
            if text is None or (question.optional and not text.strip()):
                continue
            result = _open_secret(question, typed or "") or _taken(question, text, random_text)
            if isinstance(result, Answer):
                ready[number, key] = result
            else:
                lines.append(f"{one.name}.{key}: {result}")
    if asker is not None:
        _complain(lines)  # before anybody types
    collected: list[Answers] = []
    for number, one in enumerate(sources):
        found: Answers = {}
        title = asker
        for key, question in one.questions.items():
            there = ready.get((number, key))
            if not _applies(question, found):
                if (number, key) in given:
                    lines.append(f"{one.name}.{key}: is not used with this address; leave it out")
            elif there is not None:
                found[key] = there
            elif key in one.extra or (number, key) in given:
                continue
            elif asker is not None:
                if title is not None:
                    asker.say(f"\n{one.title}" + (f"\n  Note: {one.needs}" if one.needs else ""))
                    title = None
                answer = _asked(asker, question, key, random_text)
                found |= {} if answer is None else {key: answer}
            elif question.make is not None or question.default is not None:
                result = _taken(question, "", random_text)
                assert isinstance(result, Answer), f"{one.name}.{key}: the usual answer cannot be used: {result}"
                found[key] = result
            elif not question.optional and variable(one, key) not in env:
                lines += _missing(one, key, question)
        collected.append(found)
    _complain(lines)
    return collected


def _complain(lines: Sequence[str]) -> None:
    if lines:
        missing = any("is missing" in line for line in lines)
        cause = "answers are missing, and standard input is no terminal" if missing else "answers cannot be used"
        raise MissingAnswersError(cause, lines)


def _missing(one: Wanted, key: str, question: QuestionSection) -> Iterator[str]:
    value = "@FILE" if question.type == "secret" else question.example or "…"
    yield f"{one.name}.{key} is missing: {question.ask}: {question.where}"
    yield f"    --set {one.name}.{key}={value}, or the environment variable {variable(one, key)}"


def _given(sources: Sequence[Wanted], sets: Sequence[str]) -> dict[tuple[int, str], str]:
    """`--set [SOURCE.]KEY=VALUE` by the source's number and the key."""
    found: dict[tuple[int, str], str] = {}
    for text in sets:
        left, equals, value = text.partition("=")
        place, _, key = left.rpartition(".")
        if not equals or not key:
            raise UsageError("init", "--set", "not KEY=VALUE", "--set okta.domain=acme.okta.example")
        about = [
            number
            for number, one in enumerate(sources)
            if place in {one.name, one.id} or (not place and key in one.questions)
        ]
        if place and not any(place in {one.name, one.id} for one in sources):
            raise UsageError("init", f"--set {left}", f"there is no --source {place}", _near(place, sources, ""))
        if not about or not all(key in sources[number].questions for number in about):
            raise UsageError("init", f"--set {left}", "nothing asks for it", _near(key, sources, place))
        if len(about) > 1:
            several = " or ".join(f"{sources[number].name}.{key}" for number in about)
            raise UsageError("init", f"--set {left}", "several sources ask for it", f"--set {several}")
        if (about[0], key) in found:
            raise UsageError("init", f"--set {left}", "is there twice", "leave one out")
        found[about[0], key] = value
    return found


def _near(word: str, sources: Sequence[Wanted], place: str) -> str:
    known = [
        f"{one.name}.{key}" if place or len(sources) > 1 else key
        for one in sources
        if place in {"", one.name, one.id}
        for key in (*one.asked, *one.extra)
    ]
    near = get_close_matches(f"{place}.{word}" if place else word, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _open_secret(question: QuestionSection, text: str) -> str:
    """What is wrong with a secret on the command line."""
    if question.type != "secret" or not text or text.startswith("@"):
        return ""
    return "a secret on the command line is seen by everybody on this machine; write it to a file: =@FILE"


def _applies(question: QuestionSection, found: Answers) -> bool:
    """Whether it is to be asked, with the addresses that were answered."""
    if question.when is None:
        return True
    listen = found.get("listen")
    texts = () if listen is None else (listen.value,) if isinstance(listen.value, str) else listen.value
    if question.when == "secure":
        return any(text.startswith(("tls://", "relps://")) for text in texts)
    hosts = [host_and_port(text.rpartition("//")[2])[0] for text in texts]
    return any(not ip_address(host).is_loopback for host in hosts)


def _asked(asker: Asker, question: QuestionSection, key: str, random_text: Callable[[int], str]) -> Answer | None:
    """Ask until the answer can be used; None for one that may be left out and was."""
    asker.say(f"\n  {question.ask}\n    {question.where}")
    usual = "" if question.default is None or question.make is not None else f" [{question.default}]"
    hidden = " (not shown; or @FILE)" if question.type == "secret" else ""
    while True:
        text = asker.ask(f"  {key}{hidden}{usual}:", secret=question.type == "secret")
        if not text.strip() and question.optional and question.default is None:
            return None
        result = _taken(question, text, random_text)
        if isinstance(result, Answer):
            return result
        asker.say(f"    {result}")


def _taken(question: QuestionSection, text: str, random_text: Callable[[int], str]) -> Answer | str:
    """The answer, or what is wrong with it."""
    text = text.strip()
    if not text and question.make is not None:
        return Answer((question.default or "") + random_text(question.make), made=True)
    if not text and question.default is not None:
        text = question.default
    if not text:
        return "an answer is needed"
    if len(text) > _LONGEST or not text.isprintable():
        return "too long, or with characters that cannot be printed"
    if question.type == "secret":
        return _secret(question, text)
    if "${" in text:
        return "must not hold ${: that would be a reference"
    return _checked(question, text)


def _secret(question: QuestionSection, text: str) -> Answer | str:
    file = None
    if text.startswith("@"):
        file = _absolute(text[1:])
        try:
            text = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            return f"cannot read {file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}"
        if not text:
            return f"{file} is empty"
    if len(text) < question.least:
        return f"fewer than {question.least} characters: it can be guessed"
    return Answer("" if file else text, file)


def _absolute(text: str) -> Path:
    """A path as it is given, from the root on; a link stays one, since what it leads to may be exchanged."""
    return Path(text).expanduser().absolute()


def _checked(question: QuestionSection, text: str) -> Answer | str:
    kind = question.type
    parts = tuple(part for part in re.split(r"\s*,\s*" if kind == "files" else r"[,\s]+", text) if part)
    try:
        if kind == "address":
            host_and_port(text)
        elif kind == "listen":
            for part in parts:
                syslog_address(part)
            return Answer(parts)
        elif kind == "networks":
            for part in parts:
                ip_network(part)
            return Answer(parts)
    except ValueError as error:
        return str(error)
    if kind == "url":
        return url_problem(text) or Answer(text)
    if kind == "file":
        path = _absolute(text)
        return Answer(str(path)) if path.is_file() and os.access(path, os.R_OK) else f"cannot read {path}"
    if kind == "files":
        paths = [_absolute(part) for part in parts]
        folder = next((path for path in paths if path.is_dir()), None)
        return f"{folder} is a directory; write {folder}/*" if folder else Answer(tuple(map(str, paths)))
    if question.pattern is not None and not re.fullmatch(question.pattern, text):
        return "does not look like one" + (f"; for example {question.example}" if question.example else "")
    return Answer(text)
