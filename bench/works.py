"""The side-by-side work: who does it, on what input, and which ratios must come out."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from bench import peers
from bench.failed import Failed, Refused
from bench.gates import Gate
from bench.measure import Measured, Run, measure
from bench.peers import Peer
from bench.sink import Sink

FLOOR_RUNS = 3
OURS = "Fieldtrail"
RSYSLOG, SYSLOG_NG = "rsyslog", "syslog-ng"
PLUGINS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {RSYSLOG: ("rsyslogd", "omelasticsearch.so"), SYSLOG_NG: ("syslog-ng", "libhttp.so")}
)
"""Peer -> its program, and the plugin by which it sends to the sink."""


class Ratio(NamedTuple):
    """What must come out: ours over `other`, as the median of the rounds' ratios."""

    other: str
    measure: str
    """`cpu`: times less CPU per event; `rate`: times the events per second."""
    least: float


@dataclass(frozen=True)
class Work:
    """Contenders are compared with the first of them, which is ours."""

    title: str
    contenders: Sequence[str]
    """Names out of `_contender`."""
    conf: str = "json"
    """Folder of conf/."""
    kind: str = "json"
    """Of the input, see corpus.py."""
    probe: str = "source.ip"
    """A field that every document has that was made of a line which was understood."""
    ratios: Sequence[Ratio] = ()
    note: str = ""


def _against(cpu: float | None, rsyslog: float | None, syslog_ng: float | None) -> tuple[Ratio, ...]:
    found = [Ratio(name, "cpu", cpu) for name in (RSYSLOG, SYSLOG_NG) if cpu is not None]
    found += [Ratio(n, "rate", least) for n, least in ((RSYSLOG, rsyslog), (SYSLOG_NG, syslog_ng)) if least is not None]
    return tuple(found)


_ALL = (OURS, RSYSLOG, SYSLOG_NG)
_NO_TIME = "rsyslog leaves the time as text; Fieldtrail and syslog-ng read it."
WORKS: Final[Mapping[str, Work]] = MappingProxyType(
    {
        "json": Work("JSON audit lines, one change a line", _ALL, ratios=_against(3, 1, 1)),
        "pairs": Work(
            "JSON with a mapping that cannot be spliced: changes as pairs, times as numbers",
            _ALL,
            conf="pairs",
            kind="pairs",
            ratios=_against(2, None, None),
            note="syslog-ng writes the pair of values as one text in its own notation for lists.",
        ),
        "nginx": Work("nginx access lines", _ALL, "nginx", "nginx", ratios=_against(None, 0.9, 1.4), note=_NO_TIME),
        "sshd": Work("sshd lines", _ALL, "sshd", "sshd", ratios=_against(None, 0.7, 1.4), note=_NO_TIME),
        "fanout": Work("JSON, three changes a line, three events", (f"{OURS}, 3 changes", OURS)),
        "gzip": Work("JSON, bodies compressed", (f"{OURS}, gzip", OURS)),
        "outputs": Work("JSON, to the sink and to a file at once", (f"{OURS}, 2 outputs", OURS)),
        "workers": Work(
            "JSON, two parsing processes",
            (f"{OURS}, 2 workers", OURS),
            ratios=(Ratio(OURS, "rate", 1.4),),
        ),
    }
)


class Contender(NamedTuple):
    """Who does a piece of work, on which kind of input, and how many events it makes of a line."""

    start: Callable[[Path, Path, int], peers.Program]
    kind: str
    events: int = 1


def _contender(name: str, work: Work, found: Mapping[str, Peer]) -> Contender:
    if name == RSYSLOG:
        return Contender(partial(peers.rsyslog, work=work.conf, peer=found[name]), work.kind)
    if name == SYSLOG_NG:
        return Contender(partial(peers.syslog_ng, work=work.conf, peer=found[name]), work.kind)
    variants: dict[str, dict[str, Any]] = {
        f"{OURS}, gzip": {"compression": "gzip"},
        f"{OURS}, 2 outputs": {"archive": True},
        f"{OURS}, 2 workers": {"workers": 2},
    }
    start = partial(peers.fieldtrail, work=work.conf, name=name, **variants.get(name, {}))
    return Contender(start, "json3", 3) if name == f"{OURS}, 3 changes" else Contender(start, work.kind)


class Setting(NamedTuple):
    """What all pieces of work share."""

    folder: Path
    sink: Sink
    found: Mapping[str, Peer]
    data: Callable[[str, int], Path]
    """(kind, lines) -> file."""
    lines: int
    rounds: int
    say: Callable[[str], None]


