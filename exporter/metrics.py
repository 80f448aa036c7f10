"""The metric table: every ``clipper_*`` family, declared once, as data.

Collector, renderer, documentation, dashboards and rules read this table; nothing else spells a family's name, type,
help text or labels. Names follow https://prometheus.io/docs/practices/naming/ and
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


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family and where its samples come from.

    ``name`` is the name of its samples, so a counter's ends in ``_total``. ``source`` says who holds the numbers:

    - ``"store"``: ``field`` is an attribute of a row of the store. With the label ``streamer`` alone it holds the
      value; with ``streamer`` and one label more, a mapping from that label's value to the sample's value.
    - ``"self"``: ``field`` is a key of the exporter's own numbers. Without labels it holds the value; with one
      label, a mapping from the label's value; with several, a mapping from the tuple of their values.

    A value of ``None`` means that there is no sample. ``whole`` cuts a value to a whole number, so that its sample does
    not change with every update.
    """

    name: str
    type: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...]
    source: Literal["store", "self"]
    field: str
    whole: bool = False


VIEWERS: Final = Family("clipper_viewers", "gauge", "Viewers now.", (STREAMER,), "store", "viewers")
CHAT_VELOCITY: Final = Family(
    "clipper_chat_velocity",
    "gauge",
    "Chat messages per minute, as the clipper measures it.",
    (STREAMER,),
    "store",
    "velocity",
)
RECORDING: Final = Family(
    "clipper_recording", "gauge", "1 while the stream is being recorded, else 0.", (STREAMER,), "store", "recording"
)
TRIGGERS: Final = Family("clipper_triggers_total", "counter", "Trigger events.", (STREAMER, TYPE), "store", "triggers")
CLIPS: Final = Family("clipper_clips_total", "counter", "Clips made.", (STREAMER,), "store", "clips")
LAST_TRIGGER: Final = Family(
    "clipper_last_trigger_timestamp_seconds",
    "gauge",
    "Unix time of the newest trigger.",
    (STREAMER, TYPE),
    "store",
    "last_triggers",
)
LAST_UPDATE: Final = Family(
    "clipper_last_update_timestamp_seconds",
    "gauge",
    "Unix time of the newest update of any kind, in whole seconds.",
    (STREAMER,),
    "store",
    "updated",
    whole=True,
)
BUILD_INFO: Final = Family(
    "clipper_exporter_build_info",
    "gauge",
    "Always 1; the labels say what is running.",
    ("version", "python_version"),
    "self",
    "build",
)
STREAMERS: Final = Family("clipper_exporter_streamers", "gauge", "Streamers held.", (), "self", "streamers")
STREAMERS_LIMIT: Final = Family(
    "clipper_exporter_streamers_limit", "gauge", "Streamers that may be held at once.", (), "self", "streamers_limit"
)
STREAMERS_EXPIRED: Final = Family(
    "clipper_exporter_streamers_expired_total",
    "counter",
    "Streamers dropped because nothing updated them.",
    (),
    "self",
    "streamers_expired",
)
UPDATES: Final = Family(
    "clipper_exporter_updates_total", "counter", "Updates accepted, by the way they came.", (VIA,), "self", "updates"
)
UPDATES_REJECTED: Final = Family(
    "clipper_exporter_updates_rejected_total", "counter", "Updates refused, by reason.", (REASON,), "self", "rejected"
)
COLLECTOR_FAILURES: Final = Family(
    "clipper_exporter_collector_failures_total",
    "counter",
    "Times that a collector's families were left out of a scrape because it failed.",
    (COLLECTOR,),
    "self",
    "collector_failures",
)
SCRAPE_DURATION: Final = Family(
    "clipper_exporter_scrape_duration_seconds",
    "gauge",
    "Time that the previous scrape took to collect, render and compress.",
    (),
    "self",
    "scrape_duration",
)
SCRAPE_SIZE: Final = Family(
    "clipper_exporter_scrape_size_bytes",
    "gauge",
    "Size of the previous scrape's exposition before compression.",
    (),
    "self",
    "scrape_size",
)

