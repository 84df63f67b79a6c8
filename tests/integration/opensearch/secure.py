"""A real single-node OpenSearch with its security plugin, on the loopback interface: HTTPS, logins, roles.

Nobody is known to a new server but the holder of the certificate that is made for it; through that the user `admin` is
made, with a password by chance. The users, roles and certificates of demonstrations are left out.
"""

from __future__ import annotations

import base64
import functools
import http.client
import json
import secrets
import shutil
import ssl
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme
from cryptography import x509

from tests.integration.opensearch import distribution, server
from tests.integration.opensearch.distribution import PLUGIN
from tests.integration.opensearch.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONFIG = {
    "config.yml": """
_meta: {type: config, config_version: 2}
config:
  dynamic:
    authc:
      basic_internal_auth_domain:
        http_enabled: true
        transport_enabled: false
        order: 0
        http_authenticator: {type: basic, challenge: true}
        authentication_backend: {type: internal}
""",
    "internal_users.yml": "_meta: {type: internalusers, config_version: 2}\n",
    "roles_mapping.yml": "_meta: {type: rolesmapping, config_version: 2}\n",
    "roles.yml": "_meta: {type: roles, config_version: 2}\n",
    "tenants.yml": "_meta: {type: tenants, config_version: 2}\n",
}
"""What the plugin knows at its first start in place of the demonstration's users."""


class SecureServer(Server):
    """A node that asks everybody who they are. `ca`: the authority of its certificate; `password`: that of `admin`.

    It knows no user and no role at first but `admin`, who may do everything.
    """

    version = distribution.VERSION

    def __init__(self, home: Path, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(home, port, settings)
        self.password = secrets.token_urlsafe(24)
        self.ca = self.home / "config" / "ca.pem"

    @property
    def url(self) -> str:
        """The address, without a slash at its end; the same after a restart."""
        return super().url.replace("http:", "https:")

    def call(
        self, method: str, path: str, body: Any = None, user: str = "admin", password: str | None = None
    ) -> tuple[int, Any]:
        """Status and parsed answer, asked as this user; `password`: that of `admin` unless given."""
        word = base64.b64encode(f"{user}:{password or self.password}".encode()).decode()
        return self._ask(method, path, body, {"authorization": f"Basic {word}"})

    def _prepare(self) -> None:
        made = distribution.prepare()
        config = self.home / "config"
        if config.is_dir():
            return
        self.home.mkdir(parents=True, exist_ok=True)
        for name in ("modules", "plugins"):
            (self.home / name).symlink_to(made / name)
        plugin = config / PLUGIN
        shutil.copytree(made / "plugins" / PLUGIN / "config", plugin)
        for name, text in _CONFIG.items():
            (plugin / name).write_text(text, encoding="utf-8")
        self._certify(config)

    def _certify(self, config: Path) -> None:
        """Certificates for the node and for who sets it up, each with its key, and the authority of both."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        for name, identities in (("node", (server.HOST, "localhost")), ("super", ("super.example",))):
            issued = authority.issue_cert(*identities, common_name=f"{name}.example")
            issued.private_key_pem.write_to_path(config / f"{name}.key")
            issued.cert_chain_pems[0].write_to_path(config / f"{name}.pem")

    def _command(self) -> list[str]:
        made = distribution.prepare()
        return self._java(f"{made / 'launcher'}", f"{made / 'lib'}/*", settings=self._security())

    def _security(self) -> dict[str, str]:
        config = self.home / "config"
        setup = x509.load_pem_x509_certificate((config / "super.pem").read_bytes())
        settings = {
            "plugins.security.allow_default_init_securityindex": "true",
            "plugins.security.audit.type": "noop",
            "plugins.security.authcz.admin_dn.0": setup.subject.rfc4514_string(),
            "plugins.security.restapi.roles_enabled": "all_access",
            "plugins.security.ssl.http.enabled": "true",
            "plugins.security.ssl.transport.enforce_hostname_verification": "false",
        }
        for layer in ("http", "transport"):
            settings[f"plugins.security.ssl.{layer}.pemcert_filepath"] = "node.pem"
            settings[f"plugins.security.ssl.{layer}.pemkey_filepath"] = "node.key"
            settings[f"plugins.security.ssl.{layer}.pemtrustedcas_filepath"] = "ca.pem"
        return settings

    def _is_healthy(self) -> bool:
        try:
            status, told = self._ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=2s", as_super=True)
            return status == 200 and not told["timed_out"] and self._knows_admin()
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def _knows_admin(self) -> bool:
        """Whether `admin` is let in; made as soon as the plugin has read its configuration."""
        if self.call("GET", "/")[0] == 200:
            return True
        user = {"password": self.password, "opendistro_security_roles": ["all_access"]}
        self._ask("PUT", "/_plugins/_security/api/internalusers/admin", user, as_super=True)
        return False

    @functools.cached_property
    def _contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        plain, setup = (ssl.create_default_context(cafile=self.ca) for _ in range(2))
        setup.load_cert_chain(self.home / "config" / "super.pem", self.home / "config" / "super.key")
        return plain, setup

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        as_super: bool = False,
    ) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection(
            server.HOST, self.port, timeout=60, context=self._contexts[1 if as_super else 0]
        )
        with closing(connection):
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, {"content-type": "application/json", **(headers or {})})
            response = connection.getresponse()
            text = response.read()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text.decode(errors="replace")
