"""The web server's limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BODY_BYTES: Final = 4 * 1024 * 1024  # a batch of ten thousand streamers is a fourth of it


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How much the web server takes on before it refuses.

    ``connections`` and live ``subscribers`` are counted at once; there are fewer of the latter, so that a scrape finds
    a place. ``header_bytes`` is the size of a request's line and headers, ``header_seconds`` what they, and before them
    the TLS handshake, may take to arrive. Raises ``ValueError``.
    """

    connections: int = 512  # with what else is open, below the 1,024 files that many systems allow a process
    subscribers: int = 256
    header_bytes: int = 16 * 1024
    header_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("connections", "subscribers", "header_bytes"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}")
        if not self.header_seconds > 0:
            raise ValueError(f"header_seconds: expected a number above 0, got {self.header_seconds!r}")
        if self.subscribers >= self.connections:
            raise ValueError(
                f"subscribers: expected fewer than connections ({self.connections}), got {self.subscribers}"
            )
