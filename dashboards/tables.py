"""The tables of the dashboards: one query per column, joined by streamer or trigger."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import table

from dashboards import frame, queries
from dashboards.panels import (
    BLUE,
    GREY,
    ORANGE,
    RECORDING_STATES,
    columns,
    mapping,
    properties,
    rows,
    sorted_by,
    steps,
    transformation,
)
from dashboards.queries import AROUND
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
)


def firing_alerts() -> table.Panel:
    panel = rows(
        "Alerts firing",
        "Alerts that fire now, and for how long. Click a streamer to open it. The runbook says what to do.",
        [queries.FIRING_FOR],
        no_value="No alert is firing.",
    )
    fields = {
        "severity": "Severity",
        "alertname": "Alert",
        STREAMER: "Streamer",
        "instance": "Instance",
        "Value": "Firing for",
    }
    for step in columns(fields):
        panel = panel.with_transformation(step)
    severities = {"critical": ("critical", ORANGE), "warning": ("warning", ORANGE), "info": ("info", BLUE)}
    panel = panel.override_by_name(
        "Severity",
        properties(
            mappings=[mapping(severities)], custom__cellOptions={"type": "color-text"}, custom__width=110, noValue="–"
        ),
    )
    panel = panel.override_by_name(
        "Streamer", properties(links=[frame.streamer_link("__data.fields.Streamer").build()])
    )
    panel = panel.override_by_name("Firing for", properties(unit="s", decimals=0, custom__width=120))
    return panel.sort_by(sorted_by("Firing for", descending=False))


def streamers() -> table.Panel:
    """One row per streamer: one query per column, joined by streamer."""
    ratio = f"{queries.recorded(VIEWERS, 'ratio')}"
    columns_by_query = [
        ("Viewers", queries.per_streamer(VIEWERS), properties(unit="locale", decimals=0)),
        ("Ratio to mean", f"max by ({STREAMER}) ({ratio})", properties(unit="none", decimals=2)),
        ("Chat / min", queries.per_streamer(CHAT_VELOCITY), properties(unit="locale", decimals=0)),
        (
            "Recording",
            queries.per_streamer(RECORDING),
            properties(mappings=[mapping(RECORDING_STATES)], custom__cellOptions={"type": "color-background"}),
        ),
        (
            "Triggers",
            queries.of_live(queries.counted_in_range(TRIGGERS, STREAMER)),
            properties(unit="locale", decimals=0),
        ),
        ("Clips", queries.of_live(queries.counted_in_range(CLIPS, STREAMER)), properties(unit="locale", decimals=0)),
        ("Last trigger", queries.age(LAST_TRIGGER), properties(unit="s", decimals=0)),
        (
            "Last update",
            queries.age(LAST_UPDATE),
            properties(
                unit="s",
                decimals=0,
                thresholds=steps(BLUE, (30, GREY), (120, ORANGE)).build(),
                color={"mode": "thresholds"},
                custom__cellOptions={"type": "color-text"},
            ),
        ),
    ]
    panel = rows(
        "Streamers",
        "One row per live streamer. Triggers and clips are those of the time range; the last two columns are times "
        "since then. Click a column to sort, its icon to filter, a name to open the streamer.",
        [expr for _, expr, _ in columns_by_query],
        no_value="–",
    )
    panel = panel.with_transformation(transformation("joinByField", {"byField": STREAMER, "mode": "outer"}))
    values = {f"Value #{letter}": name for letter, (name, _, _) in zip("ABCDEFGH", columns_by_query, strict=True)}
    for step in columns({STREAMER: "Streamer", **values}):
        panel = panel.with_transformation(step)
    panel = panel.override_by_name(
        "Streamer",
        properties(links=[frame.streamer_link("__data.fields.Streamer").build()], custom__minWidth=180),
    )
    for name, _, looks in columns_by_query:
        panel = panel.override_by_name(name, looks)
    return panel.sort_by(sorted_by("Viewers"))


_AROUND_COLUMNS: Final = {
    "Time": (queries.trigger_moments(), {"unit": "dateTimeAsIso", "custom__width": 190}),
    "Viewers before": (queries.around_trigger(VIEWERS, -AROUND), {"unit": "locale", "decimals": 0}),
    "at trigger": (queries.around_trigger(VIEWERS, 0), {"unit": "locale", "decimals": 0}),
    "after": (queries.around_trigger(VIEWERS, AROUND), {"unit": "locale", "decimals": 0}),
    "Change": (
        queries.change_around_trigger(VIEWERS),
        {
            "unit": "percentunit",
            "decimals": 1,
            "thresholds": steps(GREY, (0.05, BLUE)).build(),
            "color": {"mode": "thresholds"},
            "custom__cellOptions": {"type": "color-text"},
        },
    ),
    "Chat before": (queries.around_trigger(CHAT_VELOCITY, -AROUND), {"unit": "locale", "decimals": 0}),
    "Chat at trigger": (queries.around_trigger(CHAT_VELOCITY, 0), {"unit": "locale", "decimals": 0}),
    "Chat after": (queries.around_trigger(CHAT_VELOCITY, AROUND), {"unit": "locale", "decimals": 0}),
}


def around_triggers() -> table.Panel:
    """One row per trigger: one query per column, each with a point at the step at which the trigger is old enough."""
    panel = rows(
        f"Around each trigger ({AROUND} s before and after)",
        f"Viewers and chat per minute {AROUND} s before each trigger, at it, and {AROUND} s after. If nothing follows "
        "a trigger, it may be too sensitive. Over ranges of many hours, times may be off by a few seconds.",
        [expr for expr, _ in _AROUND_COLUMNS.values()],
        no_value="–",
        instant=False,
    )
    # The finest resolution that Prometheus allows, so that values are as close to their times as possible.
    panel = panel.max_data_points(11000)
    panel = panel.with_transformation(transformation("merge", {}))
    values = {f"Value #{letter}": name for letter, name in zip("ABCDEFGH", _AROUND_COLUMNS, strict=True)}
    moment = values.pop("Value #A")
    for step in columns({"Value #A": moment, TYPE: "Type", **values}):
        panel = panel.with_transformation(step)
    for name, (_, looks) in _AROUND_COLUMNS.items():
        panel = panel.override_by_name(name, properties(**looks))
    return panel.sort_by(sorted_by("Time"))
