"""Shared by all dashboards: variables, annotations, links, and the layout of panels in rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from string import ascii_uppercase
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from dashboards import panels, queries
from exporter.metrics import BUILD_INFO, LAST_UPDATE, STREAMER, TRIGGERS, TYPE

GRID_WIDTH: Final = 24
DATASOURCE_UID: Final = "clipper-prometheus"
GRAFANA: Final = "13.1.3"
TRIGGERS_NAME: Final = "Triggers"

OVERVIEW: Final = "clipper-overview"
STREAMER_UID: Final = "clipper-streamer"
HEALTH: Final = "clipper-exporter-health"
TITLES: Final = {OVERVIEW: "Clipper: Overview", STREAMER_UID: "Clipper: Streamer", HEALTH: "Clipper: Exporter health"}

# Variables that a link passes on. Not the streamer: the overview has many, the streamer's dashboard one.
_SHARED: Final = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${type:queryparam}"


@dataclass(frozen=True, slots=True)
class Place:
    """A panel and the columns of the grid that it takes; on a ``marked`` panel the annotations are drawn."""

    width: int
    panel: Builder[dashboard.Panel]
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, all of one ``height``, together as wide as the grid."""

    height: int
    places: Sequence[Place]


def compose(
    uid: str,
    description: str,
    rows: Sequence[Row],
    variables: Sequence[Builder[dashboard.VariableModel]],
    *,
    who: str | None = None,
) -> dict[str, Any]:
    """Return a dashboard as the JSON that Grafana provisions from a file.

    ``who`` matches the streamers whose triggers and recordings are annotations; without it there are none. Raises
    ``ValueError`` for a row that does not fill the grid.
    """
    placed = list(_placed(rows))
    marked = [panel.id_val for panel, place in placed if place.marked and panel.id_val is not None]
    builder = (
        builders.Dashboard(TITLES[uid])
        .uid(uid)
        .description(description)
        .tags(["clipper"])
        .readonly()
        .refresh("5s")
        .time("now-30m", "now")
        .timepicker(builders.TimePicker().refresh_intervals(["5s", "10s", "30s", "1m", "5m"]))
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .variables([datasource(), *variables])
        .annotations(marks(who, marked) if who else [])
        .links([_link(uid, other) for other in TITLES if other != uid])
    )
    built = builder.build()
    built.panels = [panel for panel, _ in placed]
    return _finished(json.loads(json.dumps(built, cls=JSONEncoder)))


def _placed(rows: Sequence[Row]) -> Iterator[tuple[dashboard.Panel, Place]]:
    """Number the panels and their queries and give every panel its place on the grid."""
    number = 0
    for row, bottom in zip(rows, accumulate(row.height for row in rows), strict=True):
        ends = list(accumulate(place.width for place in row.places))
        if ends[-1] != GRID_WIDTH:
            raise ValueError(f"widths: expected {GRID_WIDTH} together, got {[place.width for place in row.places]}")
        for place, end in zip(row.places, ends, strict=True):
            number += 1
            panel = place.panel.build()
            panel.id_val = number
            panel.plugin_version = GRAFANA
            panel.datasource = panels.DATASOURCE
            panel.grid_pos = dashboard.GridPos(h=row.height, w=place.width, x=end - place.width, y=bottom - row.height)
            for letter, target in zip(ascii_uppercase, panel.targets or [], strict=False):
                target.ref_id = letter  # type: ignore[attr-defined]  # the SDK's type is that of any data source
            yield panel, place


def _finished(document: dict[str, Any]) -> dict[str, Any]:
    """Correct what the SDK cannot express."""
    # The SDK always hides links and annotations in a menu.
    for hidden in (*document["links"], *document["annotations"].get("list", [])):
        del hidden["placement"]
    # The SDK does not know the option that draws markers together if there are too many for the width.
    for panel in document["panels"]:
        if panel["type"] == "timeseries":
            panel["options"]["annotations"] = {"clustering": 1, "multiLane": False}
    return document


def datasource() -> builders.DatasourceVariable:
    """The Prometheus data source: ours, unless another is selected."""
    return (
        builders.DatasourceVariable("datasource")
        .type("prometheus")
        .label("Data source")
        .current(dashboard.VariableOption(selected=True, text="Prometheus", value=DATASOURCE_UID))
    )


