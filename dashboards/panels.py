"""Shared by all panels: data source, colours, legends, queries, and the kinds of panels used here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="$datasource")

# Okabe and Ito's colours, which people with any colour vision can tell apart, brightened for dark backgrounds.
# Blue is good, orange needs attention; red and green have no meaning.
BLUE: Final = "#56B4E9"
ORANGE: Final = "#E69F00"
PURPLE: Final = "#CC79A7"
YELLOW: Final = "#F0E442"
GREY: Final = "#8E8E8E"
QUIET: Final = "rgba(128, 128, 128, 0.25)"

TYPE_COLOURS: Final = {"viewer_spike": BLUE, "chat_velocity": ORANGE, "keyword": PURPLE, "emote_flood": YELLOW}
RECORDING_STATES: Final = {"0": ("not recording", QUIET), "1": ("recording", BLUE)}
UP_STATES: Final = {"0": ("down", ORANGE), "1": ("up", BLUE)}


# For the panels of Exporter health: the legend, and the text without data.
BY_INSTANCE: Final = "{{instance}}"
NO_EXPORTER: Final = "No exporter was scraped in the time range."


def legend(label: str) -> str:
    """The legend format that names a series after the value of its ``label``."""
    return f"{{{{{label}}}}}"


def query(expr: str, legend: str = "", *, instant: bool = False, as_table: bool = False) -> prometheus.Dataquery:
    """A query for a panel; :mod:`dashboards.frame` sets its refId."""
    target = prometheus.Dataquery().expr(expr).legend_format(legend).datasource(DATASOURCE)
    target = target.instant() if instant else target.range()
    return target.format(PromQueryFormat.TABLE if as_table else PromQueryFormat.TIME_SERIES)


def number(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str,
    no_value: str = "–",
    legend: str = "",
    course: bool = True,
) -> stat.Panel:
    """One large number, with its ``course`` over the time range behind it; without ``course``, an instant query."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .no_value(no_value)
        .with_target(query(expr, legend, instant=not course))
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.AREA if course else common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .color_scheme(fixed(BLUE))
        .text_mode(common.BigValueTextMode.VALUE)
    )


def total(title: str, description: str, expr: str, *, unit: str = "locale", no_value: str = "–") -> stat.Panel:
    """One number over the whole time range."""
    return number(title, description, expr, unit=unit, no_value=no_value, course=False).decimals(0)


