"""Panels about the exporter's process: memory, CPU, uptime."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import timeseries

from dashboards.panels import BY_INSTANCE, graph, query
from dashboards.queries import SELECTOR

_NO_PROCESS: Final = "Not reported: prometheus_client measures processes only on Linux."


def memory() -> timeseries.Panel:
    description = "Resident memory. It should level off after some hours."
    panel = graph("Memory", description, unit="bytes", no_value=_NO_PROCESS)
    return panel.with_target(query(f"process_resident_memory_bytes{{{SELECTOR}}}", BY_INSTANCE))


def cpu() -> timeseries.Panel:
    panel = graph("CPU", "CPU time used; 100 % is one core.", unit="percentunit", no_value=_NO_PROCESS)
    used = f"rate(process_cpu_seconds_total{{{SELECTOR}}}[$__rate_interval])"
    return panel.with_target(query(used, BY_INSTANCE)).decimals(1)


def time_since_start() -> timeseries.Panel:
    panel = graph(
        "Time since start",
        "Uptime of each exporter. A fall to 0 is a restart.",
        unit="s",
        no_value=_NO_PROCESS,
    )
    return panel.with_target(query(f"time() - process_start_time_seconds{{{SELECTOR}}}", BY_INSTANCE)).decimals(0)
