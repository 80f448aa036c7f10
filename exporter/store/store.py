"""The store: a state with a lock, and cursors that read its changes.

**Guarantees.** An update is one call: a gauge, a trigger, a clip, a clear, or a batch. Readers see an update as a whole
or not at all. A snapshot, and the changes that a cursor returns, show one moment.

Gauges are reported thousands of times a minute, so they take no lock: a writer replaces a gauge's reading and adds the
gauge to ``State.posted``. Readers hold the lock, take in the posted gauges, and read only those. All other operations
hold the lock from start to end. Each step without the lock is one operation on one object, which is atomic on builds
without a GIL too. Only a GIL guarantees the order of readings of two streamers that are reported during a read.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, NamedTuple, TypedDict

from exporter.errors import InvalidBatch, InvalidUpdate
from exporter.metrics import STREAMERS, STREAMERS_EXPIRED, STREAMERS_LIMIT, UPDATES, UPDATES_REJECTED, Family
from exporter.store import validation
from exporter.store.apply import apply
from exporter.store.batch import Batch, read
from exporter.store.counters import Counted, restore
from exporter.store.encoding import array, compact, members
from exporter.store.journal import GAUGES, Changes
from exporter.store.rows import READINGS, RowCopy, Rows
from exporter.store.state import FEW, STEP, State
from exporter.store.triggers import Trigger, TriggerEntry, iso
from exporter.store.validation import Limits, Reason


class Stats(TypedDict):
    """The result of ``get_all_stats()`` and ``GET /api/stats``; times are ISO 8601 with an offset."""

    viewer_counts: dict[str, float]
    chat_velocities: dict[str, float]
    recording_status: dict[str, bool]
    recent_triggers: list[TriggerEntry]
    clips_today: dict[str, int]
    last_updated: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything in a store at one moment."""

    version: int
    rows: Rows
    recent: tuple[Trigger, ...]
    clips_today: dict[str, int]
    updated: float

    def stats(self) -> Stats:
        """Return the snapshot as plain data that JSON can encode."""
        return {
            "viewer_counts": reported(self.rows, "viewers"),
            "chat_velocities": reported(self.rows, "velocity"),
            "recording_status": reported(self.rows, "recording"),
            "recent_triggers": [trigger.entry() for trigger in self.recent],
            "clips_today": self.clips_today,
            "last_updated": iso(self.updated),
        }

    def text(self) -> str:
        """Return :meth:`stats` as JSON text."""
        texts = {name: compact(reported(self.rows, gauge)) for name, gauge in GAUGES.items()}
        texts["recent_triggers"] = array(trigger.text() for trigger in self.recent)
        texts["clips_today"] = compact(self.clips_today)
        texts["last_updated"] = compact(iso(self.updated))
        return members(texts)


class Applied(NamedTuple):
    """The result of a batch: updates applied, and events left out because their ids are known."""

    applied: int
    duplicates: int


def reported(rows: Rows, gauge: str) -> dict[str, Any]:
    """Return the reported values of one gauge by streamer."""
    columns = zip(rows.column("streamer"), rows.column(gauge), strict=True)
    return {streamer: value for streamer, value in columns if value is not None}


