"""What viewers of the tables see: real answers of Prometheus, put through Grafana's own transformations."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.frame import OVERVIEW, STREAMER_UID
from dashboards.queries import AROUND
from tests.dashboards.grafana import ALL, View, escaped, evaluate, load, panel, panel_queries
from tests.dashboards.history import SCRAPE, History
from tests.dashboards.live import ODD, RAIDED, Live
from tests.dashboards.truth import at
from tooling.node import Installed
from tooling.promql import PromQL

pytestmark = pytest.mark.integration

EVERYTHING = {"job": ["clipper-exporter"], "instance": ALL, "streamer": ALL, "type": ALL}


def shown(
    code: Installed, prometheus: PromQL, uid: str, title: str, seen: View
) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns and the rows, as mappings, of a table."""
    dashboard = load(uid)
    table = panel(dashboard, title, "table")
    frames = [frame for query in panel_queries(table) for frame in query.ask(prometheus, dashboard, seen)]
    [[frame]] = evaluate(code, [{"kind": "table", "panel": table, "frames": frames}])
    names = frame["names"]
    return names, [dict(zip(names, row, strict=True)) for row in frame["rows"]]


def test_one_row_per_live_streamer(minute: Live, grafana_code: Installed) -> None:
    names, found = shown(grafana_code, minute.prometheus, OVERVIEW, "Streamers", minute.view())
    assert names == [
        "Streamer", "Viewers", "Ratio to mean", "Chat / min", "Recording",
        "Triggers", "Clips", "Last trigger", "Last update",
    ]  # fmt: skip
    stats, truth = minute.truth.store.get_all_stats(), minute.truth
    by_name = {row["Streamer"]: row for row in found}
    assert len(by_name) == len(found)
    assert set(by_name) == set(stats["viewer_counts"])
    for name, row in by_name.items():
        assert row["Viewers"] == stats["viewer_counts"][name]
        assert row["Chat / min"] == stats["chat_velocities"].get(name), "what is not known stays empty"
        assert row["Recording"] == stats["recording_status"].get(name)
        times = [event.time for event in truth.triggers if event.streamer == name]
        assert row["Triggers"] == len(times)
        assert row["Clips"] == truth.clips[name]
        # That time is a whole second.
        assert minute.end - row["Last update"] == pytest.approx(int(truth.updated[name]), abs=0.01)
        if times:
            assert row["Last trigger"] == pytest.approx(minute.end - max(times), abs=0.1)
        else:
            assert row["Last trigger"] is None
    assert by_name[RAIDED]["Ratio to mean"] > 1.2


def test_a_table_of_one_streamer_and_of_none(minute: Live, grafana_code: Installed) -> None:
    """One row looks as many do; and where no streamer is left, nothing is, and nothing breaks."""
    _, found = shown(grafana_code, minute.prometheus, OVERVIEW, "Streamers", minute.view(streamer=["NovaKestrel"]))
    assert [row["Streamer"] for row in found] == ["NovaKestrel"]
    dashboard = load(OVERVIEW)
    table = panel(dashboard, "Streamers", "table")
    frames = [
        frame
        for query in panel_queries(table)
        for frame in query.ask(minute.prometheus, dashboard, minute.view(streamer=["nobody"]))
    ]
    assert frames == []
    assert evaluate(grafana_code, [{"kind": "table", "panel": table, "frames": frames}]) == [[]]


def test_firing_alerts(minute: Live, grafana_code: Installed) -> None:
    names, found = shown(grafana_code, minute.prometheus, OVERVIEW, "Alerts firing", minute.view())
    assert names == ["Severity", "Alert", "Streamer", "Instance", "Firing for"]
    raid = [row for row in found if row["Streamer"] == RAIDED]
    assert {(row["Alert"], row["Severity"]) for row in raid} == {
        ("ClipperViewerSpike", "info"),
        ("ClipperViewerSpike", "warning"),
    }
    refused = next(row for row in found if row["Alert"] == "ClipperUpdatesRejected")
    assert refused["Instance"].startswith("127.0.0.1:")
    assert not refused["Streamer"]
    assert all(row["Firing for"] > 0 for row in found)


