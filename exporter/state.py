"""Everything a store holds. Not thread-safe, and told what time it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo

from exporter import validation
from exporter.batch import Batch, TriggerUpdate
from exporter.changes import Changes, EventLog
from exporter.counted import Counted, Counts
from exporter.daily import DailyCounts
from exporter.errors import InvalidBatch, InvalidUpdate
from exporter.history import Trigger, TriggerHistory
from exporter.ids import EventId, KnownIds
from exporter.rows import Row
from exporter.validation import Limits, Reason


class State:
    """Every streamer's row in the order first seen, the newest triggers, today's clips, and the version of it all.

    ``declared`` are the trigger types whose counters start at 0; ``stale_after`` is in seconds, 0 for never; ``now`` is
    Unix time, here and in every method, which expects it not to fall but is not harmed if it does. :meth:`touch` and
    :meth:`check_type` refuse by raising :class:`~exporter.errors.InvalidUpdate`; nothing else refuses anything.
    """

    def __init__(
        self, declared: Iterable[str], limits: Limits, stale_after: float, time_zone: tzinfo | None, now: float
    ) -> None:
        self._limits = limits
        self._zeros: Mapping[str, int] = dict.fromkeys(declared, 0)
        self._never: Mapping[str, float] = {}
        self._others: Counter[str] = Counter()  # types not declared, by the number of rows that have them
        self._stale_after = stale_after
        self._next_expiry = math.inf
        self._restored = 0
        self._log = EventLog()
        self._ids = KnownIds()
        self.rows: dict[str, Row] = {}
        self.history = TriggerHistory()
        self.clips_today = DailyCounts(time_zone, limits.streamers, now)
        self.version = 0
        self.membership = 0
        """Rises whenever ``rows`` gains or loses one."""
        self.expired = 0
        self.last_updated = now
        self.waiting: list[Callable[[], None]] = []
        """Called, and forgotten, at the next change."""

    def touch(self, streamer: object, now: float) -> Row:
        """The streamer's row, a new one if there is none, as changed now: its version is the one of this change.

        Refuses what is no name and one streamer too many.
        """
        if now >= self._next_expiry:
            self._expire(now)
        # Looking up anything but plain text might fail (a list), or find a row by an equality of its own.
        row = self.rows.get(streamer) if type(streamer) is str else None
        if row is None:
            row = self._admit(validation.name("streamer", streamer, self._limits), now)
        # Every update passes here: all is spelt out, for calls are most of what an update costs.
        self.version = row.version = self.version + 1
        self.last_updated = now
        row.updated = int(now)
        if self.waiting:
            self._wake()
        return row

    def _admit(self, name: str, now: float) -> Row:
        row = self.rows.get(name)
        if row is None:
            if len(self.rows) >= self._limits.streamers:
                expected = f"one of the {self._limits.streamers} streamers held, which is the limit"
                raise InvalidUpdate("streamer", name, expected, Reason.STREAMERS)
            row = self.rows[name] = Row(name, self._zeros, self._never)
            self.membership += 1
            if self._stale_after:
                self._next_expiry = min(self._next_expiry, self._expiry(int(now)))
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
        if kind in self._zeros or kind in self._others:
            return
        if len(self._zeros) + len(self._others) >= self._limits.trigger_types:
            expected = f"one of the {self._limits.trigger_types} trigger types known, which is the limit"
            raise InvalidUpdate("trigger_type", kind, expected, Reason.TRIGGER_TYPES)

    def trigger(self, streamer: object, kind: str, details: str, now: float, at: float | None = None) -> None:
        """Count a trigger of a type that was checked; ``details`` are JSON, ``at`` its time if that is not ``now``."""
        row = self.touch(streamer, now)
        if kind not in row.triggers:
            self._others[kind] += 1
        row.triggers = {**row.triggers, kind: row.triggers.get(kind, 0) + 1}
        # What is reported late may be older than the newest; what happens here and now is the newest.
        newest = now if at is None else max(at, row.last_triggers.get(kind, at))
        row.last_triggers = {**row.last_triggers, kind: newest}
        trigger = Trigger(row.streamer, kind, now if at is None else at, details)
        self.history.add(trigger)
        self._log.trigger(row.version, trigger)

    def clip(self, streamer: object, now: float) -> None:
        """Count a clip."""
        self.settle(now)
        row = self.touch(streamer, now)
        row.clips += 1
        forgotten = self.clips_today.increment(row.streamer, self.rows)
        self._log.clip(row.version, row.streamer)
        if forgotten is not None:
            self._log.cleared(self._changed(now), forgotten)

    def apply(self, batch: Batch, now: float) -> tuple[int, int]:
        """Apply a batch whole, or refuse it and change nothing; returns how many updates it held, and known ids."""
        self.settle(now)
        seen: set[EventId] = set()

        def is_new(source: str, name: str | None) -> bool:
            event = (source, name or "")
            if name is None or not (event in seen or event in self._ids):
                seen.update([event] if name else [])
                return True
            return False

        triggers = [each for each in batch.triggers if is_new(batch.source, each.id)]
        clips = [streamer for streamer, name in batch.clips if is_new(batch.source, name)]
        gauges = (*batch.viewer_counts, *batch.chat_velocities, *batch.recording_status)
        self._check_room(batch.cleared, {*gauges, *clips, *(each.streamer for each in triggers)}, triggers)
        self._ids.add(seen)
        for name in batch.cleared:
            self.drop(name, now)
        for name, count in batch.viewer_counts.items():
            row = self.touch(name, now)
            row.viewers, row.viewers_version = count, row.version
        for name, velocity in batch.chat_velocities.items():
            row = self.touch(name, now)
            row.velocity, row.velocity_version = velocity, row.version
        for name, recording in batch.recording_status.items():
            row = self.touch(name, now)
            row.recording, row.recording_version = recording, row.version
        for each in triggers:
            self.trigger(each.streamer, each.type, each.details, now, each.at)
        for name in clips:
            self.clip(name, now)
        applied = len(batch.cleared) + len(gauges) + len(triggers) + len(clips)
        return applied, len(batch.triggers) + len(batch.clips) - len(triggers) - len(clips)

    def _check_room(self, cleared: Iterable[str], streamers: set[str], triggers: Iterable[TriggerUpdate]) -> None:
        """Refuse what would hold one streamer or trigger type too many once ``cleared`` are gone."""
        gone = {name: row for name in cleared if (row := self.rows.get(name)) is not None}
        held = len(self.rows) - len(gone) + sum(name not in self.rows or name in gone for name in streamers)
        limit = self._limits.streamers
        if held > limit:
            raise InvalidBatch([f"body: expected at most {limit} streamers held, got {held}"], Reason.STREAMERS)
        left = self._others - Counter(kind for row in gone.values() for kind in row.triggers if kind in self._others)
        types = len({*self._zeros, *left, *(each.type for each in triggers)})
        limit = self._limits.trigger_types
        if types > limit:
            raise InvalidBatch([f"body: expected at most {limit} trigger types, got {types}"], Reason.TRIGGER_TYPES)

    def drop(self, name: str, now: float) -> bool:
        """Remove a streamer's row; tells whether there was one."""
        row = self.rows.pop(name, None)
        if row is None:
            return False
        self.membership += 1
        for kind in row.triggers.keys() - self._zeros.keys():
            self._others[kind] -= 1
            if not self._others[kind]:  # nobody has it any more: it makes room for another
                del self._others[kind]
        self._log.cleared(self._changed(now), name)
        return True

    def reset(self, now: float) -> None:
        """Forget every streamer, trigger and clip."""
        self.rows.clear()
        self.membership += 1
        self._others.clear()
        self.history.clear()
        self.clips_today.clear()
        self._next_expiry = math.inf
        self._log.cut(self._changed(now))

    def settle(self, now: float) -> None:
        """Let time do its work: drop who is stale, begin a new day."""
        if now >= self._next_expiry:
            self._expire(now)
        if self.clips_today.turn(now):
            self._log.cut(self._changed(now))

    def _expiry(self, updated: int | None) -> float:
        # At whole seconds: however many streamers fall silent, the rows are searched at most once a second.
        return (self._restored if updated is None else updated) + 1 + self._stale_after

    def _expire(self, now: float) -> None:
        stale = [name for name, row in self.rows.items() if now >= self._expiry(row.updated)]
        for name in stale:
            self.drop(name, now)
        self.expired += len(stale)
        self._next_expiry = min((self._expiry(row.updated) for row in self.rows.values()), default=math.inf)

    def changes(self, since: int) -> Changes | None:
        """What changed after the version ``since``; ``None`` if that cannot be told any more."""
        changes = Changes(self.version)
        if since > self.version or not self._log.put(since, changes):
            return None
        for row in self.rows.values():
            if row.version > since:
                if row.viewers is not None and row.viewers_version > since:
                    changes.viewer_counts[row.streamer] = row.viewers
                if row.velocity is not None and row.velocity_version > since:
                    changes.chat_velocities[row.streamer] = row.velocity
                if row.recording is not None and row.recording_version > since:
                    changes.recording_status[row.streamer] = row.recording
        return changes

    def counted(self, since: int | None, ids_since: int) -> Counted:
        """What was counted after the version ``since``, or all if that is ``None`` or too old, and the ids added since.

        A streamer with nothing counted is left out of all: when it is seen again its counters start at 0 anyway.
        """
        names = None if since is None else self._log.streamers(since)
        whole = names is None
        today = self.clips_today.copy()
        rows: dict[str, Counts | None] = {}
        for name in self.rows if names is None else names:
            row = self.rows.get(name)
            if row is not None and (row.clips or any(row.triggers.values())):
                rows[name] = Counts(row.clips, row.triggers, row.last_triggers)
            elif not whole:
                rows[name] = None
        return Counted(
            self.version,
            whole,
            rows,
            today if names is None else {name: today.get(name, 0) for name in names},
            self.clips_today.ends,
            self.history.copy(),
            self._ids.since(ids_since),
            self._ids.total,
        )

    def restore(self, earlier: Counted, now: float) -> None:
        """Add what an earlier store had counted; its streamers have ``stale_after`` from now to be updated again."""
        self.settle(now)
        version = self._changed(now)
        self._restored = int(now)
        for name, counts in earlier.rows.items():
            if counts is None:
                continue
            row = self.rows.setdefault(name, Row(name, self._zeros, self._never))
            triggers = {kind: row.triggers.get(kind, 0) + count for kind, count in counts.triggers.items()}
            self._others.update(kind for kind in triggers if kind not in row.triggers)
            row.triggers = {**row.triggers, **triggers}
            newest = {kind: max(at, row.last_triggers.get(kind, at)) for kind, at in counts.last_triggers.items()}
            row.last_triggers = {**row.last_triggers, **newest}
            row.clips += counts.clips
            row.version = version
        self.membership += 1
        if self._stale_after:
            self._next_expiry = min(self._next_expiry, self._expiry(None))
        for trigger in reversed(earlier.recent):
            self.history.add(trigger)
        self.clips_today.restore(earlier.clips_today, earlier.day_ends, now)
        self._ids.restore(earlier.ids, earlier.ids_total)
        self._log.cut(version)
