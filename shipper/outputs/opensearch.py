"""The output of type `opensearch`. It is built at every start, so the client and its library are not imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shipper import telemetry
from shipper.errors import UnavailableError
from shipper.model import Batch, Receipt
from shipper.output_sections import OpenSearchSection

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client
    from shipper.outputs._opensearch_sender import Sender


class OpenSearchOutput:
    """The output of type `opensearch`: data streams `logs-<dataset>-<namespace>`, by `_bulk`.

    Requests go side by side where a batch needs several and the server manages. What an answer means is decided in
    `_bulk`, what follows in `Sender`.
    """

    def __init__(self, section: OpenSearchSection, *, namespace: str) -> None:
        self.id = section.id
        self._section, self._namespace = section, namespace
        self._open = self._alarmed = False
        self._client: Client | None = None
        self._sender: Sender | None = None

    def open(self, stored: Mapping[str, Any]) -> None:
        """Read the certificates; nothing is sent yet. `stored` is not used: the destination is asked instead.

        Raises `ConfigError` for certificates that cannot be used, and for an extra that is not installed.
        """
        del stored
        self.close()
        if self._section.auth.aws is not None:
            from shipper.outputs._opensearch_auth import credentials_of  # noqa: PLC0415 - only where it may fail

            credentials_of(self._section.auth)
        if any(host.startswith("https") for host in self._section.hosts):
            from shipper.http_client.tls import tls_context  # noqa: PLC0415 - only where TLS is spoken

            tls_context(self._section.tls)
        self._open = True

    def _opened(self) -> Sender:
        """The sender; made when it is used first, since importing the client takes longer than the rest of a start."""
        if not self._open:
            raise UnavailableError("use output", self.id, "not open", "call open() first")
        if self._sender is None:
            from shipper.outputs._opensearch_client import client_of  # noqa: PLC0415 - in the thread that needs it
            from shipper.outputs._opensearch_sender import Sender  # noqa: PLC0415 - same

            section = self._section
            self._client = client_of(section)
            self._sender = Sender(
                self._client,
                batch_bytes=section.batch_bytes,
                compress=section.compression == "gzip",
                concurrency=section.concurrency,
            )
        return self._sender

    @property
    def appetite(self) -> int:
        """Bytes of documents that a batch may have to be sent at once; more than that only waits in memory."""
        return self._section.batch_bytes if self._sender is None else self._sender.appetite

    def highest(self, log: str) -> int | None:
        """The highest leaf index that the data streams of the namespace hold of `log`, -1 for none."""
        return self._opened().highest(log, self._namespace)

    def deliver(self, batch: Batch) -> Receipt:
        """Send the batch; see `Sender.deliver`."""
        sender = self._opened()
        receipt = sender.deliver(batch)
        if sender.denied and not self._alarmed:
            telemetry.output_denied(output=self.id, cause=sender.denied)
            self._alarmed = True
        elif receipt.delivered:
            self._alarmed = False
        return receipt

    def flush(self) -> Mapping[str, Any]:
        """Nothing to do: an answered document is in the server's own log, which it syncs before it answers."""
        return {}

    def cursor(self) -> int | None:
        """None: the cursor file is the account."""
        return None

    def close(self) -> None:
        """Close the connections; may be called twice."""
        if self._sender is not None:
            self._sender.close()
        if self._client is not None:
            self._client.close()
        self._client = self._sender = None
        self._open = False
