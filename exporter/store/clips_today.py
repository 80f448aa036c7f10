"""Counts that start again at midnight."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import datetime, time, timedelta, tzinfo
from typing import Final

_SET_BACK: Final = 2 * 86400.0  # seconds; if the next midnight is further away, the clock was set back


class ClipsToday:
    """The count of each name today, in a time zone (``None``: the machine's own). Not thread-safe.

    Above ``capacity`` names, the oldest name that is not in use is dropped.
    """

    def __init__(self, zone: tzinfo | None, capacity: int, now: float) -> None:
        self._zone = zone
        self._capacity = capacity
        self._counts: dict[str, int] = {}
        self.ends = self._next_midnight(now)
        """Unix time of the next midnight."""

    def _next_midnight(self, now: float) -> float:
        tomorrow = datetime.fromtimestamp(now, self._zone).date() + timedelta(days=1)
        # Combined from a date, so that days of 23 or 25 hours end at local midnight.
        return datetime.combine(tomorrow, time.min, self._zone).timestamp()

    def turn(self, now: float) -> bool:
        """Clear the counts if ``now`` (Unix time) is past midnight; returns whether it did.

        Setting the clock back over midnight keeps the counts. After a clock was days ahead, the day still ends at the
        next midnight.
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
        """Count ``name`` once, and return the name dropped for it, if any; names ``in_use`` are never dropped."""
        spare = None
        if name not in self._counts and len(self._counts) >= self._capacity:
            spare = next((known for known in self._counts if known not in in_use), None)
            if spare is not None:
                del self._counts[spare]
        # Without a call, in which a signal handler might count one more.
        self._counts[name] = self._counts[name] + 1 if name in self._counts else 1
        return spare

    def restore(self, counts: Mapping[str, int], ends: float, now: float) -> None:
        """Add the counts of an earlier store, unless its day ended (at ``ends``, Unix time) before ``now``."""
        if now < ends:
            self._counts = {**counts, **{name: own + counts.get(name, 0) for name, own in self._counts.items()}}

    def get(self, name: object) -> int:
        """Return the count of ``name`` today; 0 for an unknown name."""
        return self._counts.get(name, 0) if isinstance(name, str) else 0

    def copy(self) -> dict[str, int]:
        """Return the counts by name."""
        return self._counts.copy()

    def clear(self) -> None:
        """Remove all counts."""
        self._counts.clear()
