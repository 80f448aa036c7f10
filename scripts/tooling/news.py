"""What the demo's screen says about alerts: which ones fire, as Prometheus tells, and which messages were delivered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from tooling.promql import PromQL
from tooling.webhook import Message

_NEWEST: Final = 4  # messages shown
_FIRING: Final = 'ALERTS{alertstate="firing", topic="audience"}'
_NONE: Final = "alerts: none fires; a streamer is judged after two minutes of Prometheus's own"


def lines(prometheus: PromQL, messages: Sequence[Message]) -> list[str]:
    """Return the lines, newest message last. Raises ``QueryError``."""
    firing = sorted(
        f"{sample.labels['alertname']} {sample.labels['streamer']} ({sample.labels['severity']})"
        for sample in prometheus.query(_FIRING)
    )
    return [f"firing: {', '.join(firing)}" if firing else _NONE, *(map(line, messages[-_NEWEST:]))]


def line(message: Message) -> str:
    """Return one line for a message: when it came, whether something began or ended, and what it says."""
    came = f"{datetime.fromtimestamp(message.at).astimezone():%H:%M:%S}"
    alert = message.payload["alerts"][0]["annotations"]
    if message.status == "resolved":
        return f"{came} delivered: over: {alert['summary']}"
    seconds = message.at - message.fired
    return f"{came} delivered {seconds:.0f} s after it fired: {alert['summary']}. {alert['description']}"
