"""What the demo reads: the table and the verdict through PromQL, or the table alone from ``/api/stats``."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from exporter import metrics
from tooling import agreement, table
from tooling.agreement import Snapshot, Verdict
from tooling.processes import local_session
from tooling.promql import PromQL

JOB: Final = "clipper-exporter"
WINDOW: Final = timedelta(minutes=5)
_MEMORY: Final = 60  # snapshots, taken twice a second: some scrape intervals
_SETTLED: Final = 1.0  # seconds; what a scrape brought in before then can be read by every query of one reading

_UP: Final = f'up{{job="{JOB}"}}'
_TRIGGERS: Final = (
    f"round(sum by ({metrics.STREAMER}) (increase({metrics.TRIGGERS.name}{{job='{JOB}'}}[{WINDOW.seconds // 60}m])))"
)


def _newest(family: metrics.Family) -> str:
    return f"max by ({metrics.STREAMER}) ({family.name}{{job='{JOB}'}})"


class Stats:
    """The exporter's ``/api/stats``, and what it answered lately."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/stats"
        self._session = local_session()
        self.snapshots: deque[Snapshot] = deque(maxlen=_MEMORY)

    def read(self) -> dict[str, Any]:
        """Return an answer, and remember its viewer counts. Raises ``requests.RequestException``."""
        asked = time.time()
        answer = self._session.get(self._url, timeout=5)
        answered = time.time()
        answer.raise_for_status()
        stats: dict[str, Any] = answer.json()
        self.snapshots.append(Snapshot(asked, answered, stats["viewer_counts"]))
        return stats


def from_stats(stats: Mapping[str, Any], now: datetime) -> list[table.Row]:
    """Return the table as ``/api/stats`` tells it; it knows the newest 20 triggers only."""
    recent = (
        trigger["streamer"]
        for trigger in stats["recent_triggers"]
        if now - datetime.fromisoformat(trigger["timestamp"]) <= WINDOW
    )
    return table.rows(stats["viewer_counts"], stats["chat_velocities"], stats["recording_status"], Counter(recent))


def from_prometheus(prometheus: PromQL) -> list[table.Row]:
    """Return the table as PromQL tells it, all of one moment. Raises ``QueryError``."""
    at = time.time() - _SETTLED
    return table.rows(
        *(
            prometheus.values(expression, metrics.STREAMER, at)
            for expression in (
                _newest(metrics.VIEWERS),
                _newest(metrics.CHAT_VELOCITY),
                _newest(metrics.RECORDING),
                _TRIGGERS,
            )
        )
    )


def verdict(prometheus: PromQL, stats: Stats) -> Verdict:
    """Judge what Prometheus answers now by what ``/api/stats`` answered around the newest scrape.

    Raises ``QueryError``.
    """
    at = time.time() - _SETTLED
    if prometheus.values(_UP, "job", at) != {JOB: 1}:
        return Verdict(False, f"Prometheus has no successful newest scrape: {_UP} is not 1")
    began = prometheus.value(f"timestamp({_UP})", at)
    seconds = prometheus.value(f'scrape_duration_seconds{{job="{JOB}"}}', at)
    held = prometheus.values(_newest(metrics.VIEWERS), metrics.STREAMER, at)
    return agreement.compare(held, began, seconds, list(stats.snapshots))


def scraped(prometheus: PromQL) -> bool:
    """Say whether a successful scrape of the exporter can be read. Raises ``QueryError``."""
    return [sample.value for sample in prometheus.query(_UP, time.time() - _SETTLED)] == [1]