def compare(key: str, setting: Setting, *, floors: bool) -> dict[str, Any]:
    """All rounds of one piece of work; what `--json` prints of it. `floors`: measure start and end apart as well."""
    work, sink = WORKS[key], setting.sink
    contenders = {name: _contender(name, work, setting.found) for name in work.contenders}
    refused = _refusal(contenders, setting)
    if refused:
        return {"title": work.title, "refused": refused, "gates": unmet(key, f"refused, {refused}")}
    if key == "gzip" and not sink.gzip:
        raise Failed(69, "the sink was built without zlib", "apt-get install zlib1g-dev")
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    fields: dict[str, int] = {}
    floor: dict[str, float] = {}
    setting.say(f"\n{key}: {work.title}")

    def one(name: str, lines: int, folder: str) -> Measured:
        contender = contenders[name]
        data = setting.data(contender.kind, lines)
        data.read_bytes()  # into the page cache, for whoever comes first
        done = measure(contender.start, data, lines, lines * contender.events, sink, setting.folder / folder)
        if peers.value_at(done.sample, work.probe) is None:
            raise Failed(70, f"{name} did not understand the lines: no {work.probe} in {done.sample}", f"bench/{key}")
        fields[name] = peers.leaves(done.sample)
        return done

    if floors:
        for name in contenders:
            tries = [one(name, 1, f"one-{number}") for number in range(FLOOR_RUNS)]
            floor[name] = min(done.run.cpu for done in tries)
    names = list(contenders)
    for number in range(setting.rounds):
        # Everyone is first, in the middle and last in turn.
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            run = one(name, setting.lines, f"round-{number}").run
            runs[name].append(run)
            setting.say(f"  round {number + 1}  {name:24}{run.rate:>9,.0f} ev/s  {run.cost:>7.1f} CPU-s/M")
    ratios = {name: _ratios(runs[names[0]], runs[name], floor, names[0], name) for name in names[1:]}
    return {
        "title": work.title,
        "note": work.note,
        "bytes_per_line": {name: _line_size(setting, contender.kind) for name, contender in contenders.items()},
        "fields": fields,
        "table": {name: _row(runs[name]) for name in names},
        "ours": names[0],
        "ratios": ratios,
        "start_and_end_cpu_seconds": floor,
        "gates": _gates(key, ratios),
    }


def _refusal(contenders: Mapping[str, Contender], setting: Setting) -> str:
    for name, contender in contenders.items():
        if name.startswith(OURS):
            place = setting.folder / "accepted"
            place.mkdir(exist_ok=True)
            try:
                peers.accepted(contender.start(place, setting.data(contender.kind, 1), setting.sink.port))
            except Refused as refused:
                return str(refused)
    return ""


def _line_size(setting: Setting, kind: str) -> float:
    return round(setting.data(kind, setting.lines).stat().st_size / setting.lines, 1)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, smallest, largest, and all of them in order."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": list(values)}


def _row(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "events_per_second": spread([run.rate for run in runs]),
        "cpu_seconds_per_million": spread([run.cost for run in runs]),
        "peak_rss_bytes": spread([float(run.rss) for run in runs]),
        "body_bytes_per_event": statistics.median(run.plain_bytes / run.events for run in runs),
        "sent_bytes_per_event": statistics.median(run.bytes / run.events for run in runs),
        "requests": statistics.median(run.requests for run in runs),
        "further_documents": statistics.median(run.documents - run.events for run in runs),
        "sink_cpu_seconds_per_million": statistics.median(run.sink_cpu / run.events * 1e6 for run in runs),
    }


def _ratios(
    ours: Sequence[Run], theirs: Sequence[Run], floor: Mapping[str, float], our_name: str, their_name: str
) -> dict[str, Any]:
    """How many times less CPU, and how many times the events per second, ours are: round by round."""
    pairs = list(zip(ours, theirs, strict=True))
    found = {
        "cpu": spread([b.cost / a.cost for a, b in pairs]),
        "rate": spread([a.rate / b.rate for a, b in pairs]),
    }
    if floor:
        steady = [(b.cpu - floor[their_name]) / (a.cpu - floor[our_name]) for a, b in pairs]
        found["cpu_without_start_and_end"] = spread(steady)
    return found


def unmet(key: str, why: str) -> list[Gate]:
    """The gates of a piece of work that has no figures."""
    return [gate._replace(why=why) for gate in _gates(key, None)]


def _gates(key: str, ratios: Mapping[str, Any] | None) -> list[Gate]:
    words = {"cpu": "times less CPU per event than", "rate": "times the events/s of"}
    gates = []
    for wanted in WORKS[key].ratios:
        figure = None if ratios is None else ratios[wanted.other][wanted.measure]["median"]
        gates.append(Gate(key, f"{words[wanted.measure]} {wanted.other}", figure, wanted.least, least=True, unit="x"))
    return gates
