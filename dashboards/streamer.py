"""One streamer in depth; alerts and the overview link here."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries

from dashboards import frame, queries, tables
from dashboards.frame import Place, Row
from dashboards.panels import (
    BLUE,
    GREY,
    ORANGE,
    RECORDING_STATES,
    bars,
    by_threshold,
    fixed,
    graph,
    in_colour,
    legend,
    limit_line,
    mapping,
    number,
    properties,
    query,
    states,
    steps,
    total,
    type_colours,
)
from dashboards.queries import ONE
from exporter.metrics import (
    CHAT_VELOCITY,
    CLIPS,
    LAST_TRIGGER,
    LAST_UPDATE,
    RECORDING,
    STREAMER,
    TRIGGERS,
    TYPE,
    VIEWERS,
    Family,
)

_NOT_LIVE: Final = "No data about this streamer in the time range."


def dashboard() -> dict[str, Any]:
    """The dashboard as JSON."""
    return frame.compose(
        frame.STREAMER_UID,
        "One streamer: viewers and chat with their recent means, triggers, recordings and clips.",
        [
            Row(
                4,
                [
                    Place(3, viewers_now()),
                    Place(3, ratio_now()),
                    Place(3, velocity_now()),
                    Place(3, recording_now()),
                    Place(3, triggers_in_range()),
                    Place(3, clips_in_range()),
                    Place(3, last_trigger()),
                    Place(3, last_update()),
                ],
            ),
            Row(9, [Place(24, viewers(), marked=True)]),
            Row(9, [Place(24, chat_velocity(), marked=True)]),
            Row(4, [Place(24, recording(), marked=True)]),
            Row(8, [Place(12, triggers_by_type()), Place(12, clips())]),
            Row(10, [Place(24, tables.around_triggers())]),
        ],
        [frame.job(), frame.instance(), frame.one_streamer(), frame.types()],
        who=ONE,
    )


# -- numbers


def viewers_now() -> stat.Panel:
    return number("Viewers", "Viewers now.", queries.per_streamer(VIEWERS, ONE), unit="locale").decimals(0)


def ratio_now() -> stat.Panel:
    panel = number(
        "Relative to recent mean",
        "Viewers now, divided by the mean of the last minutes. 1 is normal.",
        queries.recorded(VIEWERS, "ratio", ONE),
        unit="suffix:×",
    )
    return panel.decimals(2)


def velocity_now() -> stat.Panel:
    description = "Chat messages per minute, now."
    return number("Chat velocity", description, queries.per_streamer(CHAT_VELOCITY, ONE), unit="suffix: /min").decimals(
        0
    )


def recording_now() -> stat.Panel:
    panel = number(
        "Recording",
        "Whether the stream is being recorded now. If triggers fire without a recording, check the clipper.",
        queries.per_streamer(RECORDING, ONE),
        unit="none",
        course=False,
    )
    return panel.mappings([mapping(RECORDING_STATES)])


def triggers_in_range() -> stat.Panel:
    expr = queries.or_zero(queries.counted_in_range(TRIGGERS, who=ONE))
    return total("Triggers", "Triggers of the selected types in the time range.", expr)


def clips_in_range() -> stat.Panel:
    expr = queries.or_zero(queries.counted_in_range(CLIPS, who=ONE))
    return total("Clips", "Clips made in the time range.", expr)


def last_trigger() -> stat.Panel:
    panel = number(
        "Last trigger",
        "Time since the newest trigger of the selected types.",
        queries.age(LAST_TRIGGER, ONE),
        unit="s",
        no_value="none yet",
        course=False,
    )
    return panel.decimals(0)


def last_update() -> stat.Panel:
    panel = number(
        "Last update",
        "Time since the clipper's last update of this streamer. After two minutes, its numbers are old.",
        queries.age(LAST_UPDATE, ONE),
        unit="s",
        no_value="not live",
        course=False,
    )
    return panel.decimals(0).color_scheme(by_threshold()).thresholds(steps(BLUE, (120, ORANGE)))


# -- graphs


def viewers() -> timeseries.Panel:
    return _against_mean(
        VIEWERS,
        graph(
            "Viewers",
            "Viewers, their recent mean, and their usual band (two standard deviations). Above a dashed line an alert "
            "can fire. Marks are triggers: did they come before the rise, or after it?",
            unit="locale",
            no_value=_NOT_LIVE,
        ),
    )


def chat_velocity() -> timeseries.Panel:
    return _against_mean(
        CHAT_VELOCITY,
        graph(
            "Chat velocity",
            "Chat messages per minute, their recent mean, and their usual band (two standard deviations). Chat often "
            "rises before viewers do.",
            unit="suffix: /min",
            no_value=_NOT_LIVE,
        ),
    )


def _against_mean(family: Family, panel: timeseries.Panel) -> timeseries.Panel:
    """Values, their mean, the band around it, and the thresholds of the alerts."""
    panel = panel.decimals(0).with_target(query(queries.per_streamer(family, ONE), "now"))
    panel = panel.with_target(query(queries.recorded(family, "mean", ONE), "recent mean"))
    panel = panel.with_target(query(queries.band(family, "+", ONE), "usually below"))
    panel = panel.with_target(query(queries.band(family, "-", ONE), "usually above"))
    panel = panel.with_target(query(queries.spike_threshold(family, ONE), f"alert: {legend('severity')}"))
    edge = {"custom__lineWidth": 0, "custom__showPoints": "never", "color": in_colour(BLUE)}
    edge["custom__hideFrom"] = {"legend": True, "tooltip": False, "viz": False}
    return (
        panel.override_by_query("A", properties(color=in_colour(BLUE), custom__lineWidth=2))
        .override_by_query("B", properties(color=in_colour(GREY), custom__showPoints="never"))
        .override_by_query("C", properties(**edge, custom__fillBelowTo="usually above", custom__fillOpacity=12))
        .override_by_query("D", properties(**edge))
        .override_by_query("E", limit_line())
    )


def recording() -> statetimeline.Panel:
    return states(
        "Recording",
        "When the stream was being recorded. A trigger outside of a recording is a lost moment.",
        queries.per_streamer(RECORDING, ONE),
        legend(STREAMER),
        states=RECORDING_STATES,
        no_value="No clipper reports whether it records this streamer.",
    )


def triggers_by_type() -> timeseries.Panel:
    panel = bars(
        "Triggers by type",
        "Triggers in each interval of the graph. Types that come together usually have one cause.",
        queries.counted_per_step(TRIGGERS, TYPE, ONE),
        legend(TYPE),
        no_value="No triggers of this streamer in the time range.",
    )
    return type_colours(panel)


def clips() -> timeseries.Panel:
    panel = bars(
        "Clips",
        "Clips made in each interval of the graph. If none follow triggers, check the clipper's disk and log.",
        queries.counted_per_step(CLIPS, STREAMER, ONE),
        "clips",
        no_value="No clips of this streamer in the time range.",
    )
    return panel.color_scheme(fixed(BLUE))
