"""Draws a dashboard's numbers and lines without Grafana: its layout, its queries, a real Prometheus's answers.

    PYTHONPATH=.:scripts python -m tests.dashboards.preview http://localhost:9090 docs/overview.svg

It is a sketch of what the panels hold, not of how Grafana looks.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from html import escape
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from dashboards.frame import OVERVIEW
from dashboards.panels import BLUE, GREY, ORANGE, QUIET, TYPE_COLOURS
from tests.dashboards.grafana import ALL, View, annotation_query, evaluate, load, panel_queries
from tooling.node import GRAFANA
from tooling.promql import PromQL

COLUMN, LINE, GAP = 58, 30, 6  # pixels of the grid
LINES: Final = (BLUE, ORANGE, "#CC79A7", "#F0E442", "#0072B2", "#D55E00", "#999999", "#FFFFFF", "#A6761D", "#7570B3")
TEXT, DIM, PANEL, BACK = "#d8d9da", "#8e8e8e", "#181b1f", "#0b0c0e"
Frames = list[dict[str, Any]]
Box = tuple[float, float, float, float]


def text(x: float, y: float, words: object, size: int = 12, colour: str = TEXT, *, anchor: str = "start") -> str:
    attributes = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
    return f"<text {attributes}>{escape(str(words))}</text>"


def rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def shown(value: float | None, field: dict[str, Any]) -> str:
    """A value in its unit, much as Grafana writes it."""
    if value is None or math.isnan(value):
        return "-"
    unit, decimals = field.get("unit", "none"), field.get("decimals", 0)
    if unit == "percentunit":
        return f"{value:.0%}"
    return f"{value:,.{decimals}f}" + (
        " s" if unit == "s" else unit.removeprefix("suffix:") if "suffix" in unit else ""
    )


def numbers(panel: dict[str, Any], frames: Frames, box: Box, _: View) -> Iterator[str]:
    x, y, width, height = box
    value = frames[-1]["values"][-1] if frames else None
    name = " ".join(frames[-1]["labels"].values()) if frames else ""
    colour = ORANGE if panel["title"] == "Alerts firing" and value else BLUE
    if name:
        yield text(x + width / 2, y + height - 10, name, 12, DIM, anchor="middle")
    yield text(
        x + width / 2, y + height * 0.62, shown(value, panel["fieldConfig"]["defaults"]), 24, colour, anchor="middle"
    )


def graph(panel: dict[str, Any], frames: Frames, box: Box, view: View) -> Iterator[str]:
    x, y, width, height = box
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    legend = 210 if panel["options"]["legend"]["placement"] == "right" else 0
    left, bottom, plot, tall = x + 52, y + height - 22, width - 66 - legend, height - 34
    scale: Callable[[float], float] = math.asinh if "scaleDistribution" in custom else float
    bars = custom.get("drawStyle") == "bars"
    highs = [value for frame in frames for value in frame["values"]]
    top = scale(max(highs, default=1) * (2.5 if bars else 1.05)) or 1
    low = scale(custom.get("axisSoftMin", 0) if not highs else min(custom.get("axisSoftMin", 0), *highs))

    def place(moment: float, value: float) -> tuple[float, float]:
        across = (moment / 1000 - view.start) / (view.end - view.start)
        return left + across * plot, bottom - (scale(value) - low) / (top - low) * tall

    for part in (0, 0.5, 1):
        value = low + part * (top - low)
        label = math.sinh(value) if scale is math.asinh else value
        yield rect(left, bottom - part * tall, plot, 1, "#2c3235")
        yield text(
            left - 6, bottom - part * tall + 4, shown(label, panel["fieldConfig"]["defaults"]), 10, DIM, anchor="end"
        )
    stacked: dict[float, float] = {}
    order = sorted(frames, key=lambda frame: -frame["values"][-1])
    for row, (frame, line) in enumerate(zip(order, cycle(LINES), strict=False)):
        threshold = "severity" in frame["labels"]
        name = ("alert: " if threshold else "") + " ".join(frame["labels"].values())
        colour = ORANGE if threshold else TYPE_COLOURS.get(name, line)
        now = shown(frame["values"][-1], panel["fieldConfig"]["defaults"])
        points = [place(*point) for point in zip(frame["times"], frame["values"], strict=True)]
        if bars:
            for (at, high), moment, value in zip(points, frame["times"], frame["values"], strict=True):
                base = stacked.get(moment, 0)
                stacked[moment] = base + bottom - high
                if value:
                    yield rect(at - 7, high - base, 6, bottom - high, colour)
        else:
            dash = ' stroke-dasharray="8 6"' if threshold else ""
            path = " ".join(f"{at:.1f},{high:.1f}" for at, high in points)
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.4"{dash}/>'
        if legend and row < 14:
            yield rect(x + width - legend, y + 18 + row * 16, 10, 3, colour)
            yield text(x + width - legend + 16, y + 23 + row * 16, name[:20], 11)
            yield text(x + width - 8, y + 23 + row * 16, now, 11, DIM, anchor="end")
        elif not legend:
            yield text(left + row * 120, y + height - 4, f"■ {name}", 11, colour)


def timeline(_: dict[str, Any], frames: Frames, box: Box, view: View) -> Iterator[str]:
    x, y, width, height = box
    left, plot, tall = x + 150, width - 160, (height - 12) / max(len(frames), 1)
    for row, frame in enumerate(sorted(frames, key=lambda frame: frame["labels"]["streamer"])):
        yield text(left - 8, y + row * tall + tall * 0.65, frame["labels"]["streamer"], 11, DIM, anchor="end")
        wide = plot / max((view.end - view.start) * 1000 / (frame["times"][1] - frame["times"][0]), 1)
        for moment, value in zip(frame["times"], frame["values"], strict=True):
            at = left + (moment / 1000 - view.start) / (view.end - view.start) * plot
            yield rect(at, y + row * tall + 3, wide + 0.3, tall * 0.75, BLUE if value else QUIET)


def table(panel: dict[str, Any], frames: Frames, box: Box, _: View) -> Iterator[str]:
    x, y, width, _height = box
    [[frame]] = evaluate(GRAFANA.fetch(), [{"kind": "table", "panel": panel, "frames": frames}]) or [[None]]
    fields = {
        each["matcher"]["options"]: {item["id"]: item["value"] for item in each["properties"]}
        for each in panel["fieldConfig"]["overrides"]
    }
    by, down = (panel["options"]["sortBy"][0][key] for key in ("displayName", "desc"))
    index = frame["names"].index(by)
    wide = width / len(frame["names"])
    for column, name in enumerate(frame["names"]):
        yield text(x + 8 + column * wide, y + 12, name, 12, BLUE)
        for row, values in enumerate(sorted(frame["rows"], key=lambda row: row[index] or 0, reverse=down)):
            value, field = values[column], fields.get(name, {})
            states = field.get("mappings", [{}])[0].get("options", {}) if field.get("mappings") else {}
            state = states.get(str(value if isinstance(value, str) else int(value or 0)))
            words = value if isinstance(value, str) else shown(value, field)
            if state and value is not None:
                words = state["text"]
            yield text(x + 8 + column * wide, y + 32 + row * 20, words, 12, BLUE if words == "recording" else TEXT)


KINDS: Final = {"stat": numbers, "timeseries": graph, "state-timeline": timeline, "table": table}


def draw(dashboard: dict[str, Any], prometheus: PromQL, view: View) -> Iterator[str]:
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) * LINE
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * COLUMN} {height}" font-family="sans-serif">'
    yield rect(0, 0, 24 * COLUMN, height, BACK)
    annotation = dashboard["annotations"]["list"][0]
    marks = annotation_query(annotation).ask(prometheus, dashboard, view)
    [triggers] = evaluate(GRAFANA.fetch(), [{"kind": "annotations", "annotation": annotation, "frames": marks}])
    for panel in dashboard["panels"]:
        x, w = (panel["gridPos"][key] * COLUMN for key in "xw")
        y, h = (panel["gridPos"][key] * LINE for key in "yh")
        yield rect(x + GAP / 2, y + GAP / 2, w - GAP, h - GAP, PANEL)
        yield text(x + 12, y + 22, panel["title"], 13)
        frames = [frame for query in panel_queries(panel) for frame in query.ask(prometheus, dashboard, view)]
        box = (x + 6.0, y + 30.0, w - 12.0, h - 36.0)
        if frames:
            yield from KINDS[panel["type"]](panel, frames, box, view)
        else:
            yield text(x + w / 2, y + h / 2, panel["fieldConfig"]["defaults"]["noValue"], 12, DIM, anchor="middle")
        if panel["id"] in annotation["filter"]["ids"]:
            for event in triggers["events"]:
                at = box[0] + 52 + (event["time"] / 1000 - view.start) / (view.end - view.start) * (box[2] - 276)
                if at > box[0] + 52:
                    colour = TYPE_COLOURS.get(event["title"], GREY)
                    dots = f'stroke="{colour}" stroke-dasharray="2 4" stroke-opacity="0.55"'
                    yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{box[1]}" y2="{box[1] + box[3] - 22}" {dots}/>'
    yield "</svg>"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="a Prometheus that has scraped an exporter for some minutes")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    given = parser.parse_args()
    prometheus, end = PromQL(given.url), time.time()
    jobs = [sample.labels["job"] for sample in prometheus.query("clipper_exporter_build_info")]
    view = View(end - given.minutes * 60, end, variables={"job": jobs, "instance": ALL, "streamer": ALL, "type": ALL})
    given.picture.write_text("\n".join(draw(load(OVERVIEW), prometheus, view)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
