"""How the agent shows who it is: `auth` of outputs of type `opensearch` and `http`, and `hmac`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator

from shipper._settings import Model


def _one_secret(*given: object) -> None:
    if sum(one is not None for one in given) != 1:
        raise ValueError("give the secret or its file, exactly one of them")


class BasicAuth(Model):
    """User name and password; a file is read again when the password is not accepted."""

    username: str
    password: SecretStr | None = None
    password_file: Path | None = None

    @model_validator(mode="after")
    def _has_one(self) -> BasicAuth:
        _one_secret(self.password, self.password_file)
        return self


class ApiKeyAuth(Model):
    """An API key of OpenSearch's security plugin; a file is read again when the key is not accepted."""

    token: SecretStr | None = None
    token_file: Path | None = None

    @model_validator(mode="after")
    def _has_one(self) -> ApiKeyAuth:
        _one_secret(self.token, self.token_file)
        return self


class AwsAuth(Model):
    """Requests signed for Amazon OpenSearch Service, with the credentials that every AWS tool finds."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{3,40}$")]
    service: str = "es"
    profile: str | None = None

    @field_validator("service")
    @classmethod
    def _supported(cls, service: str) -> str:
        if service == "aoss":
            raise ValueError("must be es: OpenSearch Serverless cannot be refreshed, so doubles could not be found")
        if service != "es":
            raise ValueError("must be es")
        return service


class AuthSection(Model):
    """How the agent shows who it is."""

    basic: BasicAuth | None = None
    api_key: ApiKeyAuth | None = None
    aws: AwsAuth | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> AuthSection:
        if sum(one is not None for one in (self.basic, self.api_key, self.aws)) > 1:
            raise ValueError("give one of basic, api_key and aws")
        return self


def auth_problems(path: str, auth: AuthSection) -> list[tuple[str, str]]:
    """(path, text) of what a model cannot see: files that must be readable, an extra that must be installed."""
    files = {
        "basic.password_file": auth.basic.password_file if auth.basic else None,
        "api_key.token_file": auth.api_key.token_file if auth.api_key else None,
    }
    problems = [
        (f"{path}.{key}", f"cannot read {file}")
        for key, file in files.items()
        if file is not None and not os.access(file, os.R_OK)
    ]
    if auth.aws is not None and find_spec("botocore") is None:
        problems.append((f"{path}.aws", "botocore is not installed: pip install 'fieldtrail[aws]'"))
    return problems


# -- an output of type `http` ------------------------------------------------------------------------------------------


class BearerAuth(Model):
    """A token in the header `Authorization` (RFC 6750); a file is read again when the token is not accepted."""

    token: SecretStr | None = None
    token_file: Path | None = None

    @model_validator(mode="after")
    def _has_one(self) -> BearerAuth:
        _one_secret(self.token, self.token_file)
        return self


class HttpAuthSection(Model):
    """How an HTTP receiver knows the agent."""

    basic: BasicAuth | None = None
    bearer: BearerAuth | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> HttpAuthSection:
        if self.basic is not None and self.bearer is not None:
            raise ValueError("give one of basic and bearer")
        return self


class HmacSection(Model):
    """A signature of each request, by which the receiver knows that the body is ours and when it was sent."""

    secret: SecretStr | None = None
    secret_file: Path | None = None
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "X-Fieldtrail-Signature"

    @model_validator(mode="after")
    def _has_one(self) -> HmacSection:
        _one_secret(self.secret, self.secret_file)
        return self


def http_problems(path: str, auth: HttpAuthSection, hmac: HmacSection | None) -> list[tuple[str, str]]:
    """(path, text) of the files with secrets that cannot be read."""
    files = {
        "auth.basic.password_file": auth.basic.password_file if auth.basic else None,
        "auth.bearer.token_file": auth.bearer.token_file if auth.bearer else None,
        "hmac.secret_file": hmac.secret_file if hmac else None,
    }
    return [
        (f"{path}.{key}", f"cannot read {file}")
        for key, file in files.items()
        if file is not None and not os.access(file, os.R_OK)
    ]
