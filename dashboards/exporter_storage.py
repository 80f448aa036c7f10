"""Panels about the exporter's storage."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import statetimeline, timeseries

from dashboards.panels import BLUE, BY_INSTANCE, ORANGE, bars, graph, legend, query, states, with_limit
from dashboards.queries import STORAGE_LAG_THRESHOLD, counted_per_step, select
from exporter import metrics

_NO_STORAGE: Final = "No exporter stores its counters on disk (--storage.path)."


def up() -> statetimeline.Panel:
    return states(
        "Storage",
        "Whether counters can be written to disk. If not, a restart loses them, and pushes are answered with 503.",
        select(metrics.STORAGE_UP),
        BY_INSTANCE,
        states={"0": ("failing", ORANGE), "1": ("working", BLUE)},
        no_value=_NO_STORAGE,
    ).per_page(4)


def lag() -> timeseries.Panel:
    panel = graph(
        "Storage lag",
        "Age of the oldest change that is not on disk yet. A crash would lose the changes since then.",
        unit="s",
        no_value=_NO_STORAGE,
    )
    panel = panel.with_target(query(select(metrics.STORAGE_LAG), BY_INSTANCE))
    return with_limit(panel, STORAGE_LAG_THRESHOLD, "alert")


def errors() -> timeseries.Panel:
    return bars(
        "Storage errors",
        "Failures to open the storage or to commit, by reason. The exporter's log says what to do.",
        counted_per_step(metrics.STORAGE_ERRORS, metrics.REASON),
        legend(metrics.REASON),
        no_value=_NO_STORAGE,
    )


def commits() -> timeseries.Panel:
    panel = graph(
        "Storage commits",
        "Commits to disk per second. A commit writes everything that has changed since the previous one.",
        unit="suffix: /s",
        no_value=_NO_STORAGE,
    )
    rate = f"rate({select(metrics.STORAGE_COMMITS)}[$__rate_interval])"
    return panel.with_target(query(rate, BY_INSTANCE)).decimals(1)


def size() -> timeseries.Panel:
    panel = graph(
        "Storage size",
        "Size of the storage files. It grows with the number of streamers and of event ids, up to a limit.",
        unit="bytes",
        no_value=_NO_STORAGE,
    )
    return panel.with_target(query(select(metrics.STORAGE_SIZE), BY_INSTANCE))
