from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tooling import news
from tooling.webhook import Message

FIRED = datetime(2026, 1, 17, 10, 30, tzinfo=UTC)
ALERT = {
    "startsAt": FIRED.isoformat(),
    "annotations": {"summary": "xQc: twice the viewers", "description": "From 10 to 20 viewers."},
}


def message(status: str) -> Message:
    return Message({"status": status, "groupLabels": {}, "alerts": [ALERT]}, (FIRED + timedelta(seconds=6)).timestamp())


def test_a_message_says_how_long_it_took() -> None:
    assert news.line(message("firing"))[8:] == (
        " delivered 6 s after it fired: xQc: twice the viewers. From 10 to 20 viewers."
    )


def test_an_end_is_told_as_such() -> None:
    assert news.line(message("resolved"))[8:] == " delivered: over: xQc: twice the viewers"
