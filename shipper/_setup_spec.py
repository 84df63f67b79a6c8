"""What `fieldtrail init` asks: the models of `setup` in `mappings/sources/*.yaml` and of `mappings/setup.yaml`.

A source is described by data alone: each question says what it wants to know, where in the product that is found, and
where in the input's section the answer goes.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from shipper._settings import Model

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Kind = Literal["text", "secret", "address", "listen", "networks", "file", "files", "url"]


class QuestionSection(Model):
    """One thing that is asked.

    `ask`: the question; `where`: the sentence that says where in the product the answer is. `into`: the dotted path in
    the input's section that takes it, for a setting of a preset `settings.<name>` unless said otherwise; a secret goes
    to a file, and the file's path to `into`, or a reference to it where `into` does not end in `_file`. `make`: an
    empty answer makes one of so many random bytes. `least`: characters of a secret. `when`: only if the address can be
    reached from other hosts (`exposed`), or has TLS (`secure`).
    """

    ask: Annotated[str, Field(min_length=1)]
    where: Annotated[str, Field(min_length=1)]
    into: str = ""
    type: Kind = "text"
    default: str | None = None
    optional: bool = False
    make: Annotated[int, Field(ge=16, le=64)] | None = None
    least: Annotated[int, Field(ge=1)] = 1
    pattern: str | None = None
    example: str = ""
    when: Literal["exposed", "secure"] | None = None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            re.compile(pattern)
        return pattern


class SetupSection(Model):
    """The questions of one source.

    `title`: what people call it. `needs`: what the account must have, told first. `input`: what of its section is the
    same for everybody. `feeds`: the preset of the poll input that a webhook feeds, if there is one; `fed`: there must
    be. `after`: what is left to do in the product; `{path}` and `{listen}` are filled in.
    """

    title: str = ""
    needs: str = ""
    input: dict[str, Any] = Field(default_factory=dict)
    feeds: str | None = None
    fed: bool = False
    ask: dict[Name, QuestionSection] = Field(default_factory=dict)
    after: tuple[str, ...] = ()


class SetupsSection(Model):
    """The file `mappings/setup.yaml`: the channels that no preset describes.

    `webhook` holds what every webhook is asked; `own` is the one of `--source webhook`, the others are named.
    """

    file: SetupSection
    syslog: SetupSection
    webhook: SetupSection
    webhooks: dict[Name, SetupSection]

    @model_validator(mode="after")
    def _has_own(self) -> SetupsSection:
        if "own" not in self.webhooks:
            raise ValueError("webhooks.own: is required")
        return self
