"""SharedStats: the thread-safe store that a clipper writes into and everything else reads."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import Any, ClassVar, Final, TypedDict, TypeVar

from exporter import validation
from exporter.applying import apply
from exporter.batch import read
from exporter.changes import Changes, EventLog
from exporter.counted import Counted, restore, take
from exporter.errors import InvalidBatch, InvalidUpdate
from exporter.history import TriggerEntry, iso
from exporter.logs import RateLimited
from exporter.rows import Row, RowCopy, copies
from exporter.state import State
from exporter.validation import Limits, Reason

logger = logging.getLogger(__name__)

T = TypeVar("T")

TRIGGER_TYPES: Final = ("viewer_spike", "chat_velocity", "keyword", "emote_flood")
STALE_AFTER: Final = 300.0

_BIG: Final = 1 << 53  # whole numbers below it are samples as they are: the hot path need not look further


class Stats(TypedDict):
    """What ``get_all_stats()`` returns and ``GET /api/stats`` answers; times are ISO 8601 with an offset."""

    viewer_counts: dict[str, float]
    chat_velocities: dict[str, float]
    recording_status: dict[str, bool]
    recent_triggers: list[TriggerEntry]
    clips_today: dict[str, int]
    last_updated: str


class SharedStats:
    """The numbers of every streamer, shared by the threads that write them and those that read them.

    ``SharedStats()`` is always the one store of this process. That one never raises for a bad value, for it must not
    kill the thread that it observes: it logs the message and goes on. :meth:`create` makes a store of one's own, which
    raises :class:`~exporter.errors.InvalidUpdate`. A refused update changes nothing and is counted by its reason.

    A streamer that nothing has updated for ``stale_after`` seconds is cleared as if its stream had ended.
    """

    _shared: ClassVar[SharedStats]

    def __new__(cls) -> SharedStats:  # noqa: D102, PYI034 - every class of this kind gives the one shared store
        return SharedStats._shared

    @staticmethod
    def create(
        *,
        limits: Limits | None = None,
        trigger_types: Iterable[str] = TRIGGER_TYPES,
        stale_after: float = STALE_AFTER,
        time_zone: tzinfo | None = None,
        clock: Callable[[], float] = time.time,
        strict: bool = True,
    ) -> SharedStats:
        """Make a store that nobody else shares.

        ``trigger_types`` are the declared types, whose counters start at 0; ``stale_after`` is in seconds, 0 for never;
        ``time_zone`` says when midnight is for ``clips_today`` (``None``: the machine's own); ``clock`` returns Unix
        time; without ``strict`` refused updates are logged instead of raised. Raises :class:`InvalidUpdate` for trigger
        types that cannot be any and ``ValueError`` for a ``stale_after`` that is not a finite number of at least 0.
        """
        self = object.__new__(SharedStats)
        self._set_up(
            limits=limits or Limits(),
            trigger_types=trigger_types,
            stale_after=stale_after,
            time_zone=time_zone,
            clock=clock,
            strict=strict,
            log=EventLog(),
        )
        return self

    def _set_up(
        self,
        *,
        limits: Limits,
        trigger_types: Iterable[str],
        stale_after: float,
        time_zone: tzinfo | None,
        clock: Callable[[], float],
        strict: bool,
        log: EventLog,
    ) -> None:
        # Not in __init__, which Python calls again at every SharedStats().
        if not 0 <= stale_after < math.inf:
            raise ValueError(f"stale_after: expected a finite number of seconds, 0 for never, got {stale_after!r}")
        declared = [validation.name("trigger_types", each, limits) for each in trigger_types]
        if len(declared) > limits.trigger_types:
            raise InvalidUpdate("trigger_types", declared, f"at most {limits.trigger_types}", Reason.TRIGGER_TYPES)
        self._state = State(declared, limits, stale_after, time_zone, clock(), log=log)
        self._limits = limits
        self._clock = clock
        self._strict = strict
        self._log = RateLimited(logger)
        # Reentrant, because a signal handler or a finalizer may report a number while its own thread is in here.
        self._lock = threading.RLock()
        # A clipper's chat reader comes by thousands of times a minute; this takes half as long as a with statement.
        self._acquire, self._release = self._lock.acquire, self._lock.release
        self.instance = os.urandom(8).hex()
        """Differs for every store that starts empty: whoever pushes gauges must send them again when it changes."""
        self._http_updates = self._http_changes = 0
        self._rejected = {reason.value: 0 for reason in Reason}

    @staticmethod
    def share(store: SharedStats) -> SharedStats:
        """Make ``store`` the one that ``SharedStats()`` is in this process, and return it."""
        SharedStats._shared = store
        return store

    # -- writing

    def update_viewers(self, streamer: str, count: float) -> None:
        """Set a streamer's viewers: a finite number of at least 0."""
        try:
            # A whole number, as viewers are, need not be looked at any closer; its class is asked for the fastest way.
            if count.__class__ is not int or not 0 <= count < _BIG:  # type: ignore[unreachable]
                count = validation.number("viewers", count)
            self._acquire()
            try:
                row = self._state.touch(streamer, self._clock())
                row.viewers = count
                row.viewers_version = row.version
            finally:
                self._release()
        except InvalidUpdate as problem:
            self._refuse(problem)

    def update_velocity(self, streamer: str, velocity: float) -> None:
        """Set a streamer's chat velocity in messages per minute: a finite number of at least 0."""
        try:
            if velocity.__class__ is not float or not 0 < velocity < _BIG:
                velocity = validation.number("chat_velocity", velocity)
            self._acquire()
            try:
                row = self._state.touch(streamer, self._clock())
                row.velocity = velocity
                row.velocity_version = row.version
            finally:
                self._release()
        except InvalidUpdate as problem:
            self._refuse(problem)

    def update_recording_status(self, streamer: str, is_recording: bool) -> None:
        """Say whether a streamer is being recorded: ``True`` or ``False``."""
        try:
            is_recording = validation.recording("recording", is_recording)
            with self._lock:
                row = self._state.touch(streamer, self._clock())
                row.recording = is_recording
                row.recording_version = row.version
        except InvalidUpdate as problem:
            self._refuse(problem)

    def add_trigger(self, streamer: str, trigger_type: str, details: dict[str, Any] | None = None) -> None:
        """Count a trigger, of a declared type or another, with details that JSON can hold."""
        try:
            kind = validation.name("trigger_type", trigger_type, self._limits)
            text = validation.details("details", details, self._limits)
            with self._lock:
                now = self._clock()
                self._state.check_type(kind)
                self._state.trigger(streamer, kind, text, now)
        except InvalidUpdate as problem:
            self._refuse(problem)

    def increment_clips_today(self, streamer: str) -> None:
        """Count one clip made of a streamer."""
        try:
            with self._lock:
                now = self._clock()
                self._state.clip(streamer, now)
        except InvalidUpdate as problem:
            self._refuse(problem)

    def clear_streamer_stats(self, streamer: str) -> None:
        """Drop a streamer's gauges and counters, as at its stream's end; keep its recent triggers and today's clips."""
        try:
            name = validation.name("streamer", streamer, self._limits)
            with self._lock:
                self._state.drop(name, self._clock())
        except InvalidUpdate as problem:
            self._refuse(problem)

    def reset_all(self) -> None:
        """Forget every streamer, trigger and clip; the exporter's counts of its own work go on."""
        with self._lock:
            self._state.reset(self._clock())

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

    # -- reading

    def get_clips_today(self, streamer: str) -> int:
        """Clips made of a streamer since midnight; 0 for one that is not known."""
        with self._lock:
            self._settle()
            return self._state.clips_today.get(streamer)

    def get_all_stats(self) -> Stats:
        """Everything, as it is at one moment, as plain data that JSON can hold."""
        return self.snapshot()[1]

    def snapshot(self) -> tuple[int, Stats]:
        """Everything, as :meth:`get_all_stats` has it, with the version that it is of."""
        with self._lock:
            rows = self.rows()
            version = self._state.version
            recent = self._state.history.copy()
            clips = self._state.clips_today.copy()
            updated = self._state.last_updated
        return version, {
            "viewer_counts": {row.streamer: row.viewers for row in rows if row.viewers is not None},
            "chat_velocities": {row.streamer: row.velocity for row in rows if row.velocity is not None},
            "recording_status": {row.streamer: row.recording for row in rows if row.recording is not None},
            "recent_triggers": [trigger.entry() for trigger in recent],
            "clips_today": clips,
            "last_updated": iso(updated),
        }

    @property
    def viewer_counts(self) -> dict[str, float]:
        """Viewers by streamer, those that were reported."""
        return {row.streamer: row.viewers for row in self.rows() if row.viewers is not None}

    @property
    def chat_velocities(self) -> dict[str, float]:
        """Chat messages per minute by streamer, those that were reported."""
        return {row.streamer: row.velocity for row in self.rows() if row.velocity is not None}

    @property
    def recording_status(self) -> dict[str, bool]:
        """Recording flags by streamer, those that were reported."""
        return {row.streamer: row.recording for row in self.rows() if row.recording is not None}

    @property
    def recent_triggers(self) -> list[TriggerEntry]:
        """The newest 20 triggers, newest first."""
        with self._lock:
            recent = self._state.history.copy()
        return [trigger.entry() for trigger in recent]

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
        never changed; :class:`~exporter.rows.Row` says when one is half changed, and :meth:`locked` reads such a one.
        """
        with self._lock:
            self._settle()
            now = self._state.membership
            return now, [] if now == membership else list(self._state.rows.values())

    def locked(self, read: Callable[[Row], T], row: Row) -> T:
        """What ``read`` gives for a row that nobody is changing; writers wait for it, so it must be quick."""
        with self._lock:
            return read(row)

    def own_numbers(self) -> dict[str, Any]:
        """The store's numbers about itself, by the ``field`` of the families that show them."""
        with self._lock:
            self._settle()
            return {
                "streamers": len(self._state.rows),
                "streamers_limit": self._limits.streamers,
                "streamers_expired": self._state.expired,
                "updates": {"local": self._state.asked - self._http_changes, "http": self._http_updates},
                "rejected": self._rejected.copy(),
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

    def _refuse(self, problem: InvalidUpdate) -> None:
        self.reject(problem.reason)
        if self._strict:
            raise problem
        self._log.warning(problem.reason, f"update refused: {problem}")
