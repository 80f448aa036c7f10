"""Prometheus exporter for live-stream clippers.

A clipper writes its numbers into :data:`shared_stats`; :func:`serve` lets Prometheus scrape them. ::

    import exporter

    exporter.serve()
    exporter.shared_stats.update_viewers("xQc", 45000)

All public names are in this package. Names that need a web server, an HTTP client or prometheus_client are imported at
their first use.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any, Final

from exporter._version import __version__
from exporter.errors import (
    ExporterError,
    FeedError,
    InvalidBatch,
    InvalidUpdate,
    ListenError,
    SettingsError,
    StorageError,
)
from exporter.store.emit import emit_stats_update
from exporter.store.shared import SharedStats
from exporter.store.validation import Limits

if TYPE_CHECKING:
    from exporter.pusher.pusher import push
    from exporter.pusher.remote import RemoteStats
    from exporter.scrape.collector import ClipperCollector
    from exporter.settings.options import HttpLimits
    from exporter.web.server import Server, serve

    shared_stats: SharedStats

__all__ = [
    "ClipperCollector",
    "ExporterError",
    "FeedError",
    "HttpLimits",
    "InvalidBatch",
    "InvalidUpdate",
    "Limits",
    "ListenError",
    "RemoteStats",
    "Server",
    "SettingsError",
    "SharedStats",
    "StorageError",
    "__version__",
    "emit_stats_update",
    "push",
    "serve",
    "shared_stats",
]

_LATE: Final = {
    "ClipperCollector": "exporter.scrape.collector",
    "HttpLimits": "exporter.settings.options",
    "RemoteStats": "exporter.pusher.remote",
    "Server": "exporter.web.server",
    "push": "exporter.pusher.pusher",
    "serve": "exporter.web.server",
}


def _make_shared_stats() -> SharedStats:
    from exporter.settings.settings import URL, is_strict, store_options  # noqa: PLC0415 - the command line needs none

    log = logging.getLogger(__name__)
    # An invalid variable must not stop a clipper: it is logged, and the default is used.
    options, mistakes = store_options(os.environ)
    for mistake in mistakes:
        log.error("%s; the default is used instead", mistake)
    strict = is_strict(os.environ)
    if os.environ.get(URL):
        # Imported only to push: an HTTP client takes many times longer to import than the store.
        from exporter.pusher.remote import from_environment  # noqa: PLC0415

        try:
            return from_environment(os.environ, strict=strict, **options.keywords())
        except ValueError as problem:
            log.error("nothing is pushed to an exporter: %s", problem)  # noqa: TRY400 - a traceback adds nothing
    return SharedStats.create(strict=strict, **options.keywords())


SharedStats.share_when_asked(_make_shared_stats)


def __getattr__(name: str) -> Any:
    if name == "shared_stats":
        return SharedStats.shared()
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
