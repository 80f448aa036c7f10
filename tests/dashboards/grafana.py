"""What Grafana does between a dashboard and Prometheus: variables and macros filled in, the step chosen, queries sent.

After pkg/promlib/models/query.go and packages/grafana-prometheus of Grafana's sources. What happens to the answers is
done by Grafana's own code, in ``grafana/evaluate.cjs``.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tooling.checkout import ROOT
from tooling.node import Installed
from tooling.promql import PromQL

GENERATED: Final = ROOT / "dashboards/generated"
_EVALUATE: Final = Path(__file__).parent / "grafana/evaluate.cjs"
SAFE_POINTS: Final = 11_000
ALL: Final = "$__all"
# Intervals up to the first number of seconds become the second; what is above the last becomes a day here.
_ROUNDED: Final = (
    (0.075, 0.05), (0.15, 0.1), (0.35, 0.2), (0.75, 0.5), (1.5, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15),
    (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600), (1050, 900), (1500, 1200), (2700, 1800),
    (5400, 3600), (9000, 7200), (16200, 10800), (32400, 21600), (86400, 43200), (math.inf, 86400),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """A dashboard open in a browser: Unix times, pixels, the data source's interval, and the variables' values."""

    start: float
    end: float
    width: int = 1000
    scrape: float = 5.0
    variables: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """A query as the data source gets it: a panel's, a variable's or an annotation's."""

    where: str
    target: Mapping[str, Any]
    max_data_points: int | None = None

    @property
    def instant(self) -> bool:
        return bool(self.target.get("instant"))

    def interval(self, view: View) -> float:
        """What the browser makes of the range and the width, in seconds."""
        return max(rounded((view.end - view.start) / (self.max_data_points or view.width)), view.scrape)

    def step(self, view: View) -> float:
        """The step of the range query, in seconds: never more points than Prometheus allows."""
        least = seconds(self.target.get("interval") or f"{view.scrape:g}s")
        span = view.end - view.start
        return max(rounded(span / (self.max_data_points or view.width)), least, rounded(span / SAFE_POINTS))

    def expression(self, dashboard: Mapping[str, Any], view: View) -> str:
        """The PromQL that is sent."""
        expr = fill(self.target["expr"], dashboard, view)
        step, span = self.step(view), round(view.end - view.start)
        scrape = seconds(self.target.get("interval") or f"{view.scrape:g}s")
        rate = max(self.interval(view) + scrape, 4 * scrape)
        macros = {
            "$__interval_ms": f"{step * 1000:.0f}",
            "$__interval": f"{step * 1000:.0f}ms",
            "$__range_s": f"{span}",
            "$__range": f"{span}s",
            "$__rate_interval": f"{rate * 1000:.0f}ms",
        }
        for macro, value in macros.items():
            expr = expr.replace(macro, value)
        assert not re.search(r"\$(__\w+|datasource|job|instance|streamer|type)\b", expr), f"{self.where}: {expr}"
        return expr

    def ask(self, prometheus: PromQL, dashboard: Mapping[str, Any], view: View) -> list[dict[str, Any]]:
        """Send the query; return its answer as ``evaluate.cjs`` takes it."""
        expr, step = self.expression(dashboard, view), self.step(view)
        about = {"refId": self.target["refId"], "step": f"{step:g}s"}
        if self.instant:
            return [
                {**about, "labels": dict(sample.labels), "times": [sample.time * 1000], "values": [sample.value]}
                for sample in prometheus.query(expr, view.end)
            ]
        start, end = (math.floor(edge / step) * step for edge in (view.start, view.end))
        return [
            {
                **about,
                "labels": dict(series.labels),
                "times": [time * 1000 for time, _ in series.points],
                "values": [value for _, value in series.points],
            }
            for series in prometheus.query_range(expr, start, end, step)
        ]


def load(uid: str) -> dict[str, Any]:
    """The generated dashboard."""
    document: dict[str, Any] = json.loads((GENERATED / f"{uid}.json").read_text(encoding="utf-8"))
    return document


def panel(dashboard: Mapping[str, Any], title: str, kind: str | None = None) -> dict[str, Any]:
    """The one panel with this title, or else that starts so, of this kind."""
    of_kind = [each for each in dashboard["panels"] if kind in (None, each["type"])]
    exact = [each for each in of_kind if each["title"] == title]
    [found] = exact or [each for each in of_kind if each["title"].startswith(title)]
    return dict(found)


def queries(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    """Every query of the dashboard's panels and annotations."""
    for each in dashboard["panels"]:
        yield from panel_queries(each)
    for annotation in dashboard["annotations"].get("list", []):
        yield annotation_query(annotation)


def panel_queries(each: Mapping[str, Any]) -> list[Query]:
    where = f"{each['title']}/"
    return [Query(where + target["refId"], target, each.get("maxDataPoints")) for target in each["targets"]]


def annotation_query(annotation: Mapping[str, Any]) -> Query:
    return Query(f"annotation {annotation['name']}", annotation["target"])


def fill(text: str, dashboard: Mapping[str, Any], view: View) -> str:
    """Put the variables' values in their places, each as its variable says."""
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        if f"${name}" in text:
            value = view.variables[name]
            text = re.sub(rf"\${name}\b", lambda _, it=variable, to=value: escaped(it, to), text)  # type: ignore[misc]
    return text


def escaped(variable: Mapping[str, Any], value: str | Sequence[str]) -> str:
    if not variable.get("multi") and not variable.get("includeAll"):
        assert isinstance(value, str)
        return value.replace("\\", "\\\\").replace('"', '\\"')
    if value == ALL:
        assert "allValue" in variable, f"{variable['name']}: all its values have to be given"
        return str(variable["allValue"])
    values = [value] if isinstance(value, str) else value
    alternatives = [re.sub(r"([$^*{}\[\]'+?.()|])", r"\\\\\1", _in_string(each)) for each in values]
    return alternatives[0] if len(alternatives) == 1 else f"({'|'.join(alternatives)})"


def _in_string(value: str) -> str:
    return value.replace("\\", "\\\\\\\\").replace('"', '\\\\\\"')


def rounded(interval: float) -> float:
    return next(to for limit, to in _ROUNDED if interval <= limit)


def seconds(interval: str) -> float:
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m|h)", interval).groups()  # type: ignore[union-attr]
    return float(number) * units[unit]


def evaluate(code: Installed, tasks: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Hand ``tasks`` to Grafana's own code and return its results."""
    finished = subprocess.run(
        [code.node, _EVALUATE, code.folder], input=json.dumps(tasks), capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    results: list[Any] = json.loads(finished.stdout)
    return results
