"""Panels about an exporter's clients: who listens live, who is connected, and who is turned away."""

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
        "Clients that live updates are pushed to, by transport: pages over SSE, and clients of Socket.IO. At the limit "
        "further ones are refused.",
        f"sum by ({metrics.TRANSPORT}) ({select(metrics.LIVE_SUBSCRIBERS)})",
        _TRANSPORT,
        metrics.LIVE_SUBSCRIBERS_LIMIT,
    )


def dropped() -> timeseries.Panel:
    return bars(
        "Live pushes left out",
        "Pushes that a subscriber was too slow for. Nothing is lost: it gets the newest state with a later one.",
        counted_per_step(metrics.LIVE_DROPPED, metrics.TRANSPORT),
        _TRANSPORT,
        no_value=NO_EXPORTER,
    )


def connections() -> timeseries.Panel:
    return _within_limit(
        "Connections",
        "Connections that are open. At the limit the one idle for longest is closed, or the new one refused.",
        select(metrics.CONNECTIONS),
        BY_INSTANCE,
        metrics.CONNECTIONS_LIMIT,
    )


def refused() -> timeseries.Panel:
    return bars(
        "Connections and requests refused",
        "Refused before they reached a route, by reason: limits, wrong passwords, and what is not HTTP. The exporter's "
        "log says from where.",
        counted_per_step(metrics.HTTP_REFUSED, metrics.REASON),
        legend(metrics.REASON),
        no_value=NO_EXPORTER,
    )


def configuration() -> statetimeline.Panel:
    return states(
        "Web configuration",
        "Whether the web configuration file and its certificates can be used as they are now. If not, what was in "
        "force before still is, and the exporter's log says why.",
        select(metrics.WEB_CONFIG_SUCCEEDED),
        BY_INSTANCE,
        states={"0": ("not usable", ORANGE), "1": ("in force", BLUE)},
        no_value="No exporter has a web configuration file.",
    ).per_page(4)


def certificate() -> timeseries.Panel:
    panel = graph(
        "Certificate's time left",
        "Time until each exporter's certificate ends, after which Prometheus cannot scrape it. A new one is picked up "
        "from its file.",
        unit="s",
        no_value=_NO_TLS,
    )
    panel = panel.with_target(query(f"{select(metrics.CERTIFICATE_EXPIRES)} - time()", BY_INSTANCE))
    return with_limit(panel, CERTIFICATE_THRESHOLD, "alert").decimals(0)


def _within_limit(title: str, description: str, expr: str, by: str, limit: Family) -> timeseries.Panel:
    panel = graph(title, description, unit="locale", no_value=NO_EXPORTER).with_target(query(expr, by))
    return with_limit(panel, f"max({select(limit)})", "limit").decimals(0)
