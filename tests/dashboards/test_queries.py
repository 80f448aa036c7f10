"""Every PromQL of every dashboard, asked of a real Prometheus that has scraped the demo's feed."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from dashboards.__main__ import DASHBOARDS
from dashboards.frame import HEALTH, OVERVIEW, STREAMER_UID
from exporter.store.validation import Limits
from tests.dashboards.grafana import Query, fill, load, panel, panel_queries, queries
from tests.dashboards.live import PLAYED, RAIDED, REJECTED, SCRAPE, Live

pytestmark = pytest.mark.integration

# What has nothing to show after these minutes, and why that is right.
EMPTY = {
    "Collector failures/": "no collector failed, and none is known before its first failure",
    "Certificate time left/A": "the exporter is scraped without TLS",
}
# The same of a streamer whose clipper reports viewers and nothing else.
EMPTY_OF_RAIDED = {
    "Chat velocity/": "no chat is reported",
    "Recording/": "nobody says whether it is recorded",
    "Last trigger/": "nothing triggered",
    "Around each trigger": "the same",
    "annotation Triggers": "the same",
    "annotation Recording": "nothing is recorded",
}


def ask(live: Live, uid: str, query: Query, **variables: Any) -> list[dict[str, Any]]:
    return query.ask(live.prometheus, load(uid), live.view(**variables))


def values(
    live: Live,
    uid: str,
    title: str,
    label: str | None = None,
    *,
    ref: int = 0,
    kind: str | None = None,
    **variables: Any,
) -> Any:
    """The newest value of a panel's query; by ``label`` where there are several."""
    query = panel_queries(panel(load(uid), title, kind))[ref]
    answer = ask(live, uid, query, **variables)
    newest = {frame["labels"].get(label, ""): frame["values"][-1] for frame in answer}
    assert len(newest) == len(answer)
    return newest if label else newest[""]


def busiest(live: Live) -> str:
    """A streamer of whom there is everything: chat, triggers, a recording, a clip."""
    counts = Counter(event.streamer for event in live.truth.triggers)
    return next(name for name, _ in counts.most_common() if live.truth.clips[name] and live.truth.velocities.get(name))


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_every_query_has_an_answer(minute: Live, uid: str) -> None:
    dashboard = load(uid)
    one = {"streamer": busiest(minute)} if uid == STREAMER_UID else {}
    empty = [query.where for query in queries(dashboard) if not ask(minute, uid, query, **one)]
    assert [where for where in empty if not where.startswith(tuple(EMPTY))] == []


def test_a_streamer_of_whom_little_is_known_refuses_no_query(minute: Live) -> None:
    dashboard = load(STREAMER_UID)
    for query in queries(dashboard):
        answer = ask(minute, STREAMER_UID, query, streamer=RAIDED)
        assert bool(answer) is not query.where.startswith(tuple(EMPTY_OF_RAIDED)), query.where


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_every_variable_offers_what_there_is(minute: Live, uid: str) -> None:
    dashboard = load(uid)
    expected = {
        "job": {"clipper-exporter"},
        "streamer": set(minute.truth.viewers) | set(minute.truth.velocities),
        "type": {"viewer_spike", "chat_velocity", "keyword", "emote_flood"},
    }
    for variable in dashboard["templating"]["list"]:
        if variable["name"] == "datasource":
            continue
        text = fill(variable["query"]["query"], dashboard, minute.view())
        family, _, label = re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", text).groups()  # type: ignore[union-attr]
        selector = text.removeprefix("label_values(").rpartition(",")[0]
        times = {"start": str(minute.start), "end": str(minute.end), "match[]": selector}
        found = set(minute.prometheus.get(f"label/{label}/values", **times))
        assert found, variable["name"]
        if label in expected:
            assert found == expected[label], family


def test_the_numbers_are_what_the_feed_knows(minute: Live) -> None:
    truth = minute.truth
    stats = truth.store.get_all_stats()
    recorded_now, viewers, velocities = stats["recording_status"], stats["viewer_counts"], stats["chat_velocities"]
    ended = {event.streamer for event in truth.cleared}
    assert not ended & {event.streamer for event in truth.triggers}, "their counters began again"
    assert values(minute, OVERVIEW, "Streamers live") == len(viewers)
    assert values(minute, OVERVIEW, "Viewers") == sum(viewers.values())
    assert values(minute, OVERVIEW, "Recording now") == sum(recorded_now.values())
    assert values(minute, OVERVIEW, "Triggers") == len(truth.triggers)
    assert values(minute, OVERVIEW, "Clips") == sum(truth.clips.values())
    assert values(minute, OVERVIEW, "Exporters up") == 1
    drawn = values(minute, OVERVIEW, "Viewers by streamer", "streamer")
    assert {name: drawn[name] for name in viewers} == viewers
    assert values(minute, OVERVIEW, "Chat velocity", "streamer") == velocities
    assert values(minute, OVERVIEW, "Recording (", "streamer") == {n: float(on) for n, on in recorded_now.items()}
    assert len(truth.triggers) > 20
    assert sum(truth.clips.values()) > 3


