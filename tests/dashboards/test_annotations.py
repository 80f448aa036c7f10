"""The annotations of a day, asked of a real Prometheus and made into events by Grafana's own code."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

import pytest

from dashboards.frame import OVERVIEW, STREAMER_UID
from tests.dashboards.grafana import ALL, SAFE_POINTS, View, annotation_query, evaluate, load
from tests.dashboards.history import HOUR, SCRAPE, History
from tests.dashboards.truth import Event
from tooling.node import Installed

pytestmark = pytest.mark.integration

EVERYTHING = {"job": ["clipper-exporter"], "instance": ALL, "streamer": ALL, "type": ALL}
# Of a day that is simulated in part, 24 hours show that part at the day's step.
SPANS = {"5 minutes": (300, 5), "1 hour": (HOUR, 5), "24 hours": (24 * HOUR, 60)}


def view(day: History, seconds: float, **variables: Any) -> View:
    return View(day.end - seconds, day.end, width=1600, variables={**EVERYTHING, **variables})


def events(day: History, code: Installed, name: str, seen: View, uid: str = OVERVIEW) -> list[dict[str, Any]]:
    """What Grafana makes of the annotation ``name``; the day's Prometheus holds no more than it draws."""
    dashboard = load(uid)
    [annotation] = [each for each in dashboard["annotations"]["list"] if each["name"] == name]
    query = annotation_query(annotation)
    frames = query.ask(day.prometheus, dashboard, seen)
    assert all(len(frame["times"]) <= SAFE_POINTS for frame in frames)
    [result] = evaluate(code, [{"kind": "annotations", "annotation": annotation, "frames": frames}])
    assert result["target"]["expr"] == query.target["expr"]
    return [event for event in result["events"] if seen.start * 1000 <= event["time"] <= seen.end * 1000]


def triggers(day: History, seen: View) -> list[Event]:
    # Those of the last two scrapes may not be known at the last step.
    return [event for event in day.truth.triggers if seen.start <= event.time < seen.end - 10]


def series(found: list[Event]) -> Iterator[tuple[tuple[str, str], list[float]]]:
    def key(event: Event) -> tuple[str, str]:
        return event.streamer, event.what

    for name, group in groupby(sorted(found, key=key), key):
        yield name, sorted(event.time for event in group)


def apart(times: list[float], step: float) -> list[float]:
    """Those that are more than ``step`` from their neighbours."""
    edges = [float("-inf"), *times, float("inf")]
    return [
        time
        for before, time, after in zip(edges, times, edges[2:], strict=False)
        if min(time - before, after - time) > step
    ]


@pytest.mark.parametrize("span", SPANS)
def test_every_trigger_is_at_its_exact_time(day: History, grafana_code: Installed, span: str) -> None:
    seconds, step = SPANS[span]
    seen = view(day, seconds)
    dashboard = load(OVERVIEW)
    query = annotation_query(dashboard["annotations"]["list"][0])
    assert query.step(seen) == step
    assert seconds / step <= SAFE_POINTS

    drawn = events(day, grafana_code, "Triggers", seen)
    real = dict(series(triggers(day, seen)))
    assert sum(map(len, real.values())) > min(seconds, day.seconds) / 200
    known = {(event.streamer, event.what, event.time) for event in day.truth.triggers}
    for event in drawn:
        # Nothing is drawn that was not, with the type as its title, the streamer as its text, and both as its tags.
        for time in (event["time"], event["timeEnd"]):
            assert (event["text"], event["title"], time / 1000) in known
        assert sorted(event["tags"]) == sorted([event["text"], event["title"]])
    for (streamer, kind), times in real.items():
        marks = [
            (event["time"] / 1000, event["timeEnd"] / 1000)
            for event in drawn
            if (event["text"], event["title"]) == (streamer, kind)
        ]
        for time in apart(times, step):
            assert (time, time) in marks, (streamer, kind, time)
        for time in times:
            # Those within a step of another are one mark with it.
            assert any(first - step <= time <= last + step for first, last in marks), (streamer, kind, time)
        assert len(marks) <= len(times) + 1


def test_triggers_at_5_s_are_all_drawn_one_by_one(day: History, grafana_code: Installed) -> None:
    seen = view(day, 5000)
    drawn = events(day, grafana_code, "Triggers", seen)
    found = {
        (event["text"], event["title"], event["time"] / 1000)
        for event in drawn
        if event["time"] < (seen.end - 10) * 1000
    }
    assert annotation_query(load(OVERVIEW)["annotations"]["list"][0]).step(seen) == 5
    assert found == {(event.streamer, event.what, event.time) for event in triggers(day, seen)}


def test_streamer_and_type_filter_them(day: History, grafana_code: Installed) -> None:
    seen = view(day, 3600, streamer=["NovaKestrel", "pixel_harbor"], type="chat_velocity")
    drawn = events(day, grafana_code, "Triggers", seen)
    assert {event["title"] for event in drawn} == {"chat_velocity"}
    assert {event["text"] for event in drawn} == {"NovaKestrel", "pixel_harbor"}
    one = view(day, 3600, streamer="MossyTurnip")
    drawn = events(day, grafana_code, "Triggers", one, STREAMER_UID)
    assert {event["text"] for event in drawn} == {"MossyTurnip"}


@pytest.mark.parametrize(("name", "to"), [("Recording started", True), ("Recording stopped", False)])
def test_recordings_are_marked_at_the_step_after_they_change(
    day: History, grafana_code: Installed, name: str, to: bool
) -> None:
    seen = view(day, 3600)
    drawn = events(day, grafana_code, name, seen)
    step = 5
    for streamer, updates in day.truth.recordings.items():
        # What lasts for less than the time between two scrapes may never be seen.
        turns = [later for earlier, later in pairwise([(0.0, False), *updates]) if earlier[1] is not later[1]]
        changes = [
            when
            for (before, _), (when, state), (after, _) in zip(turns, turns[1:], turns[2:], strict=False)
            if state is to and min(when - before, after - when) > SCRAPE
            if seen.start + step <= when < seen.end - 2 * step
        ]
        marks = [event["time"] / 1000 for event in drawn if event["text"] == streamer]
        marks = [mark for mark in marks if seen.start + 3 * step <= mark < seen.end - step]
        assert len(changes) > 2
        for when in changes:
            assert any(when <= mark < when + 2 * step for mark in marks), (streamer, when)
        assert len(marks) <= len(changes) + 1
        assert all(event["title"] == name for event in drawn)