def job() -> builders.QueryVariable:
    """The scrape jobs of exporters. "All" means these jobs, not every job, because ``up`` exists for every job."""
    return _choice("job", "Job", f"label_values({BUILD_INFO.name}, job)").multi(True).include_all(True).current(_all())


def instance() -> builders.QueryVariable:
    """The exporters of the selected jobs, including those that are down."""
    query = f'label_values({BUILD_INFO.name}{{job=~"$job"}}, instance)'
    return _many(_choice("instance", "Instance", query))


def streamers() -> builders.QueryVariable:
    """Any streamers, all at first."""
    return _many(_streamer("Streamers"))


def one_streamer() -> builders.QueryVariable:
    """One streamer; the first one, unless the link that led here names another."""
    return _streamer("Streamer")


def types() -> builders.QueryVariable:
    """Trigger types, all at first."""
    return _many(_choice(TYPE, "Trigger type", f"label_values({TRIGGERS.name}{{{queries.SELECTOR}}}, {TYPE})"))


def _streamer(label: str) -> builders.QueryVariable:
    return _choice(STREAMER, label, f"label_values({LAST_UPDATE.name}{{{queries.SELECTOR}}}, {STREAMER})")


def _choice(name: str, label: str, query: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(panels.DATASOURCE)
        .query({"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
        .definition(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )


def _many(variable: builders.QueryVariable) -> builders.QueryVariable:
    return variable.multi(True).include_all(True).all_value(".+").current(_all())


def _all() -> dashboard.VariableOption:
    return dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])


def marks(who: str, panel_ids: Sequence[int]) -> list[Builder[dashboard.AnnotationQuery]]:
    """Every trigger at its own time; and, if switched on, the steps at which recordings start and stop."""
    triggers = _annotation(TRIGGERS_NAME, queries.trigger_times(who), panels.PURPLE, panel_ids)
    triggers = triggers.use_value_for_time(True).title_format(panels.legend(TYPE)).text_format(panels.legend(STREAMER))
    triggers = triggers.tag_keys(f"{STREAMER},{TYPE}")
    recordings: list[tuple[str, Callable[[str], str], str]] = [
        ("Recording started", queries.recording_started, panels.BLUE),
        ("Recording stopped", queries.recording_stopped, panels.ORANGE),
    ]
    return [
        triggers,
        *(
            _annotation(name, query(who), colour, panel_ids)
            .enable(False)
            .title_format(name)
            .text_format(panels.legend(STREAMER))
            .tag_keys(STREAMER)
            for name, query, colour in recordings
        ),
    ]


def _annotation(name: str, expr: str, colour: str, panel_ids: Sequence[int]) -> builders.AnnotationQuery:
    target = panels.query(expr).ref_id("Anno").interval("5s")
    return (
        builders.AnnotationQuery()
        .name(name)
        .datasource(panels.DATASOURCE)
        .enable(True)
        .icon_color(colour)
        .filter(builders.AnnotationPanelFilter().exclude(False).ids(list(panel_ids)))
        .target(target)
    )


def _link(source: str, target: str) -> builders.DashboardLink:
    """A link that keeps the time range and the variables that the other dashboard has as well."""
    one_and_many = {source, target} == {OVERVIEW, STREAMER_UID}
    return (
        builders.DashboardLink(TITLES[target].removeprefix("Clipper: "))
        .type(dashboard.DashboardLinkType.LINK)
        .icon("dashboard")
        .tooltip(TITLES[target])
        .url(f"/d/{target}?{_SHARED}" if one_and_many else f"/d/{target}")
        .keep_time(True)
        .include_vars(not one_and_many)
    )


def streamer_link(name: str) -> builders.DashboardLink:
    """A link from a value to its streamer's dashboard; ``name`` is the variable that holds the streamer."""
    return (
        builders.DashboardLink("Show ${" + name + "}")
        .type(dashboard.DashboardLinkType.LINK)
        .url(f"/d/{STREAMER_UID}?var-{STREAMER}=${{{name}:percentencode}}&{_SHARED}&${{__url_time_range}}")
    )
