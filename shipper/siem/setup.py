"""What `fieldtrail setup` brings into a cluster, part by part, and what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mappings
from shipper.errors import UnavailableError
from shipper.siem import policies
from shipper.siem.install import LEFT_OUT, Part, Step, install, installed_plugins
from shipper.siem.monitors import alerting_parts, are_silent
from shipper.siem.policies import FOR_EVER, attach, deleting, policy_parts, stored_days
from shipper.siem.roles import role_parts
from shipper.siem.streams import make_missing, roll_over
from shipper.siem.templates import template_parts

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for.

    `namespace`: for it alone, None for all. `home`: whose missing data streams are made where it is None. `days`: of
    retention, `FOR_EVER`; None: nobody said, so an update changes nothing, but keeps `at_least` as many, which is what
    the agents announce. `hand_over`: the policy may delete at once what was there before it; only who gives the days
    for this very run wants that. `retention` False: no policies. `rollover`: data streams take new templates at once.
    `monitors`, with `channel` (the body of `--notify`) to send by. `security`: roles, and who gets them (`grants`:
    `writer=NAME`).
    """

    namespace: str | None = None
    home: str = "default"
    days: int | None = None
    hand_over: bool = False
    at_least: int = 0
    retention: bool = True
    rollover: bool = False
    monitors: bool = False
    channel: Mapping[str, Any] | None = None
    security: bool = False
    grants: tuple[str, ...] = ()


def set_up(client: Client, wanted: Wanted, *, now: float, dry_run: bool = False) -> Iterator[Step]:
    """Templates, retention policies, data streams and the indices under the policies, then what else was asked for.

    `now`: seconds since 1970. Done twice, it changes nothing. `UnavailableError`, also for answers that OpenSearch does
    not give; what came before stays installed.
    """
    try:
        yield from _set_up(client, wanted, now, dry_run=dry_run)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        cause = f"the answer is not what OpenSearch says ({type(error).__name__}: {error})"
        raise UnavailableError("setup", client.place, cause, f"curl -s {client.place}: is it OpenSearch?") from error


def _set_up(client: Client, wanted: Wanted, now: float, *, dry_run: bool) -> Iterator[Step]:
    namespace = wanted.namespace
    roles = role_parts(wanted.grants)  # a role that does not exist is refused before anything is installed
    yield from install(client, template_parts(namespace), dry_run=dry_run)
    missing = make_missing(client, namespace or wanted.home, dry_run=dry_run)
    if wanted.retention:
        yield from _retention(client, wanted, now, missing, dry_run=dry_run)
    else:
        yield from missing
    # After the policies: the index that a rollover makes finds its own.
    yield from roll_over(client, namespace, do=wanted.rollover, dry_run=dry_run)
    if wanted.monitors:
        yield from _monitors(client, wanted, dry_run=dry_run)
    if wanted.security:
        yield from install(client, roles, dry_run=dry_run)


def _retention(client: Client, wanted: Wanted, now: float, missing: Iterator[Step], *, dry_run: bool) -> Iterator[Step]:
    """The policies, the data streams that are `missing`, whose indices find them, and the indices from before."""
    plugins = installed_plugins(client)
    able = plugins is None or policies.PLUGIN in plugins
    days = wanted.days
    if days is None:
        there = stored_days(client, wanted.namespace) if able else None
        if there is None and able and wanted.namespace:
            there = stored_days(client, None)  # what holds for it until now
        days = _unchanged(there, wanted.at_least)
    (part,) = policy_parts(FOR_EVER if days is None else days, wanted.namespace)
    if days is None:
        name = deleting(wanted.namespace)
        why = f"{LEFT_OUT}: changed by hand; --retention-days N puts ours in its place"
        yield Step(part.kind.label, name, why)
        part = Part(part.kind, {other: body for other, body in part.bodies.items() if other != name})
    yield from install(client, [part], dry_run=dry_run)
    yield from missing
    if able:
        # What nobody asked for in so many words must not delete years of events that were there before.
        spare_before = None if wanted.hand_over or not days else now - days * 86_400
        yield from attach(client, part.bodies, wanted.namespace, spare_before=spare_before, dry_run=dry_run)


def _monitors(client: Client, wanted: Wanted, *, dry_run: bool) -> Iterator[Step]:
    """The channel that was asked for, the monitors, and a word where they send by none."""
    parts = alerting_parts(client, wanted.channel)
    able = True
    for step in install(client, parts, dry_run=dry_run):
        able = able and not step.result.startswith(LEFT_OUT)
        yield step
    if able and are_silent(parts):
        why = f"{LEFT_OUT}: there is no notification channel; --notify webhook=@FILE makes one"
        yield Step("messages", "of the monitors", why)


def _unchanged(there: int | str | None, at_least: int) -> int | None:
    """The retention where nobody said one; None where it cannot be read, and so must not be written over."""
    if there is None:
        return max(mappings.retention_policies().default_days, at_least)
    if isinstance(there, str):
        return None
    return there if there == FOR_EVER else max(there, at_least)