def test_around_each_trigger(day: History, grafana_code: Installed) -> None:
    name = "NovaKestrel"
    seen = View(day.end - 3600, day.end, variables={**EVERYTHING, "streamer": name})
    names, found = shown(grafana_code, day.prometheus, STREAMER_UID, "Around each trigger", seen)
    assert names == [
        "Time", "Type", "Viewers before", "at trigger", "after",
        "Change", "Chat before", "Chat at trigger", "Chat after",
    ]  # fmt: skip
    times = {
        (event.time, event.what)
        for event in day.truth.triggers
        if event.streamer == name and seen.start - AROUND + SCRAPE <= event.time <= seen.end - AROUND - SCRAPE
    }
    rows = {(row["Time"] / 1000, row["Type"]): row for row in found}
    assert len(rows) == len(found), "one row per trigger"
    assert times <= set(rows)
    assert len(times) > 3
    viewers, chat = day.truth.viewers[name], day.truth.velocities[name]
    for (time, _), row in rows.items():
        for offset, column in ((-AROUND, "Viewers before"), (0, "at trigger"), (AROUND, "after")):
            # Seen at a step up to 5 s later, in a scrape up to 5 s older.
            near = {at(viewers, time + offset + late) for late in range(-SCRAPE, SCRAPE + 1)}
            assert row[column] in near, (time, column)
        assert row["Change"] == pytest.approx(row["after"] / row["Viewers before"] - 1)
        assert row["Chat at trigger"] in {at(chat, time + late) for late in range(-SCRAPE, SCRAPE + 1)}


def test_bars_add_up_to_what_was_counted(day: History) -> None:
    """Every event is in one bar, whatever the step, also where a stream ended and its counters began again."""
    dashboard = load(OVERVIEW)
    [query] = panel_queries(panel(dashboard, "Triggers by type"))
    for seconds, step in ((1800, 30), (6 * 3600, 30), (23 * 3600, 60)):
        seen = View(day.end - seconds, day.end, width=1600, variables=EVERYTHING)
        assert query.step(seen) == step
        frames = query.ask(day.prometheus, dashboard, seen)
        bars = {frame["labels"]["type"]: sum(frame["values"]) for frame in frames}
        for kind, count in bars.items():
            inside = [event for event in day.truth.triggers if event.what == kind]
            inside = [event for event in inside if seen.start - step - SCRAPE <= event.time < seen.end]
            surely = [event for event in inside if seen.start - step + SCRAPE <= event.time < seen.end - SCRAPE]
            # Only those in the last scrape of a stream that ended may be missing: nobody has seen them.
            lost = sum(event.time + SCRAPE >= end.time > event.time for event in surely for end in day.truth.cleared)
            assert len(surely) - lost <= count <= len(inside), (kind, seconds)


@pytest.mark.parametrize("uid", [OVERVIEW, STREAMER_UID])
def test_a_streamer_with_an_odd_name_can_be_chosen(minute: Live, grafana_code: Installed, uid: str) -> None:
    dashboard = load(uid)
    [variable] = [each for each in dashboard["templating"]["list"] if each["name"] == "streamer"]
    [query] = panel_queries(panel(dashboard, "Viewers", "stat"))
    tasks = [{"kind": "escape", "value": name, "variable": variable} for name in ODD]
    for name, result in zip(ODD, evaluate(grafana_code, tasks), strict=True):
        assert escaped(variable, name) == result, "as Grafana does it"
        [frame] = query.ask(minute.prometheus, dashboard, minute.view(streamer=name))
        assert frame["values"][-1] == minute.truth.store.get_all_stats()["viewer_counts"][name]
    if variable["multi"]:
        [result] = evaluate(grafana_code, [{"kind": "escape", "value": ODD, "variable": variable}])
        assert escaped(variable, ODD) == result
        [frame] = query.ask(minute.prometheus, dashboard, minute.view(streamer=list(ODD)))
        assert frame["values"][-1] == 1000 * len(ODD)
