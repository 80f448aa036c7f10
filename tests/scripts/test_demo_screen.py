"""The demo's block as it is written where there is no terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tooling.demo_screen import Line, Screen, alerts
from tooling.webhook import Message

FIRED = datetime(2026, 1, 17, 10, 30, tzinfo=UTC)
HOSTILE = "\x1b]0;owned\x07 [red]\u202e"
ESCAPED = r"\x1b]0;owned\x07 [red]\u202e"


def drawn(capsys: pytest.CaptureFixture[str], *columns: dict[str, float], lines: tuple[Line, ...] = ()) -> list[str]:
    with Screen() as screen:
        screen.draw([*columns, *({},) * (4 - len(columns))], lines)
    return [line.rstrip() for line in capsys.readouterr().out.split("\n")]


def message(status: str, summary: str = "xQc: twice the viewers") -> Message:
    alert = {
        "startsAt": FIRED.isoformat(),
        "annotations": {"summary": summary, "description": "From 10 to 20 viewers."},
    }
    return Message({"status": status, "groupLabels": {}, "alerts": [alert]}, (FIRED + timedelta(seconds=6)).timestamp())


def test_columns_join_on_the_streamer_and_sort_by_viewers(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ({"a": 5.0, "b": 45000.0}, {"b": 125.5}, {"b": 1.0, "a": 0.0}, {"b": 3.0, "unseen": 0.0})
    assert drawn(capsys, *columns, lines=(("a line", "bold"),)) == [
        "streamer                    viewers   chat/min  recording  triggers 5m",
        "b                            45,000      125.5        yes            3",
        "a                                 5          -         no            -",
        "unseen                            -          -          -            0",
        "",
        "a line",
        "",
        "",
    ]


def test_names_take_the_same_cells_whatever_they_hold(capsys: pytest.CaptureFixture[str]) -> None:
    names = {"加藤純一": 4.0, "line\nbreak": 3.0, "e\u0301te": 2.0, "x" * 40: 1.0}
    ends = " " * 8 + "{}          -          -            -"
    assert drawn(capsys, names)[1:5] == [
        "加藤純一" + " " * (24 - 8) + "  " + ends.format(4),
        r"line\nbreak" + " " * (24 - 11) + "  " + ends.format(3),
        "e\u0301te" + " " * (24 - 3) + "  " + ends.format(2),
        "x" * 23 + "…  " + ends.format(1),
    ]


def test_what_strangers_write_does_not_reach_the_terminal_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    labels = {"alertname": "ClipperViewerSpike", "streamer": HOSTILE, "severity": "info"}
    told = tuple(alerts([labels], [message("resolved", HOSTILE), message("firing", HOSTILE)]))
    screen = drawn(capsys, {HOSTILE[:12]: 1.0}, lines=told)
    assert screen[1].startswith(ESCAPED[:18])
    assert screen[3] == f"firing: ClipperViewerSpike {ESCAPED} (info)"
    assert screen[4].endswith(f"fired: {ESCAPED}. From 10 to 20 viewers.")
    assert screen[5].endswith(f"over: {ESCAPED}")
    assert all(character.isprintable() for line in screen for character in line)


def test_a_message_says_how_long_it_took() -> None:
    [nothing, (newest, _), (oldest, _)] = alerts([], [message("firing"), message("resolved")])
    assert nothing[0].startswith("alerts: none fires")
    assert oldest[8:] == " delivered 6 s after it fired: xQc: twice the viewers. From 10 to 20 viewers."
    assert newest[8:] == " delivered: over: xQc: twice the viewers"


def test_the_newest_messages_are_shown() -> None:
    lines = list(alerts([], [message("resolved", f"message {number}") for number in range(6)]))
    assert [text[-9:] for text, _ in lines[1:]] == ["message 5", "message 4", "message 3", "message 2"]
