"""The metric table: every ``clipper_*`` family, declared once as data.

The collector, renderer, documentation, dashboards and rules read this table; a family's name, type, help text and
labels are written only here. Names follow https://prometheus.io/docs/practices/naming/ and
https://prometheus.io/docs/instrumenting/writing_exporters/: base units, ``_total`` for counters and nothing else, event
times as ``*_timestamp_seconds``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

STREAMER: Final = "streamer"
TYPE: Final = "type"
VIA: Final = "via"
REASON: Final = "reason"
COLLECTOR: Final = "collector"
TRANSPORT: Final = "transport"


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric family and the source of its samples.

    ``name`` is the name of its samples, so a counter's ends in ``_total``. ``field`` is the attribute of a store's row
    with the value: a number if ``streamer`` is the only label, else a mapping from the other label's value to a number;
    ``None`` means no sample. ``whole`` truncates the value to a whole number, so that the sample changes less often.

    A family without ``field`` is an own metric of the exporter: ``own_numbers()`` of the store returns it, or
    :class:`~exporter.own_metrics.OwnMetrics` creates it.
    """

    name: str
    type: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()
    field: str = ""
    whole: bool = False

    @property
    def source(self) -> Literal["store", "self"]:
        """``"store"`` for values from a store's rows, ``"self"`` for own metrics."""
        return "store" if self.field else "self"


VIEWERS: Final = Family("clipper_viewers", "gauge", "Viewers now.", (STREAMER,), "viewers")
CHAT_VELOCITY: Final = Family(
    "clipper_chat_velocity", "gauge", "Chat messages per minute, as the clipper measures it.", (STREAMER,), "velocity"
)
RECORDING: Final = Family(
    "clipper_recording", "gauge", "1 while the stream is being recorded, else 0.", (STREAMER,), "recording"
)
TRIGGERS: Final = Family("clipper_triggers_total", "counter", "Trigger events.", (STREAMER, TYPE), "triggers")
CLIPS: Final = Family("clipper_clips_total", "counter", "Clips made.", (STREAMER,), "clips")
LAST_TRIGGER: Final = Family(
    "clipper_last_trigger_timestamp_seconds",
    "gauge",
    "Unix time of the newest trigger.",
    (STREAMER, TYPE),
    "last_triggers",
)
LAST_UPDATE: Final = Family(
    "clipper_last_update_timestamp_seconds",
    "gauge",
    "Unix time of the newest update of any kind, in whole seconds.",
    (STREAMER,),
    "updated",
    whole=True,
)
BUILD_INFO: Final = Family(
    "clipper_exporter_build_info", "gauge", "Always 1; the labels say what is running.", ("version", "python_version")
)
STREAMERS: Final = Family("clipper_exporter_streamers", "gauge", "Streamers held.")
STREAMERS_LIMIT: Final = Family("clipper_exporter_streamers_limit", "gauge", "Streamers that may be held at once.")
STREAMERS_EXPIRED: Final = Family(
    "clipper_exporter_streamers_expired_total", "counter", "Streamers dropped because nothing updated them."
)
UPDATES: Final = Family("clipper_exporter_updates_total", "counter", "Updates accepted, by the way they came.", (VIA,))
UPDATES_REJECTED: Final = Family(
    "clipper_exporter_updates_rejected_total", "counter", "Updates refused, by reason.", (REASON,)
)
COLLECTOR_FAILURES: Final = Family(
    "clipper_exporter_collector_failures_total",
    "counter",
    "Times that a collector's families were left out of a scrape because it failed.",
    (COLLECTOR,),
)
SCRAPE_DURATION: Final = Family(
    "clipper_exporter_scrape_duration_seconds",
    "gauge",
    "Time that the previous scrape took to collect, render and compress.",
)
SCRAPE_SIZE: Final = Family(
    "clipper_exporter_scrape_size_bytes", "gauge", "Size of the previous scrape's exposition before compression."
)

LIVE_SUBSCRIBERS: Final = Family(
    "clipper_exporter_live_subscribers", "gauge", "Clients that live updates are pushed to.", (TRANSPORT,)
)
LIVE_DROPPED: Final = Family(
    "clipper_exporter_live_dropped_total",
    "counter",
    "Pushes that a subscriber was too slow for; it gets the newest state with a later one.",
    (TRANSPORT,),
)
LIVE_SUBSCRIBERS_LIMIT: Final = Family(
    "clipper_exporter_live_subscribers_limit", "gauge", "Clients that live updates may be pushed to at once."
)
CONNECTIONS: Final = Family("clipper_exporter_http_connections", "gauge", "Connections that are open.")
CONNECTIONS_LIMIT: Final = Family(
    "clipper_exporter_http_connections_limit", "gauge", "Connections that may be open at once."
)
HTTP_REFUSED: Final = Family(
    "clipper_exporter_http_refused_total",
    "counter",
    "Connections and requests refused before they reached a route, by reason.",
    (REASON,),
)
WEB_CONFIG_SUCCEEDED: Final = Family(
    "clipper_exporter_web_config_last_reload_successful",
    "gauge",
    "1 if the web configuration file and its certificates can be used as they are now, 0 if older ones are in force.",
)
WEB_CONFIG_READ: Final = Family(
    "clipper_exporter_web_config_last_reload_success_timestamp_seconds",
    "gauge",
    "Unix time at which the web configuration in force was read.",
)
CERTIFICATE_EXPIRES: Final = Family(
    "clipper_exporter_certificate_expiry_timestamp_seconds",
    "gauge",
    "Unix time until which the server's certificate is valid.",
)

STORAGE_UP: Final = Family(
    "clipper_exporter_storage_up", "gauge", "1 while what is counted can be kept on disk, else 0."
)
STORAGE_COMMITS: Final = Family("clipper_exporter_storage_commits_total", "counter", "Commits to disk.")
STORAGE_ERRORS: Final = Family(
    "clipper_exporter_storage_errors_total",
    "counter",
    "Attempts to open the storage or to commit that failed, by reason.",
    (REASON,),
)
STORAGE_LAG: Final = Family(
    "clipper_exporter_storage_lag_seconds",
    "gauge",
    "Age of the oldest change that is not on disk yet; 0 if there is none.",
)
STORAGE_SIZE: Final = Family("clipper_exporter_storage_size_bytes", "gauge", "Size of the storage's files.")

# Collected from the names above, so that no family is forgotten.
FAMILIES: Final = tuple(each for each in tuple(globals().values()) if isinstance(each, Family))
"""All families in the order of the exposition."""
STORE_FAMILIES: Final = tuple(family for family in FAMILIES if family.source == "store")
OWN_FAMILIES: Final = tuple(family for family in FAMILIES if family.source == "self")
