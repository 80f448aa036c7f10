"""A clock that moves when a test says so."""

from __future__ import annotations


class FakeClock:
    """Unix time that stands still; ``now`` is set or :meth:`pass_by`-ed."""

    def __init__(self, now: float = 1_768_645_800.0) -> None:  # 2026-01-17T10:30:00Z
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
