"""Prometheus exporter for live-stream clippers.

A clipper writes its numbers into :data:`shared_stats`; :func:`serve` lets Prometheus scrape them. ::

    import exporter

    exporter.serve()
    exporter.shared_stats.update_viewers("xQc", 45000)
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

from exporter.emit import emit_stats_update
from exporter.errors import InvalidUpdate
from exporter.settings import STRICT, Settings
from exporter.stats import SharedStats

if TYPE_CHECKING:
    from exporter.server import serve

__all__ = ["InvalidUpdate", "SharedStats", "__version__", "emit_stats_update", "serve", "shared_stats"]


def _share() -> SharedStats:
    # A misspelt variable must not keep a clipper from starting: it is told, and the default stands.
    settings, mistakes = Settings.read_what_is_right({}, os.environ)
    for mistake in mistakes:
        logging.getLogger(__name__).error("environment ignored, the default stands: %s", mistake)
    strict = os.environ.get(STRICT, "0") not in {"", "0"}
    return SharedStats.share(SharedStats.create(strict=strict, **settings.store_options))


shared_stats = _share()


def __getattr__(name: str) -> Any:
    # The web server takes many times longer to import than the store, and not every importer serves.
    if name == "serve":
        from exporter.server import serve  # noqa: PLC0415

        return serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
