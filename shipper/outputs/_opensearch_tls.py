"""The TLS settings of a client of OpenSearch, apart from the client library: they are checked at every start."""

from __future__ import annotations

import ssl

from shipper.config import TlsSection
from shipper.errors import ConfigError


def tls_context(tls: TlsSection) -> ssl.SSLContext:
    """One context for all hosts: TLS 1.2 or newer, the given authorities (or the system's), our own certificate.

    Raises `ConfigError` for files that cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ValueError) as error:
        raise ConfigError("read certificates", str(tls.ca), str(error), f"openssl x509 -in {tls.ca} -noout") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert is not None:
        try:
            context.load_cert_chain(tls.cert, tls.key, password=lambda: "")  # else OpenSSL would ask on the terminal
        except (OSError, ValueError) as error:
            hint = f"openssl x509 -in {tls.cert} -noout -subject; the key must belong to it and carry no password"
            raise ConfigError("read certificates", str(tls.cert), str(error), hint) from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