LIVE_SUBSCRIBERS: Final = Family(
    "clipper_exporter_live_subscribers",
    "gauge",
    "Clients that live updates are pushed to.",
    (TRANSPORT,),
    "self",
    "live_subscribers",
)
LIVE_DROPPED: Final = Family(
    "clipper_exporter_live_dropped_total",
    "counter",
    "Pushes that a subscriber was too slow for; it gets the newest state with a later one.",
    (TRANSPORT,),
    "self",
    "live_dropped",
)
LIVE_SUBSCRIBERS_LIMIT: Final = Family(
    "clipper_exporter_live_subscribers_limit",
    "gauge",
    "Clients that live updates may be pushed to at once.",
    (),
    "self",
    "live_subscribers_limit",
)
CONNECTIONS: Final = Family(
    "clipper_exporter_http_connections", "gauge", "Connections that are open.", (), "self", "connections"
)
CONNECTIONS_LIMIT: Final = Family(
    "clipper_exporter_http_connections_limit",
    "gauge",
    "Connections that may be open at once.",
    (),
    "self",
    "connections_limit",
)
HTTP_REFUSED: Final = Family(
    "clipper_exporter_http_refused_total",
    "counter",
    "Connections and requests refused before they reached a route, by reason.",
    (REASON,),
    "self",
    "http_refused",
)
WEB_CONFIG_SUCCEEDED: Final = Family(
    "clipper_exporter_web_config_last_reload_successful",
    "gauge",
    "1 if the web configuration file and its certificates can be used as they are now, 0 if older ones are in force.",
    (),
    "self",
    "web_config_succeeded",
)
WEB_CONFIG_READ: Final = Family(
    "clipper_exporter_web_config_last_reload_success_timestamp_seconds",
    "gauge",
    "Unix time at which the web configuration in force was read.",
    (),
    "self",
    "web_config_read_at",
)
CERTIFICATE_EXPIRES: Final = Family(
    "clipper_exporter_certificate_expiry_timestamp_seconds",
    "gauge",
    "Unix time until which the server's certificate is valid.",
    (),
    "self",
    "certificate_expires",
)

STORAGE_UP: Final = Family(
    "clipper_exporter_storage_up",
    "gauge",
    "1 while what is counted can be kept on disk, else 0.",
    (),
    "self",
    "storage_up",
)
STORAGE_COMMITS: Final = Family(
    "clipper_exporter_storage_commits_total", "counter", "Commits to disk.", (), "self", "storage_commits"
)
STORAGE_ERRORS: Final = Family(
    "clipper_exporter_storage_errors_total",
    "counter",
    "Attempts to open the storage or to commit that failed, by reason.",
    (REASON,),
    "self",
    "storage_errors",
)
STORAGE_LAG: Final = Family(
    "clipper_exporter_storage_lag_seconds",
    "gauge",
    "Age of the oldest change that is not on disk yet; 0 if there is none.",
    (),
    "self",
    "storage_lag",
)
STORAGE_SIZE: Final = Family(
    "clipper_exporter_storage_size_bytes", "gauge", "Size of the storage's files.", (), "self", "storage_size"
)

FAMILIES: Final[tuple[Family, ...]] = (
    VIEWERS,
    CHAT_VELOCITY,
    RECORDING,
    TRIGGERS,
    CLIPS,
    LAST_TRIGGER,
    LAST_UPDATE,
    BUILD_INFO,
    STREAMERS,
    STREAMERS_LIMIT,
    STREAMERS_EXPIRED,
    UPDATES,
    UPDATES_REJECTED,
    COLLECTOR_FAILURES,
    SCRAPE_DURATION,
    SCRAPE_SIZE,
    LIVE_SUBSCRIBERS,
    LIVE_DROPPED,
    LIVE_SUBSCRIBERS_LIMIT,
    CONNECTIONS,
    CONNECTIONS_LIMIT,
    HTTP_REFUSED,
    WEB_CONFIG_SUCCEEDED,
    WEB_CONFIG_READ,
    CERTIFICATE_EXPIRES,
    STORAGE_UP,
    STORAGE_COMMITS,
    STORAGE_ERRORS,
    STORAGE_LAG,
    STORAGE_SIZE,
)
"""Every family, in the order of the exposition."""
STORE_FAMILIES: Final = tuple(family for family in FAMILIES if family.source == "store")
OWN_FAMILIES: Final = tuple(family for family in FAMILIES if family.source == "self")
