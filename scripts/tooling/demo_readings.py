"""The demo's numbers: read through PromQL and from ``/api/stats``, and whether the two agree.

A scrape is one moment. ``/api/stats`` is read twice a second, so two of its answers enclose that moment. Prometheus is
right when it has, for every streamer, a viewer count that one of these answers reported, and no other streamers.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from exporter import metrics
from tooling.processes import local_session
from tooling.prometheus import CLOCK_SLACK
from tooling.promql import PromQL

_WINDOW: Final = 300  # seconds of triggers
_MEMORY: Final = 60  # answers of /api/stats, read twice a second: some scrape intervals
_SETTLED: Final = 1.0  # seconds after which all queries of one reading see the whole of a scrape

_UP: Final = 'up{job="clipper-exporter"}'
_VIEWERS, _VELOCITY, _RECORDING = (
    f'max by ({metrics.STREAMER}) ({family.name}{{job="clipper-exporter"}})'
    for family in (metrics.VIEWERS, metrics.CHAT_VELOCITY, metrics.RECORDING)
)
_INCREASE: Final = f'increase({metrics.TRIGGERS.name}{{job="clipper-exporter"}}[{_WINDOW}s])'
_TRIGGERS: Final = f"round(sum by ({metrics.STREAMER}) ({_INCREASE}))"

Columns = Sequence[Mapping[str, float]]  # by streamer: viewers, chat velocity, recording, triggers in 5 minutes


class Snapshot(NamedTuple):
    """The viewer counts of one answer of ``/api/stats``, and when it was ``asked`` and ``answered`` (Unix seconds)."""

    asked: float
    answered: float
    viewers: Mapping[str, float]


class Verdict(NamedTuple):
    """Whether Prometheus is ``right``, and one line for a person that says why, or why not."""

    right: bool
    text: str


class Stats:
    """The exporter's ``/api/stats``, and its latest answers, oldest first."""

    def __init__(self, exporter_url: str) -> None:
        self._url = f"{exporter_url}/api/stats"
        self._session = local_session()
        self.snapshots: deque[Snapshot] = deque(maxlen=_MEMORY)

    def read(self) -> Columns:
        """Return the table as ``/api/stats`` has it; it knows the newest 20 triggers only.

        Raises ``requests.RequestException``.
        """
        asked = time.time()
        answer = self._session.get(self._url, timeout=5)
        answered = time.time()
        answer.raise_for_status()
        stats = answer.json()
        self.snapshots.append(Snapshot(asked, answered, stats["viewer_counts"]))
        triggers = Counter(
            trigger["streamer"]
            for trigger in stats["recent_triggers"]
            if (datetime.now(UTC) - datetime.fromisoformat(trigger["timestamp"])).total_seconds() <= _WINDOW
        )
        return stats["viewer_counts"], stats["chat_velocities"], stats["recording_status"], triggers


def read(prometheus: PromQL) -> Columns:
    """Return the table as PromQL has it, all of one moment. Raises ``QueryError``."""
    at, expressions = time.time() - _SETTLED, (_VIEWERS, _VELOCITY, _RECORDING, _TRIGGERS)
    return [prometheus.values(expression, metrics.STREAMER, at) for expression in expressions]


def scraped(prometheus: PromQL) -> bool:
    """Return whether the newest scrape of the exporter succeeded. Raises ``QueryError``."""
    return [sample.value for sample in prometheus.query(_UP, time.time() - _SETTLED)] == [1]


def judge(prometheus: PromQL, snapshots: Sequence[Snapshot]) -> Verdict:
    """Compare the newest scrape with the answers of ``/api/stats`` around it. Raises ``QueryError``."""
    if not scraped(prometheus):
        return Verdict(False, f"Prometheus has no successful newest scrape: {_UP} is not 1")
    at = time.time() - _SETTLED
    began = prometheus.value(f"timestamp({_UP})", at)
    ended = began + prometheus.value('scrape_duration_seconds{job="clipper-exporter"}', at)
    return compare(prometheus.values(_VIEWERS, metrics.STREAMER, at), began, ended, snapshots)


def compare(held: Mapping[str, float], began: float, ended: float, snapshots: Sequence[Snapshot]) -> Verdict:
    """Compare the viewer counts ``held`` since a scrape with ``snapshots``, which are in order of time."""
    before = [index for index, snapshot in enumerate(snapshots) if snapshot.answered <= began - CLOCK_SLACK]
    after = [index for index, snapshot in enumerate(snapshots) if snapshot.asked >= ended + CLOCK_SLACK]
    if not before or not after:
        return Verdict(False, "the newest scrape is not yet enclosed by two answers of /api/stats")
    around = [snapshot.viewers for snapshot in list(snapshots)[before[-1] : after[0] + 1]]
    mistakes = []
    for streamer in sorted({*held}.union(*around)):
        reported = {viewers.get(streamer) for viewers in around}
        if held.get(streamer) not in reported:
            counts = " or ".join(f"{count:g}" for count in sorted(count for count in reported if count is not None))
            wrong = f"has {held[streamer]:g} viewers, not {counts}" if streamer in held else "is missing"
            mistakes.append(f"{streamer!r} {wrong if counts else 'is not one of the streamers'}")
    if mistakes:
        return Verdict(False, f"PromQL and /api/stats differ: {mistakes[0]} ({len(mistakes)} such)")
    if not held:
        return Verdict(False, "there are no streamers to compare")
    return Verdict(True, f"PromQL agrees with /api/stats: {len(held)} streamers, each with the viewers of the scrape")
