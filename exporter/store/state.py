"""Everything a store holds. Not thread-safe, and told what time it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo

from exporter.errors import InvalidUpdate
from exporter.store import validation
from exporter.store.changes import Changes, EventLog
from exporter.store.clips_today import DailyCounts
from exporter.store.event_ids import KnownIds
from exporter.store.rows import Row
from exporter.store.triggers import Trigger, TriggerHistory
from exporter.store.validation import Limits, Reason


class State:
    """Every streamer's row in the order first seen, the newest triggers, today's clips, and the version of it all.

    ``declared`` are the trigger types whose counters start at 0; ``stale_after`` is in seconds, 0 for never; ``now`` is
    Unix time, here and in every method, which expects it not to fall but is not harmed if it does; ``log`` is told of
    every event. :meth:`touch` and :meth:`check_type` refuse by raising :class:`~exporter.errors.InvalidUpdate`; nothing
    else refuses anything.
    """

    def __init__(
        self,
        declared: Iterable[str],
        limits: Limits,
        stale_after: float,
        time_zone: tzinfo | None,
        now: float,
        *,
        log: EventLog,
    ) -> None:
        self.limits = limits
        self.zeros: Mapping[str, int] = dict.fromkeys(declared, 0)
        self.never: Mapping[str, float] = {}
        self.others: Counter[str] = Counter()  # types not declared, by the number of rows that have them
        self._stale_after = stale_after
        self._next_expiry = math.inf
        self.restored = 0.0
        self.log = log
        self.ids = KnownIds()
        self.rows: dict[str, Row] = {}
        self.history = TriggerHistory()
        self.clips_today = DailyCounts(time_zone, limits.streamers, now)
        self.version = 0
        self.membership = 0
        """Rises whenever ``rows`` gains or loses one."""
        self.expired = 0
        self._unasked = 0  # changes that time made
        self.last_updated = now
        self.waiting: list[Callable[[], None]] = []
        """Called, and forgotten, at the next change."""

    @property
    def asked(self) -> int:
        """How many changes somebody asked for: all but those that time made."""
        return self.version - self._unasked

    def touch(self, streamer: object, now: float) -> Row:
        """The streamer's row, a new one if there is none, as changed now: its version is the one of this change.

        Refuses what is no name and one streamer too many.
        """
        if now >= self._next_expiry:
            self._expire(now)
        try:
            row = self.rows[streamer]  # type: ignore[index]
        except (KeyError, TypeError):  # not known yet, or not even something that a name can be
            row = self._admit(validation.name("streamer", streamer, self.limits), now)
        # Every update passes here: all is spelt out, for calls are most of what an update costs.
        self.version = row.version = self.version + 1
        self.last_updated = now
        row.updated = now
        if self.waiting:
            self._wake()
        return row

    def _admit(self, name: str, now: float) -> Row:
        row = self.rows.get(name)
        if row is None:
            if len(self.rows) >= self.limits.streamers:
                expected = f"one of the {self.limits.streamers} streamers held, which is the limit"
                raise InvalidUpdate("streamer", name, expected, Reason.STREAMERS)
            row = self.rows[name] = Row(name, self.zeros, self.never)
            self.membership += 1
            if self._stale_after:
                self._next_expiry = min(self._next_expiry, self._expiry(now))
        return row

    def _changed(self, now: float) -> int:
        self.version += 1
        self.last_updated = now
        if self.waiting:
            self._wake()
        return self.version

    def _wake(self) -> None:
        waiting, self.waiting = self.waiting, []
        for wake in waiting:
            wake()

    def check_type(self, kind: str) -> None:
        """Refuse one trigger type too many."""
        if kind in self.zeros or kind in self.others:
            return
        if len(self.zeros) + len(self.others) >= self.limits.trigger_types:
            expected = f"one of the {self.limits.trigger_types} trigger types known, which is the limit"
            raise InvalidUpdate("trigger_type", kind, expected, Reason.TRIGGER_TYPES)

    def trigger(self, streamer: object, kind: str, details: str, now: float, at: float | None = None) -> None:
        """Count a trigger of a type that was checked; ``details`` are JSON, ``at`` its time if that is not ``now``."""
        row = self.touch(streamer, now)
        if kind not in row.triggers:
            self.others[kind] += 1
        row.triggers = {**row.triggers, kind: row.triggers.get(kind, 0) + 1}
        # What is reported late may be older than the newest; what happens here and now is the newest.
        newest = now if at is None else max(at, row.last_triggers.get(kind, at))
        row.last_triggers = {**row.last_triggers, kind: newest}
        trigger = Trigger(row.streamer, kind, now if at is None else at, details)
        row.events_version = row.version
        self.history.add(trigger)
        self.log.trigger(row.version, trigger)

    def clip(self, streamer: object, now: float) -> None:
        """Count a clip."""
        self.settle(now)
        row = self.touch(streamer, now)
        row.clips += 1
        row.events_version = row.version
        forgotten = self.clips_today.increment(row.streamer, self.rows)
        self.log.clip(row.version, row.streamer)
        if forgotten is not None:
            self._unasked += 1
            self.log.cleared(self._changed(now), forgotten)

    def drop(self, name: str, now: float) -> bool:
        """Remove a streamer's row; tells whether there was one."""
        row = self.rows.pop(name, None)
        if row is None:
            return False
        self.membership += 1
        for kind in row.triggers.keys() - self.zeros.keys():
            self.others[kind] -= 1
            if not self.others[kind]:  # nobody has it any more: it makes room for another
                del self.others[kind]
        self.log.cleared(self._changed(now), name)
        return True

    def reset(self, now: float) -> None:
        """Forget every streamer, trigger and clip."""
        self.rows.clear()
        self.membership += 1
        self.others.clear()
        self.history.clear()
        self.clips_today.clear()
        self._next_expiry = math.inf
        self.log.cut(self._changed(now))

    def settle(self, now: float) -> None:
        """Let time do its work: drop who is stale, begin a new day."""
        # Later than from now on is no expiry, but for a clock that was ahead and is set back.
        if now >= self._next_expiry or self._expiry(now) < self._next_expiry < math.inf:
            self._expire(now)
        if self.clips_today.turn(now):
            self._unasked += 1
            self.log.cut(self._changed(now))

    def _expiry(self, updated: float | None) -> float:
        # At whole seconds: however many streamers fall silent, the rows are searched at most once a second.
        return int(self.restored if updated is None else updated) + 1 + self._stale_after

    def _expire(self, now: float) -> None:
        self.restored = min(self.restored, now)
        for row in self.rows.values():
            if row.updated is not None and row.updated > now:
                row.updated = now
        stale = [name for name, row in self.rows.items() if now >= self._expiry(row.updated)]
        for name in stale:
            self.drop(name, now)
        self.expired += len(stale)
        self._unasked += len(stale)
        self._next_expiry = min((self._expiry(row.updated) for row in self.rows.values()), default=math.inf)

    def begin_restoring(self, now: float) -> int:
        """Make ready for rows of an earlier store, who have ``stale_after`` to be updated; return their version."""
        self.settle(now)
        self.restored = now
        if self._stale_after:
            self._next_expiry = min(self._next_expiry, self._expiry(now))
        self.membership += 1
        self._unasked += 1
        version = self._changed(now)
        self.log.cut(version)
        return version

    def changes(self, since: int, upto: int | None = None) -> Changes | None:
        """What changed after the version ``since``, events up to ``upto``; ``None`` if that cannot be told any more."""
        changes = self.gauges(since)
        if upto is not None:
            changes.version = min(upto, self.version)
        return changes if since <= self.version and self.log.put(since, changes) else None

    def gauges(self, since: int) -> Changes:
        """The gauges that changed after the version ``since``, and no events; all of them for 0."""
        changes = Changes(self.version)
        for row in self.rows.values():
            if row.version > since:
                if row.viewers is not None and row.viewers_version > since:
                    changes.viewer_counts[row.streamer] = row.viewers
                if row.velocity is not None and row.velocity_version > since:
                    changes.chat_velocities[row.streamer] = row.velocity
                if row.recording is not None and row.recording_version > since:
                    changes.recording_status[row.streamer] = row.recording
        return changes
