"""Counts that start again at midnight."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import datetime, time, timedelta, tzinfo
from typing import Final

_SET_BACK: Final = 2 * 86400.0  # seconds; a clock set back over one midnight is nearer to the next but one


class ClipsToday:
    """How often each name was counted today, in a time zone (``None``: the machine's own). Not thread-safe.

    At most ``capacity`` names are kept; past it the longest-known name that is not among those in use makes room.
    """

    def __init__(self, zone: tzinfo | None, capacity: int, now: float) -> None:
        self._zone = zone
        self._capacity = capacity
        self._counts: dict[str, int] = {}
        self.ends = self._next_midnight(now)
        """Unix time of the next midnight."""

    def _next_midnight(self, now: float) -> float:
        tomorrow = datetime.fromtimestamp(now, self._zone).date() + timedelta(days=1)
        # Combined from a date, so that days of 23 and 25 hours end when the wall clock says so.
        return datetime.combine(tomorrow, time.min, self._zone).timestamp()

    def turn(self, now: float) -> bool:
        """Forget yesterday if ``now`` (Unix time) is past midnight; tells whether it did.

        A clock that is set back does not give yesterday back, nor does it lose today. One that was days ahead does not
        keep this day from ending in time.
        """
        if now < self.ends:
            if now < self.ends - _SET_BACK:
                self.ends = self._next_midnight(now)
            return False
        self.ends = self._next_midnight(now)
        had_any = bool(self._counts)
        self._counts.clear()
        return had_any

    def increment(self, name: str, in_use: Container[str]) -> str | None:
        """Count ``name`` once, and return the name that made room; ``in_use`` are the names that must be kept."""
        spare = None
        if name not in self._counts and len(self._counts) >= self._capacity:
            spare = next((known for known in self._counts if known not in in_use), None)
            if spare is not None:
                del self._counts[spare]
        # Without a call, in which a signal handler might count one more.
        self._counts[name] = self._counts[name] + 1 if name in self._counts else 1
        return spare

    def restore(self, counts: Mapping[str, int], ends: float, now: float) -> None:
        """Add the counts of an earlier store, unless its day has ended (at ``ends``, Unix time) by now."""
        if now < ends:
            self._counts = {**counts, **{name: own + counts.get(name, 0) for name, own in self._counts.items()}}

    def get(self, name: object) -> int:
        """How often ``name`` was counted today; 0 for one never seen."""
        return self._counts.get(name, 0) if isinstance(name, str) else 0

    def copy(self) -> dict[str, int]:
        """Every name counted today with its count."""
        return self._counts.copy()

    def clear(self) -> None:
        """Forget everything counted today."""
        self._counts.clear()
