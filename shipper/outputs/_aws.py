"""AWS Signature Version 4 for domains of Amazon OpenSearch Service; the only module that knows botocore (extra `aws`).

botocore finds the credentials where every AWS tool does (environment, profile, container, instance) and renews those
that expire. Signed are the host and the headers `x-amz-*`, among them the hash of the body as it is sent.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from typing import Any

from shipper.errors import ConfigError
from shipper.outputs._opensearch_errors import DeniedError

_HINT = "aws sts get-caller-identity"


class Aws:
    """Signs for `region`; `profile`: one of the AWS configuration files, None = the usual search.

    `ConfigError` where botocore is not installed or does not know the profile.
    """

    def __init__(self, region: str, *, profile: str | None = None, service: str = "es") -> None:
        try:
            import botocore.session  # noqa: PLC0415 - an extra; importing it costs as much as a small start
        except ImportError:
            raise ConfigError(
                "sign for AWS", "auth.aws", "botocore is not installed", "pip install 'fieldtrail[aws]'"
            ) from None
        self.version = 0
        self._region, self._profile, self._service = region, profile, service
        self._lock = threading.Lock()
        self._credentials: Any = None
        if profile is not None and profile not in botocore.session.Session().available_profiles:
            raise ConfigError("sign for AWS", "auth.aws.profile", f"no profile {profile!r}", "aws configure list")

    def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """The signature and what belongs to it; valid for some minutes from now."""
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - see above
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - see above

        with self._lock:
            if self._credentials is None:
                self._credentials = self._found()
            frozen = self._frozen(self._credentials)
        digest = hashlib.sha256(body or b"").hexdigest()
        request = AWSRequest(method=method, url=url, headers={"X-Amz-Content-SHA256": digest})
        SigV4Auth(frozen, self._service, self._region).add_auth(request)
        return {name.lower(): str(value) for name, value in request.headers.items()}

    def renew(self, seen: int) -> bool:
        """See `Credentials.renew`: the search for credentials begins anew."""
        with self._lock:
            if self.version == seen:
                found = self._found()
                if self._credentials is not None and self._frozen(found) == self._frozen(self._credentials):
                    return False
                self._credentials = found
                self.version += 1
            return True

    def _found(self) -> Any:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see above
        from botocore.session import Session  # noqa: PLC0415 - see above

        try:
            found = Session(profile=self._profile).get_credentials()
        except (BotoCoreError, OSError) as error:
            raise _denied(error) from None
        if found is None:
            raise DeniedError("sign for AWS", self._region, "no AWS credentials were found", _HINT)
        return found

    @staticmethod
    def _frozen(credentials: Any) -> Any:
        """The three parts at one moment: asked for one by one, they might be renewed in between."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see above

        try:
            return credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError, OSError) as error:
            raise _denied(error) from None


def _denied(error: Exception) -> DeniedError:
    """Its class says enough: the text may hold parts of a credential."""
    return DeniedError("sign for AWS", "", f"credentials cannot be read ({type(error).__name__})", _HINT)