def graph(title: str, description: str, *, unit: str, no_value: str) -> timeseries.Panel:
    """Lines over time with a legend below; gaps stay gaps."""
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .no_value(no_value)
        .line_width(1)
        .fill_opacity(0)
        .show_points(common.VisibilityMode.AUTO)
        .axis_soft_min(0)
        .color_scheme(dashboard_builders.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .tooltip(
            common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
        .legend(_legend(common.LegendDisplayMode.LIST, common.LegendPlacement.BOTTOM))
    )


def graph_of_many(title: str, description: str, *, unit: str, no_value: str) -> timeseries.Panel:
    """Lines over time for many series: the legend is a table on the right, largest first."""
    legend = _legend(common.LegendDisplayMode.TABLE, common.LegendPlacement.RIGHT)
    legend = legend.calcs(["lastNotNull", "max"]).sort_by("Last *").sort_desc(True).width(300)
    return graph(title, description, unit=unit, no_value=no_value).legend(legend)


def with_limit(panel: timeseries.Panel, expr: str, legend: str, **looks: object) -> timeseries.Panel:
    """Add a limit, as a dashed line, to a panel that has one query so far."""
    return panel.with_target(query(expr, legend)).override_by_query("B", [*limit_line(), *properties(**looks)])


def limit_line() -> list[dashboard.DynamicConfigValue]:
    """The style of a line that is a limit."""
    return properties(
        color=in_colour(ORANGE),
        custom__lineStyle={"fill": "dash", "dash": [8, 6]},
        custom__showPoints="never",
        links=[],
    )


def bars(title: str, description: str, expr: str, legend: str, *, no_value: str, step: str = "30s") -> timeseries.Panel:
    """Events per step as stacked bars, never thinner than ``step``."""
    panel = graph(title, description, unit="locale", no_value=no_value).decimals(0)
    target = query(expr, legend).interval(step)
    panel = panel.with_target(target).draw_style(common.GraphDrawStyle.BARS).fill_opacity(80).line_width(0)
    # A bar is drawn at the end of its step, when its events have been counted.
    panel = panel.bar_alignment(common.BarAlignment.BEFORE)
    panel = panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    return panel.legend(_legend(common.LegendDisplayMode.LIST, common.LegendPlacement.BOTTOM).calcs(["sum"]))


def type_colours(panel: timeseries.Panel) -> timeseries.Panel:
    """Give each trigger type the same colour on all panels."""
    for name, colour in TYPE_COLOURS.items():
        panel = panel.override_by_name(name, properties(color=in_colour(colour)))
    return panel


def states(
    title: str, description: str, expr: str, legend: str, *, states: Mapping[str, tuple[str, str]], no_value: str
) -> statetimeline.Panel:
    """One line per series that shows its ``states`` over time."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .unit("none")
        .no_value(no_value)
        .with_target(query(expr, legend))
        .mappings([mapping(states)])
        .color_scheme(fixed(QUIET))
        .show_value(common.VisibilityMode.NEVER)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(90)
        .merge_values(True)
        .legend(_legend(common.LegendDisplayMode.LIST, common.LegendPlacement.BOTTOM))
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE).sort(common.SortOrder.NONE))
    )


def rows(title: str, description: str, exprs: Iterable[str], *, no_value: str, instant: bool = True) -> table.Panel:
    """A table with pages and with a filter on every column; one query per column."""
    panel = table.Panel().title(title).description(description).unit("none").no_value(no_value).filterable(True)
    for expr in exprs:
        panel = panel.with_target(query(expr, instant=instant, as_table=True))
    return panel.cell_height(common.TableCellHeight.SM).footer(
        common_builders.TableFooterOptions().enable_pagination(True).show(False).reducer([])
    )


def sorted_by(column: str, *, descending: bool = True) -> list[Builder[common.TableSortByFieldState]]:
    """The order of a table's rows until the viewer chooses another."""
    return [common_builders.TableSortByFieldState().display_name(column).desc(descending)]


def columns(fields: Mapping[str, str]) -> list[dashboard.DataTransformerConfig]:
    """Transformations that keep the ``fields`` of a table, in this order, and rename them as mapped."""
    order = {name: index for index, name in enumerate(fields)}
    return [
        transformation("filterFieldsByName", {"include": {"names": list(fields)}}),
        transformation("organize", {"excludeByName": {}, "indexByName": order, "renameByName": dict(fields)}),
    ]


def transformation(name: str, options: Mapping[str, Any]) -> dashboard.DataTransformerConfig:
    """A transformation that Grafana applies to a table."""
    return dashboard.DataTransformerConfig(id_val=name, options=dict(options))


def fixed(colour: str) -> dashboard_builders.FieldColor:
    """One colour for every value."""
    return dashboard_builders.FieldColor().mode(dashboard.FieldColorModeId.FIXED).fixed_color(colour)


def steps(first: str, *above: tuple[float, str]) -> dashboard_builders.ThresholdsConfig:
    """Thresholds: the colour ``first``, and from each value on its colour."""
    return (
        dashboard_builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps(
            [
                dashboard.Threshold(value=None, color=first),
                *(dashboard.Threshold(value=value, color=colour) for value, colour in above),
            ]
        )
    )


def by_threshold() -> dashboard_builders.FieldColor:
    """The colour of the highest threshold that the value has reached."""
    return dashboard_builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)


def mapping(states: Mapping[str, tuple[str, str]]) -> dashboard.ValueMap:
    """Show values as a text in a colour."""
    results = {
        value: dashboard.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(states.items())
    }
    return dashboard.ValueMap(options=results)


def properties(**values: object) -> list[dashboard.DynamicConfigValue]:
    """The properties of an override; two underscores stand for a dot."""
    return [dashboard.DynamicConfigValue(id_val=name.replace("__", "."), value=value) for name, value in values.items()]


def in_colour(colour: str) -> dict[str, object]:
    """A property for an override: one colour."""
    return {"mode": "fixed", "fixedColor": colour}


def _legend(mode: common.LegendDisplayMode, placement: common.LegendPlacement) -> common_builders.VizLegendOptions:
    return common_builders.VizLegendOptions().show_legend(True).display_mode(mode).placement(placement).calcs([])
