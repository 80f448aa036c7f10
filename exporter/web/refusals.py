"""Counts connections and requests that are refused before they reach a route."""

from __future__ import annotations

import logging
from enum import StrEnum

from exporter.logs import RateLimited
from exporter.metrics import HTTP_REFUSED
from exporter.own_metrics import OwnMetrics

logger = logging.getLogger("exporter.http")


class Refused(StrEnum):
    """Why connections and requests are refused: the values of the ``reason`` label."""

    CONNECTIONS = "connections"
    IDLE = "idle"
    HANDSHAKE = "handshake"
    HEADER_BYTES = "header_bytes"
    HEADER_TIME = "header_time"
    MALFORMED = "malformed"
    CREDENTIALS = "credentials"
    PASSWORD_CHECKS = "password_checks"  # noqa: S105 # nosec B105 # the name of a reason
    SUBSCRIBERS = "subscribers"


class Refusals:
    """Counts refusals by reason, and logs each reason at most once in ten seconds. Thread-safe."""

    def __init__(self, own: OwnMetrics | None = None, log: RateLimited | None = None) -> None:
        self._log = log or RateLimited(logger)
        self._refused = (own or OwnMetrics()).counter(HTTP_REFUSED, Refused)

    def count(self, reason: Refused, message: str) -> None:
        """Count one refusal; ``message`` says what was refused and why."""
        self._refused.labels(reason).inc()
        self._log.warning(reason, message)
