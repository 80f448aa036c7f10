"""Panels about the exporter's clients: live subscribers, connections, refusals, web configuration."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import statetimeline, timeseries

from dashboards.panels import BLUE, BY_INSTANCE, NO_EXPORTER, ORANGE, bars, graph, legend, query, states, with_limit
from dashboards.queries import CERTIFICATE_THRESHOLD, counted_per_step, select
from exporter import metrics
from exporter.metrics import Family

_TRANSPORT: Final = legend(metrics.TRANSPORT)
_NO_TLS: Final = "No exporter has a web configuration file with TLS."


def subscribers() -> timeseries.Panel:
    return _within_limit(
        "Live subscribers",
        "Clients that get live updates, by transport: SSE (the page) or Socket.IO. At the limit, new ones are refused.",
        f"sum by ({metrics.TRANSPORT}) ({select(metrics.LIVE_SUBSCRIBERS)})",
        _TRANSPORT,
        metrics.LIVE_SUBSCRIBERS_LIMIT,
    )


def dropped() -> timeseries.Panel:
    return bars(
        "Live pushes skipped",
        "Pushes skipped because a subscriber was too slow. It gets the newest state with a later push.",
        counted_per_step(metrics.LIVE_DROPPED, metrics.TRANSPORT),
        _TRANSPORT,
        no_value=NO_EXPORTER,
    )


def connections() -> timeseries.Panel:
    return _within_limit(
        "Connections",
        "Open connections. At the limit, the one that is idle for longest is closed; if none is idle, new ones are "
        "refused.",
        select(metrics.CONNECTIONS),
        BY_INSTANCE,
        metrics.CONNECTIONS_LIMIT,
    )


def refused() -> timeseries.Panel:
    return bars(
        "Connections and requests refused",
        "Refused before they reached a route, by reason: limits, wrong passwords, not HTTP. The exporter's log has the "
        "addresses.",
        counted_per_step(metrics.HTTP_REFUSED, metrics.REASON),
        legend(metrics.REASON),
        no_value=NO_EXPORTER,
    )


def configuration() -> statetimeline.Panel:
    return states(
        "Web configuration",
        "Whether the web configuration file and its certificates are valid. If not, the previous ones stay in force, "
        "and the exporter's log says why.",
        select(metrics.WEB_CONFIG_SUCCEEDED),
        BY_INSTANCE,
        states={"0": ("invalid", ORANGE), "1": ("valid", BLUE)},
        no_value="No exporter has a web configuration file.",
    ).per_page(4)


def certificate() -> timeseries.Panel:
    panel = graph(
        "Certificate time left",
        "Time until each exporter's certificate expires. After that, Prometheus cannot scrape it. Replace the file; no "
        "restart is needed.",
        unit="s",
        no_value=_NO_TLS,
    )
    panel = panel.with_target(query(f"{select(metrics.CERTIFICATE_EXPIRES)} - time()", BY_INSTANCE))
    return with_limit(panel, CERTIFICATE_THRESHOLD, "alert").decimals(0)


def _within_limit(title: str, description: str, expr: str, by: str, limit: Family) -> timeseries.Panel:
    panel = graph(title, description, unit="locale", no_value=NO_EXPORTER).with_target(query(expr, by))
    return with_limit(panel, f"max({select(limit)})", "limit").decimals(0)