def test_a_choice_of_streamers_and_types_holds_everywhere(minute: Live) -> None:
    some = ["NovaKestrel", "pixel_harbor"]
    both = [event for event in minute.truth.triggers if event.streamer in some]
    assert values(minute, OVERVIEW, "Streamers live", streamer=some) == 2
    assert values(minute, OVERVIEW, "Triggers", streamer=some) == len(both)
    of_chat = [event for event in both if event.what == "chat_velocity"]
    assert values(minute, OVERVIEW, "Triggers", streamer=some, type="chat_velocity") == len(of_chat)
    assert set(values(minute, OVERVIEW, "Viewers relative to", "streamer", streamer=some)) == set(some)


def test_the_raid_is_the_biggest_rise_and_fires(minute: Live) -> None:
    assert list(values(minute, OVERVIEW, "Biggest rise", "streamer")) == [RAIDED]
    [mean] = minute.prometheus.query(f'streamer:clipper_viewers:mean{{streamer="{RAIDED}"}}', minute.end)
    assert values(minute, OVERVIEW, "Biggest rise", "streamer")[RAIDED] == pytest.approx(4000 / mean.value, rel=0.1)
    query = panel_queries(panel(load(OVERVIEW), "Alerts firing", "table"))[0]
    firing = ask(minute, OVERVIEW, query, streamer=[RAIDED])
    # One that is not about a streamer is shown whoever is chosen.
    assert {(frame["labels"]["alertname"], frame["labels"].get("streamer")) for frame in firing} == {
        ("ClipperViewerSpike", RAIDED),
        ("ClipperUpdatesRejected", None),
    }
    assert {frame["labels"]["severity"] for frame in firing if "streamer" in frame["labels"]} == {"info", "warning"}
    assert all(0 < frame["values"][0] < PLAYED for frame in firing)
    assert values(minute, OVERVIEW, "Alerts firing", kind="stat", streamer=[RAIDED]) == len(firing)


def test_thresholds_are_those_of_the_alerts(minute: Live) -> None:
    drawn = values(minute, OVERVIEW, "Viewers relative to", "severity", ref=1)
    rules = minute.prometheus.values("clipper:viewer_spike_ratio:threshold", "severity")
    assert drawn == rules
    lines = values(minute, STREAMER_UID, "Viewers", "severity", ref=4, kind="timeseries", streamer=RAIDED)
    [mean] = minute.prometheus.query(f'streamer:clipper_viewers:mean{{streamer="{RAIDED}"}}', minute.end)
    assert lines == pytest.approx({severity: ratio * mean.value for severity, ratio in rules.items()}, rel=0.2)


def test_the_band_holds_the_mean(minute: Live) -> None:
    name = busiest(minute)
    mean, above, below = (
        values(minute, STREAMER_UID, "Viewers", ref=ref, kind="timeseries", streamer=name) for ref in (1, 2, 3)
    )
    assert 0 <= below < mean < above


def test_health_knows_what_was_accepted_and_refused(minute: Live) -> None:
    assert values(minute, HEALTH, "Updates refused") == REJECTED
    reasons = panel_queries(panel(load(HEALTH), "Updates refused by reason"))[0]
    # Until the end of the step that is under way.
    seen = replace(minute.view(), end=minute.end + reasons.step(minute.view()))
    frames = reasons.ask(minute.prometheus, load(HEALTH), seen)
    refused = {frame["labels"]["reason"]: sum(frame["values"]) for frame in frames}
    assert sum(refused.values()) == REJECTED
    held = set(minute.truth.store.get_all_stats()["viewer_counts"])
    assert values(minute, HEALTH, "Streamers held", kind="stat") == len(held) / Limits().streamers
    assert values(minute, HEALTH, "Exporters up") == 1
    assert values(minute, HEALTH, "Restarts") == 0
    stale = values(minute, HEALTH, "Time since last update", "streamer")
    assert held <= set(stale) <= set(minute.truth.viewers)
    for name in held:
        # The age at the newest step, which is up to one before the end, of a time that is a whole second.
        newest = int(minute.truth.updated[name]) + stale[name]
        assert minute.end - SCRAPE < newest <= minute.end
