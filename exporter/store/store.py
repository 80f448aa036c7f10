"""The store as those see it that follow it or hand things on to it: collector, live push, storage, pusher."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import Any, TypedDict, TypeVar

from exporter.errors import InvalidBatch, InvalidUpdate
from exporter.metrics import STREAMERS, STREAMERS_EXPIRED, STREAMERS_LIMIT, UPDATES, UPDATES_REJECTED, Family
from exporter.store import validation
from exporter.store.apply import apply
from exporter.store.batch import read
from exporter.store.changes import Changes, EventLog
from exporter.store.counters import Counted, restore, take
from exporter.store.rows import Row, RowCopy, copies
from exporter.store.state import State
from exporter.store.triggers import TriggerEntry, iso
from exporter.store.validation import Limits, Reason

T = TypeVar("T")


class Stats(TypedDict):
    """What ``get_all_stats()`` returns and ``GET /api/stats`` answers; times are ISO 8601 with an offset."""

    viewer_counts: dict[str, float]
    chat_velocities: dict[str, float]
    recording_status: dict[str, bool]
    recent_triggers: list[TriggerEntry]
    clips_today: dict[str, int]
    last_updated: str


def reported(rows: Iterable[RowCopy], gauge: str) -> dict[str, Any]:
    """The values of one gauge by streamer, of those for whom it was ever reported."""
    return {row.streamer: value for row in rows if (value := getattr(row, gauge)) is not None}


class Store:
    """A :class:`~exporter.store.state.State` behind a lock, with a clock. Any thread may call anything."""

    # Opened by a method, for Python calls __init__ again at every SharedStats().

    def _open(
        self,
        *,
        limits: Limits,
        trigger_types: Iterable[str],
        stale_after: float,
        time_zone: tzinfo | None,
        clock: Callable[[], float],
        log: EventLog,
    ) -> None:
        if not 0 <= stale_after < math.inf:
            raise ValueError(f"stale_after: expected a finite number of seconds, 0 for never, got {stale_after!r}")
        declared = [validation.name("trigger_types", each, limits) for each in trigger_types]
        if len(declared) > limits.trigger_types:
            raise InvalidUpdate("trigger_types", declared, f"at most {limits.trigger_types}", Reason.TRIGGER_TYPES)
        self._state = State(declared, limits, stale_after, time_zone, clock(), log=log)
        self._limits = limits
        self._clock = clock
        # Reentrant, because a signal handler or a finalizer may report a number while its own thread is in here.
        self._lock = threading.RLock()
        # A clipper's chat reader comes by thousands of times a minute; this takes half as long as a with statement.
        self._acquire, self._release = self._lock.acquire, self._lock.release
        self.instance = os.urandom(8).hex()
        """Differs for every store that starts empty: whoever pushes gauges must send them again when it changes."""
        self._http_updates = self._http_changes = 0
        self._rejected = {reason.value: 0 for reason in Reason}

    def apply(self, data: Any) -> tuple[int, int]:
        """Apply the body of a ``POST /api/stats``, decoded from JSON, whole or not at all.

        Returns how many updates were applied, and how many were left out because their ids are known. Raises
        :class:`~exporter.errors.InvalidBatch`, strict or not, with every mistake.
        """
        try:
            batch = read(data, self._limits, self._clock())
            with self._lock:
                before = self._state.asked
                applied, duplicates = apply(self._state, batch, self._clock())
                self._http_updates += applied
                self._http_changes += self._state.asked - before
        except InvalidBatch as problem:
            self.reject(problem.reason)
            raise
        return applied, duplicates

    def reject(self, reason: str) -> None:
        """Count a refusal that was decided before the store was asked; ``reason`` is one of ``validation.Reason``."""
        with self._lock:
            self._rejected[reason] += 1

    def snapshot(self) -> tuple[int, Stats]:
        """Everything, as :meth:`get_all_stats` has it, with the version that it is of."""
        with self._lock:
            rows = self.rows()
            version = self._state.version
            recent = self._state.history.copy()
            clips = self._state.clips_today.copy()
            updated = self._state.last_updated
        return version, {
            "viewer_counts": reported(rows, "viewers"),
            "chat_velocities": reported(rows, "velocity"),
            "recording_status": reported(rows, "recording"),
            "recent_triggers": [trigger.entry() for trigger in recent],
            "clips_today": clips,
            "last_updated": iso(updated),
        }

    @property
    def limits(self) -> Limits:
        """How much it takes in before it refuses."""
        return self._limits

    @property
    def version(self) -> int:
        """Rises with every change; a row carries the value that it had when the row last changed."""
        with self._lock:
            self._settle()
            return self._state.version

    def rows(self) -> list[RowCopy]:
        """A copy of every streamer's numbers, all of one moment, in the order first seen."""
        with self._lock:
            self._settle()
            return copies(self._state.rows.values())

    def held(self, membership: int) -> tuple[int, list[Row]]:
        """The rows held, in the order first seen, with a number that changes whenever they are others.

        If that number is still ``membership``, no rows are returned. The rows are the store's own, to be read and
        never changed; :class:`~exporter.store.rows.Row` says when one is half changed; :meth:`locked` reads such a one.
        """
        with self._lock:
            self._settle()
            now = self._state.membership
            return now, [] if now == membership else list(self._state.rows.values())

    def locked(self, read: Callable[[Row], T], row: Row) -> T:
        """What ``read`` gives for a row that nobody is changing; writers wait for it, so it must be quick."""
        with self._lock:
            return read(row)

    def own_numbers(self) -> dict[Family, Any]:
        """The store's numbers about itself, by family; for one with a label a mapping from the label's value."""
        with self._lock:
            self._settle()
            return {
                STREAMERS: len(self._state.rows),
                STREAMERS_LIMIT: self._limits.streamers,
                STREAMERS_EXPIRED: self._state.expired,
                UPDATES: {"local": self._state.asked - self._http_changes, "http": self._http_updates},
                UPDATES_REJECTED: self._rejected.copy(),
            }

    def changes(self, since: int, upto: int | None = None) -> Changes | None:
        """What changed after the version ``since``; ``None`` if that cannot be told any more, only the whole.

        With ``upto``, which is not less than ``since``, the events are those up to that version, and what is returned
        is of that version. Gauges have their newest values all the same: who goes on from there gets them again.
        """
        with self._lock:
            self._settle()
            return self._state.changes(since, upto)

    def gauges(self, since: int) -> Changes:
        """The gauges that changed after the version ``since``, and no events; all of them for 0."""
        with self._lock:
            self._settle()
            return self._state.gauges(since)

    def counted(self, since: int | None, ids_since: int) -> Counted:
        """What was counted after the version ``since``, or all for ``None``, and the ids added to ``ids_since`` ids."""
        with self._lock:
            self._settle()
            return take(self._state, since, ids_since)

    def restore(self, earlier: Counted) -> None:
        """Add what an earlier store had counted to what this one has: its counters go on."""
        with self._lock:
            restore(self._state, earlier, self._clock())

    def on_next_change(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called once, at the next change, by the thread that makes it: be quick, and do not raise."""
        with self._lock:
            self._state.waiting.append(wake)

    def _settle(self) -> None:
        """Let time do its work before a reader looks; with the lock held."""
        self._state.settle(self._clock())
