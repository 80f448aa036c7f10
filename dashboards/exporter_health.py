"""The dashboard of the exporters themselves, for when a number on the other dashboards is missing."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common

from dashboards import exporter_process, exporter_storage, exporter_web, frame, queries
from dashboards.frame import Place, Row
from dashboards.overview import exporters_up
from dashboards.panels import (
    BLUE,
    BY_INSTANCE,
    NO_EXPORTER,
    ORANGE,
    UP_STATES,
    bars,
    by_threshold,
    graph,
    legend,
    number,
    query,
    states,
    steps,
    total,
    with_limit,
)
from dashboards.queries import SELECTOR, counted_per_step, or_zero, select
from exporter import metrics


def dashboard() -> dict[str, Any]:
    """The dashboard as JSON."""
    return frame.compose(
        frame.HEALTH,
        "Whether exporters are scraped, accept what clippers send, and stay within their limits.",
        [
            Row(
                4,
                [
                    Place(4, exporters_up()),
                    Place(4, streamers_used()),
                    Place(4, updates_accepted()),
                    Place(4, updates_refused()),
                    Place(4, restarts()),
                    Place(4, version()),
                ],
            ),
            Row(7, [Place(12, up()), Place(12, staleness())]),
            Row(8, [Place(12, accepted()), Place(12, rejected())]),
            thirds(scrape_duration(), scrape_size(), samples()),
            thirds(streamers_held(), streamers_expired(), collector_failures()),
            thirds(exporter_web.subscribers(), exporter_web.dropped(), exporter_web.connections()),
            thirds(exporter_web.refused(), exporter_web.configuration(), exporter_web.certificate()),
            thirds(exporter_storage.up(), exporter_storage.lag(), exporter_storage.errors()),
            Row(8, [Place(12, exporter_storage.commits()), Place(12, exporter_storage.size())]),
            thirds(exporter_process.memory(), exporter_process.cpu(), exporter_process.time_since_start()),
        ],
        [frame.job(), frame.instance()],
    )


def thirds(*panels: timeseries.Panel | statetimeline.Panel) -> Row:
    return Row(8, [Place(8, panel) for panel in panels])


# -- numbers


def streamers_used() -> stat.Panel:
    panel = number(
        "Streamers held",
        "Share of its streamer limit that the fullest exporter uses. At 100 %, new streamers are refused.",
        f"max({select(metrics.STREAMERS)} / ({select(metrics.STREAMERS_LIMIT)} > 0))",
        unit="percentunit",
    )
    return panel.decimals(1).color_scheme(by_threshold()).thresholds(steps(BLUE, (0.9, ORANGE)))


def updates_accepted() -> stat.Panel:
    panel = number(
        "Updates accepted",
        "Updates per second from clippers, now. 0 means that no clipper is writing.",
        f"sum(rate({select(metrics.UPDATES)}[$__rate_interval]))",
        unit="suffix: /s",
    )
    return panel.decimals(1)


def updates_refused() -> stat.Panel:
    panel = total(
        "Updates refused",
        "Updates refused in the time range. The graph below shows the reasons, the exporter's log the details.",
        or_zero(queries.counted_in_range(metrics.UPDATES_REJECTED)),
    )
    return panel.color_scheme(by_threshold()).thresholds(steps(BLUE, (1, ORANGE)))


def restarts() -> stat.Panel:
    panel = total(
        "Restarts",
        "Restarts of exporters in the time range. Without storage, a restart sets counters to 0.",
        f"sum(changes(process_start_time_seconds{{{SELECTOR}}}[$__range]))",
        no_value="not reported",
    )
    return panel.color_scheme(by_threshold()).thresholds(steps(BLUE, (1, ORANGE)))


def version() -> stat.Panel:
    panel = number(
        "Version",
        "Versions that are running. Two versions mean that an update is not finished.",
        f"count by (version) ({select(metrics.BUILD_INFO)})",
        unit="none",
        legend=legend("version"),
        course=False,
    )
    return panel.text_mode(common.BigValueTextMode.NAME)


# -- graphs


def up() -> statetimeline.Panel:
    return states(
        "Scrape state",
        "Whether Prometheus could scrape each exporter. While it could not, all other panels have a gap.",
        queries.UP,
        BY_INSTANCE,
        states=UP_STATES,
        no_value="No exporter is known. Does prometheus.yml name its address?",
    ).per_page(8)


def staleness() -> timeseries.Panel:
    panel = graph(
        f"Time since last update ({queries.TOP} longest)",
        "Time since each streamer was last updated. A line that climbs means that its clipper has stopped. The line "
        "ends when the exporter drops the streamer (--stats.stale-after).",
        unit="s",
        no_value="The exporters hold no streamer.",
    )
    panel = panel.with_target(query(queries.STALEST, legend(metrics.STREAMER)))
    return with_limit(panel, queries.UPDATE_AGE_THRESHOLD, "alert").decimals(0)


def accepted() -> timeseries.Panel:
    panel = graph(
        "Updates accepted",
        "Updates per second, by origin: the exporter's own process, or HTTP.",
        unit="suffix: /s",
        no_value=NO_EXPORTER,
    )
    expr = f"sum by ({metrics.VIA}) (rate({select(metrics.UPDATES)}[$__rate_interval]))"
    return panel.with_target(query(expr, legend(metrics.VIA))).decimals(1)


def rejected() -> timeseries.Panel:
    return bars(
        "Updates refused by reason",
        "Refused updates change nothing. The exporter's log says what was wrong with them.",
        counted_per_step(metrics.UPDATES_REJECTED, metrics.REASON),
        legend(metrics.REASON),
        no_value=NO_EXPORTER,
    )


def scrape_duration() -> timeseries.Panel:
    panel = graph(
        "Scrape duration",
        "Duration of a scrape, measured by Prometheus and by the exporter. The difference is the network.",
        unit="s",
        no_value=NO_EXPORTER,
    )
    panel = panel.with_target(query(f"scrape_duration_seconds{{{SELECTOR}}}", f"{BY_INSTANCE} Prometheus"))
    return panel.with_target(query(select(metrics.SCRAPE_DURATION), f"{BY_INSTANCE} exporter"))


def scrape_size() -> timeseries.Panel:
    panel = graph(
        "Scrape size",
        "Size of a scrape before compression. It grows with the number of streamers and trigger types.",
        unit="bytes",
        no_value=NO_EXPORTER,
    )
    return panel.with_target(query(select(metrics.SCRAPE_SIZE), BY_INSTANCE))


def samples() -> timeseries.Panel:
    panel = graph(
        "Samples",
        "Samples in a scrape, which Prometheus stores each time.",
        unit="locale",
        no_value=NO_EXPORTER,
    )
    return panel.with_target(query(f"scrape_samples_scraped{{{SELECTOR}}}", BY_INSTANCE)).decimals(0)


def streamers_held() -> timeseries.Panel:
    panel = graph(
        "Streamers held",
        "Streamers in each exporter, and the limit, which is on the right-hand axis.",
        unit="locale",
        no_value=NO_EXPORTER,
    )
    panel = panel.with_target(query(select(metrics.STREAMERS), BY_INSTANCE))
    limit = select(metrics.STREAMERS_LIMIT)
    return with_limit(panel, limit, f"{BY_INSTANCE} limit", custom__axisPlacement="right").decimals(0)


def streamers_expired() -> timeseries.Panel:
    return bars(
        "Streamers expired",
        "Streamers dropped because nothing updated them. None, if the clipper clears streamers when their streams end.",
        counted_per_step(metrics.STREAMERS_EXPIRED, "instance"),
        BY_INSTANCE,
        no_value=NO_EXPORTER,
    )


def collector_failures() -> timeseries.Panel:
    return bars(
        "Collector failures",
        "Scrapes without the metrics of a collector that failed. The exporter's log has the error.",
        counted_per_step(metrics.COLLECTOR_FAILURES, metrics.COLLECTOR),
        legend(metrics.COLLECTOR),
        no_value="No collector has failed.",
    )
