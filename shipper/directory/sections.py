"""The section `directory` of the configuration: one model for each kind of list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from shipper._settings import Id, Model, Seconds, stays_here
from shipper.directory.people import COLUMNS
from shipper.output_sections import TlsSection

Refresh = Annotated[Seconds, Field(ge=1, le=7 * 86400)]
Separator = Annotated[str, Field(min_length=1, max_length=1)]


class CsvDirectorySection(Model):
    """People in a CSV file. `columns`: our name -> the header's. `module`: whose ids stand in `accounts`."""

    id: Id
    type: Literal["csv"]
    path: Path
    columns: dict[str, str] = Field(default_factory=dict)
    separator: Separator = ","
    module: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_-]{0,63})?$")] = ""
    refresh: Refresh = 60.0

    @field_validator("columns")
    @classmethod
    def _are_ours(cls, columns: dict[str, str]) -> dict[str, str]:
        odd = [name for name in columns if name not in COLUMNS]
        if odd:
            raise ValueError(f"{odd[0]}: no such column; there are {', '.join(COLUMNS)}")
        return columns


class LabelsDirectorySection(Model):
    """What ids are called, in a CSV file with the columns field, id, label and perhaps module."""

    id: Id
    type: Literal["labels"]
    path: Path
    separator: Separator = ","
    refresh: Refresh = 60.0


class VendorDirectorySection(Model):
    """People as a vendor lists them: in a file with what its API answered, or asked of the API itself."""

    id: Id
    path: Path | None = None
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+/?$")] | None = None
    token: SecretStr | None = None
    token_file: Path | None = None
    tls: TlsSection = TlsSection()
    timeout: Annotated[Seconds, Field(ge=1, le=300)] = 30.0
    refresh: Refresh = 3600.0

    @model_validator(mode="after")
    def _has_one_place(self) -> VendorDirectorySection:
        if (self.path is None) == (self.url is None):
            raise ValueError("give path (a file with the API's answer) or url (the API itself)")
        given = (self.token is not None) + (self.token_file is not None)
        if given != (self.url is not None):
            raise ValueError("with url give token or token_file, with path neither")
        if self.url is not None and self.url.startswith("http:") and not stays_here(self.url):
            raise ValueError("url: http:// would show the token to everybody on the way; write https://")
        return self


class OktaDirectorySection(VendorDirectorySection):
    """Okta's users. `url`: https://<org>.okta.com; `token`: an API token of a read-only administrator."""

    type: Literal["okta"]


class BamboohrDirectorySection(VendorDirectorySection):
    """BambooHR's company directory. `url`: https://<company>.bamboohr.com; `token`: an API key."""

    type: Literal["bamboohr"]


class GoogleDirectorySection(VendorDirectorySection):
    """Google Workspace's users.

    `url`: https://admin.googleapis.com; `token`: an access token with the scope `admin.directory.user.readonly`. Such a
    token lasts an hour: `token_file`, written anew by whatever fetches it, is read for each refresh.
    """

    type: Literal["google_workspace"]


class LabelListSection(VendorDirectorySection):
    """What ids are called, in JSON that a vendor's API answers: its stages, owners, custom fields.

    `items`: where the list is, `*` for each item (`results.*.stages.*`, `*`); in each of them `id_at` is the id, and
    `label` what it is called, a path or a text with paths in braces. They belong to values of `field` of events of
    `module`. `next`: where an answer names the address of the next page. `authorization`: the header, with `{token}`.
    """

    type: Literal["label_list"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s#@]+$")] | None = None
    authorization: Annotated[str, Field(pattern=r"^[^\r\n]*\{token\}[^\r\n]*$")] = "Bearer {token}"
    module: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_-]{0,63})?$")] = ""
    field: Annotated[str, Field(min_length=1, max_length=200)]
    items: str = "*"
    id_at: Annotated[str, Field(min_length=1)] = "id"
    label: Annotated[str, Field(min_length=1)] = "label"
    next: str = ""


DirectorySection = Annotated[
    CsvDirectorySection
    | LabelsDirectorySection
    | LabelListSection
    | OktaDirectorySection
    | BamboohrDirectorySection
    | GoogleDirectorySection,
    Field(discriminator="type"),
]
BY_TYPE: Final[Mapping[str, type[Model]]] = {
    "csv": CsvDirectorySection,
    "labels": LabelsDirectorySection,
    "label_list": LabelListSection,
    "okta": OktaDirectorySection,
    "bamboohr": BamboohrDirectorySection,
    "google_workspace": GoogleDirectorySection,
}