class Store:
    """A :class:`~exporter.store.state.State` with a lock and a clock. Thread-safe."""

    # Not __init__, which Python would call again at every SharedStats().

    def _open(
        self,
        *,
        limits: Limits,
        trigger_types: Iterable[str],
        stale_after: float,
        time_zone: tzinfo | None,
        clock: Callable[[], float],
    ) -> None:
        if not 0 <= stale_after < math.inf:
            raise ValueError(f"stale_after: expected a finite number of seconds, 0 for never, got {stale_after!r}")
        declared = [validation.name("trigger_types", each, limits) for each in trigger_types]
        if len(declared) > limits.trigger_types:
            raise InvalidUpdate("trigger_types", declared, f"at most {limits.trigger_types}", Reason.TRIGGER_TYPES)
        self._limits = limits
        self._clock = clock

        def new_state() -> State:
            return State(declared, limits, stale_after, time_zone, clock())

        self._new_state = new_state
        self._begin()
        _stores.add(self)

    def _begin(self) -> None:
        """Reset to an empty store, as at the start of a process."""
        self._state = self._new_state()
        # Reentrant: a signal handler or a finalizer may report a number while its own thread holds the lock.
        self._lock = threading.RLock()
        # Shortcuts for gauge updates.
        self._rows = self._state.rows
        self._posted_viewers, self._posted_velocity, self._posted_recording = (
            self._state.posted[name] for name in READINGS
        )
        self._waiting: deque[Callable[[], None]] = deque()
        # Counts updates: one call into C, so that two threads never take the same number.
        self._count: Callable[[], int] = itertools.count().__next__
        self._looks_at_count = 0
        self.instance = os.urandom(8).hex()
        """A random id of this store; when it changes, pushers send their gauges again."""
        self._http_updates = 0
        self._rejected = {reason.value: 0 for reason in Reason}

    def begin_anew(self) -> None:
        """Reset to an empty store; no other thread may use the store meanwhile."""
        self._begin()

    # -- following

    def follow(self, version: int | None = None) -> Cursor:
        """Return a cursor at ``version``, by default the current one."""
        return Cursor(self, self.version if version is None else version)

    def snapshot(self) -> Snapshot:
        """Return everything at one moment."""
        with self._looking() as state:
            return Snapshot(
                state.version,
                Rows(list(state.rows.values())),
                state.recent.copy(),
                state.clips_today.copy(),
                state.last_updated,
            )

    @property
    def limits(self) -> Limits:
        """The limits of the store."""
        return self._limits

    @property
    def version(self) -> int:
        """The version, which rises with every change."""
        with self._looking() as state:
            return state.version

    @property
    def events(self) -> int:
        """The number of the newest event."""
        with self._lock:
            return self._state.journal.total

    def rows(self) -> list[RowCopy]:
        """Return copies of all rows at one moment, in the order first seen."""
        with self._looking() as state:
            rows = Rows(list(state.rows.values()))
        return list(rows)

    def on_next_change(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` once, at the next change, from the thread that makes the change.

        It must be quick and take no lock, because a signal handler may make that change.
        """
        self._waiting.append(wake)

    def own_numbers(self) -> dict[Family, Any]:
        """Return the store's own metrics by family; for a family with a label, values by label value."""
        with self._looking() as state:
            updates = self._count() - self._looks_at_count
            self._looks_at_count += 1
            return {
                STREAMERS: len(state.rows),
                STREAMERS_LIMIT: self._limits.streamers,
                STREAMERS_EXPIRED: state.expired,
                UPDATES: {"local": updates, "http": self._http_updates},
                UPDATES_REJECTED: self._rejected.copy(),
            }

    # -- writing, for the web layer and the storage

    def read(self, body: bytes) -> Batch:
        """Parse the body of ``POST /api/stats``. Raises :class:`~exporter.errors.InvalidBatch` with all mistakes."""
        try:
            return read(body, self._limits, self._clock())
        except InvalidBatch as problem:
            self.reject(problem.reason)
            raise

    def apply(self, batch: Batch) -> Applied:
        """Apply a batch as a whole or not at all.

        Raises :class:`~exporter.errors.InvalidBatch`, strict or not, if it exceeds a limit.
        """
        try:
            with self._changing() as now:
                applied, duplicates = apply(self._state, batch, now)
                self._http_updates += applied
        except InvalidBatch as problem:
            self.reject(problem.reason)
            raise
        return Applied(applied, duplicates)

    def reject(self, reason: str) -> None:
        """Count a refused update; ``reason`` is one of ``validation.Reason``."""
        with self._lock:
            self._rejected[reason] += 1

    def restore(self, earlier: Counted) -> None:
        """Add the counters of an earlier store, so that counters continue."""
        with self._changing() as now:
            restore(self._state, earlier, now)

    # -- inside

    @contextmanager
    def _looking(self) -> Iterator[State]:
        """Hold the lock, after taking in posted gauges and expiring stale rows."""
        # First in steps, so that no thread waits long for the lock.
        while self._state.behind(self._clock()):
            with self._lock:
                now = self._clock()
                self._state.take_in(now, STEP)
                self._state.expire(now, STEP)
        with self._lock:
            state, now = self._state, self._clock()
            before = state.version
            state.turn_day(now)
            state.take_in(now, sys.maxsize)
            state.expire(now, sys.maxsize)
            yield state
            changed = state.version != before
        if changed and self._waiting:
            self._wake()

    @contextmanager
    def _changing(self) -> Iterator[float]:
        """Hold the lock for a change, then call the functions waiting for it."""
        with self._lock:
            now = self._clock()
            self._state.turn_day(now)
            self._state.expire(now, FEW)
            yield now
        if self._waiting:
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            try:
                wake = self._waiting.popleft()
            except IndexError:  # another thread was quicker
                return
            wake()


class Cursor:
    """A position in the journal of a store."""

    def __init__(self, store: Store, version: int) -> None:
        self._store = store
        self.version = version
        """The version up to which changes were taken. Set it back to take them again."""
        self.ids = 0
        """Number of event ids taken."""

    def take(self, upto: int | None = None) -> Changes:
        """Return the changes since the last call, read at one moment, and advance.

        With ``upto`` the changes and events end at that version. Gauges still have their newest values, and are
        returned again by the next call.
        """
        with self._store._looking() as state:
            changes = state.changes(self.version, upto, self.ids)
        self.version = changes.version
        self.ids = changes.ids_total
        return changes


_stores: weakref.WeakSet[Store] = weakref.WeakSet()
_held: list[Store] = []
_forking = threading.Lock()


def _before_fork() -> None:
    # So that the child gets every store between two updates; one thread after the other.
    _forking.acquire()
    _held[:] = sorted(_stores.copy(), key=id)
    for store in _held:
        store._lock.acquire()


def _after_fork_in_parent() -> None:
    for store in reversed(_held):
        store._lock.release()
    _held.clear()
    _forking.release()


def _after_fork_in_child() -> None:
    for store in _held:
        store._lock = threading.RLock()
        store._waiting.clear()  # the waiting threads are in the parent
    _held.clear()
    _forking.release()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
