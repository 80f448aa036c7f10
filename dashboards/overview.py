"""The overview: all streamers at a glance."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common

from dashboards import frame, queries, tables
from dashboards.frame import Place, Row
from dashboards.panels import (
    BLUE,
    ORANGE,
    RECORDING_STATES,
    bars,
    by_threshold,
    graph_of_many,
    legend,
    number,
    query,
    states,
    steps,
    total,
    type_colours,
    with_limit,
)
from exporter.metrics import CHAT_VELOCITY, STREAMER, TRIGGERS, TYPE, VIEWERS

_NO_STREAMER: Final = "No streamer is live. Streamers appear when a clipper reports them."
_NO_RATIO: Final = "No ratio yet. It needs two minutes of viewers, and alerts/rules.yml loaded in Prometheus."


def dashboard() -> dict[str, Any]:
    """The dashboard as JSON."""
    return frame.compose(
        frame.OVERVIEW,
        "Who is live, how many watch, how fast chat is, what triggered, and what is being recorded.",
        [
            Row(
                4,
                [
                    Place(3, streamers_live()),
                    Place(3, viewers_in_total()),
                    Place(3, biggest_rise()),
                    Place(3, recording_now()),
                    Place(3, triggers_in_range()),
                    Place(3, clips_in_range()),
                    Place(3, alerts_count()),
                    Place(3, exporters_up()),
                ],
            ),
            Row(10, [Place(12, viewers(), marked=True), Place(12, chat_velocity(), marked=True)]),
            Row(9, [Place(12, spike_ratio()), Place(12, recordings())]),
            Row(8, [Place(12, triggers_by_type()), Place(12, tables.firing_alerts())]),
            Row(12, [Place(24, tables.streamers())]),
        ],
        [frame.job(), frame.instance(), frame.streamers(), frame.types()],
        who=queries.MANY,
    )


# -- numbers


def streamers_live() -> stat.Panel:
    return number(
        "Streamers live",
        "Streamers that clippers are watching now. If some are missing, look at Exporter health.",
        queries.STREAMERS_LIVE,
        unit="locale",
    )


def viewers_in_total() -> stat.Panel:
    return number(
        "Viewers", "Viewers of all selected streamers together, now.", queries.TOTAL_VIEWERS, unit="locale"
    ).decimals(0)


def biggest_rise() -> stat.Panel:
    description = "The streamer furthest above their recent mean now, ignoring channels too small for alerts."
    panel = number(
        "Biggest rise",
        description,
        queries.BIGGEST_RISE,
        unit="suffix: × mean",
        legend=legend(STREAMER),
        course=False,
    )
    panel = panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    return panel.decimals(2).data_links([frame.streamer_link(f"__field.labels.{STREAMER}")])


def recording_now() -> stat.Panel:
    return number("Recording now", "Streamers that are being recorded now.", queries.RECORDING_NOW, unit="locale")


def triggers_in_range() -> stat.Panel:
    return total("Triggers", "Triggers of the selected types in the time range.", queries.TRIGGERS_IN_RANGE)


def clips_in_range() -> stat.Panel:
    return total("Clips", "Clips made in the time range.", queries.CLIPS_IN_RANGE)


def alerts_count() -> stat.Panel:
    panel = number(
        "Alerts firing", "Alerts that fire now. The table below lists them.", queries.FIRING_COUNT, unit="locale"
    )
    return panel.color_scheme(by_threshold()).thresholds(steps(BLUE, (1, ORANGE)))


def exporters_up() -> stat.Panel:
    panel = number(
        "Exporters up",
        "Share of the selected exporters that Prometheus can scrape. Below 100 %, numbers are missing.",
        f"avg({queries.UP})",
        unit="percentunit",
        no_value="none",
    )
    return panel.decimals(0).color_scheme(by_threshold()).thresholds(steps(ORANGE, (1, BLUE)))


# -- graphs


def viewers() -> timeseries.Panel:
    panel = graph_of_many(
        f"Viewers by streamer ({queries.TOP} largest)",
        "Viewers, on a logarithmic scale. Marks are triggers: hover over one for its type and streamer. Click a line "
        "to open its streamer.",
        unit="locale",
        no_value=_NO_STREAMER,
    ).decimals(0)
    scale = common_builders.ScaleDistributionConfig().type(common.ScaleDistribution.SYMLOG).log(10).linear_threshold(1)
    panel = panel.with_target(query(queries.largest_now(VIEWERS), legend(STREAMER))).scale_distribution(scale)
    return panel.data_links([frame.streamer_link(f"__field.labels.{STREAMER}")])


def chat_velocity() -> timeseries.Panel:
    panel = graph_of_many(
        f"Chat velocity by streamer ({queries.TOP} fastest)",
        "Chat messages per minute. A sudden burst is often worth a clip. Click a line to open its streamer.",
        unit="suffix: /min",
        no_value=_NO_STREAMER,
    ).decimals(0)
    panel = panel.with_target(query(queries.largest_now(CHAT_VELOCITY), legend(STREAMER)))
    return panel.data_links([frame.streamer_link(f"__field.labels.{STREAMER}")])


def spike_ratio() -> timeseries.Panel:
    panel = graph_of_many(
        f"Viewers relative to recent mean ({queries.TOP} highest)",
        "1 is the streamer's recent mean. Above a dashed line an alert can fire, unless the channel is too small.",
        unit="suffix:×",
        no_value=_NO_RATIO,
    ).decimals(2)
    panel = panel.with_target(query(queries.largest_ratio(VIEWERS), legend(STREAMER)))
    panel = with_limit(panel, queries.THRESHOLDS[VIEWERS.name], f"alert: {legend('severity')}")
    panel = panel.axis_soft_min(0.8).axis_soft_max(1.3)
    return panel.data_links([frame.streamer_link(f"__field.labels.{STREAMER}")])


def recordings() -> statetimeline.Panel:
    return states(
        f"Recording ({queries.TOP} recorded longest)",
        "When each streamer was being recorded. A trigger outside of a recording is a lost moment.",
        queries.RECORDED_MOST,
        legend(STREAMER),
        states=RECORDING_STATES,
        no_value="No clipper reports whether it records.",
    ).per_page(12)


def triggers_by_type() -> timeseries.Panel:
    panel = bars(
        "Triggers by type",
        "Triggers in each interval of the graph. If a type never or always fires, check its threshold.",
        queries.counted_per_step(TRIGGERS, TYPE),
        legend(TYPE),
        no_value="No triggers. Their counters start when a streamer is first seen.",
    )
    return type_colours(panel)
