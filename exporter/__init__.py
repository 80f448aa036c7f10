"""Prometheus exporter for live-stream clippers.

A clipper writes its numbers into :data:`shared_stats`; :func:`serve` lets Prometheus scrape them. ::

    import exporter

    exporter.serve()
    exporter.shared_stats.update_viewers("xQc", 45000)
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

from exporter._version import __version__
from exporter.errors import InvalidUpdate
from exporter.settings.environment import URL, is_strict
from exporter.settings.settings import Settings
from exporter.store.emit import emit_stats_update
from exporter.store.shared import SharedStats

if TYPE_CHECKING:
    from exporter.pusher.remote import RemoteStats
    from exporter.web.server import serve

__all__ = ["InvalidUpdate", "RemoteStats", "SharedStats", "__version__", "emit_stats_update", "serve", "shared_stats"]


def _share() -> SharedStats:
    log = logging.getLogger(__name__)
    # A misspelt variable must not keep a clipper from starting: it is told, and the default stands.
    settings, mistakes = Settings.read_what_is_right({}, os.environ)
    for mistake in mistakes:
        log.error("environment ignored, the default stands: %s", mistake)
    strict = is_strict(os.environ)
    if os.environ.get(URL):
        # Only whoever pushes needs an HTTP client, which takes many times longer to import than the store.
        from exporter.pusher.remote import from_environment  # noqa: PLC0415

        try:
            return SharedStats.share(from_environment(os.environ, strict=strict, **settings.store_options))
        except ValueError as problem:
            log.error("nothing is pushed to an exporter: %s", problem)  # noqa: TRY400 - a person needs no traceback
    return SharedStats.share(SharedStats.create(strict=strict, **settings.store_options))


shared_stats = _share()


# These take many times longer to import than the store, and not every importer serves or pushes.
_LATE = {"RemoteStats": "exporter.pusher.remote", "serve": "exporter.web.server"}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
