"""`--opensearch URL` and what belongs to it, the same for every command that reads from OpenSearch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from shipper.errors import UsageError
from shipper.model import Event

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_INDEX = "logs-fieldtrail.*"


def opensearch_options(command: F) -> F:
    """The options, in the order that `--help` shows them."""
    for option in reversed(
        (
            click.option("--opensearch", metavar="URL", help="Ask this OpenSearch instead of the embedded store."),
            click.option("--user", metavar="NAME", help="User name for OpenSearch."),
            click.option(
                "--password-file", type=click.Path(path_type=Path), metavar="FILE", help="File with the password."
            ),
            click.option("--ca", type=click.Path(path_type=Path), metavar="FILE", help="Certificate authorities."),
            click.option("--cert", type=click.Path(path_type=Path), metavar="FILE", help="Own certificate."),
            click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Key of the certificate."),
            click.option("--index", default=DEFAULT_INDEX, show_default=True, help="Data streams to read."),
        )
    ):
        command = option(command)
    return command


class Connection:
    """An OpenSearch that was named on the command line."""

    def __init__(self, client: Any, index: str) -> None:
        self.client, self.index = client, index

    @classmethod
    def of(cls, options: dict[str, Any]) -> Connection | None:
        """The connection that the options name; None without `--opensearch`."""
        url = options["opensearch"]
        if url is None:
            for name in ("user", "password_file", "ca", "cert", "key"):
                if options[name] is not None:
                    flag = name.replace("_", "-")
                    raise UsageError("read options", f"--{flag}", "goes with --opensearch", "--opensearch URL")
            return None
        from shipper.outputs._opensearch_client import client_for

        return cls(
            client_for(
                url,
                user=options["user"],
                password_file=options["password_file"],
                ca=options["ca"],
                cert=options["cert"],
                key=options["key"],
            ),
            options["index"],
        )

    def search(
        self, query: str, *, now: float, since: str | None, until: str | None, limit: int | None, control: bool
    ) -> Iterable[Event]:
        """Events that a query finds, newest first."""
        from shipper.outputs._opensearch_reader import search_events

        return search_events(
            self.client, query, now=now, since=since, until=until, limit=limit, control=control, index=self.index
        )

    def source(self) -> Any:
        """The verifier's source."""
        from shipper.outputs._opensearch_reader import OpenSearchSource

        return OpenSearchSource(self.client, self.index)
