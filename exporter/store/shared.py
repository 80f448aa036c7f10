"""SharedStats: the thread-safe store that a clipper writes to."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import Any, ClassVar, Final

from exporter.errors import InvalidUpdate
from exporter.logs import RateLimited
from exporter.store import validation
from exporter.store.store import Stats, Store, reported
from exporter.store.triggers import TriggerEntry
from exporter.store.validation import Limits

logger = logging.getLogger(__name__)

TRIGGER_TYPES: Final = ("viewer_spike", "chat_velocity", "keyword", "emote_flood")
STALE_AFTER: Final = 300.0

_BIG: Final = 1 << 53  # whole numbers below this are exact as floats, so the hot path skips further checks


class SharedStats(Store):
    """The numbers of every streamer, shared by the threads that write them and those that read them.

    ``SharedStats()`` always returns the shared store of this process. It logs invalid values and does not raise,
    because it must not end the clipper's thread. :meth:`create` returns a separate store, which raises
    :class:`~exporter.errors.InvalidUpdate`. A refused update changes nothing and is counted by its reason.

    A streamer without updates for ``stale_after`` seconds is cleared as if its stream had ended.
    """

    _shared: ClassVar[SharedStats | None] = None
    _make: ClassVar[Callable[[], SharedStats]]
    _making: ClassVar[threading.RLock] = threading.RLock()

    def __new__(cls) -> SharedStats:  # noqa: D102, PYI034 - every class of this kind gives the one shared store
        return SharedStats.shared()

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
        """Return a new store.

        ``trigger_types`` are the declared types, whose counters start at 0. ``stale_after`` is in seconds, 0 for never.
        ``clips_today`` starts again at midnight in ``time_zone`` (``None``: the machine's own). ``clock`` returns Unix
        time. If ``strict`` is False, refused updates are logged instead of raised. Raises :class:`InvalidUpdate` for
        invalid trigger types, and ``ValueError`` if ``stale_after`` is not a finite number of at least 0.
        """
        self = object.__new__(SharedStats)
        self._set_up(
            limits=limits or Limits(),
            trigger_types=trigger_types,
            stale_after=stale_after,
            time_zone=time_zone,
            clock=clock,
            strict=strict,
        )
        return self

    def _set_up(self, *, strict: bool, **options: Any) -> None:
        self._open(**options)
        self._strict = strict
        self._log = RateLimited(logger)

    @staticmethod
    def shared() -> SharedStats:
        """Return the shared store of this process, which the first call creates."""
        if SharedStats._shared is None:
            with SharedStats._making:
                made = SharedStats._shared or SharedStats._make()
                SharedStats._shared = SharedStats._shared or made
        return SharedStats._shared

    @staticmethod
    def share_when_asked(make: Callable[[], SharedStats]) -> None:
        """Let ``make`` create the shared store of this process when it is first needed."""
        SharedStats._make = staticmethod(make)

    @staticmethod
    def share(store: SharedStats) -> SharedStats:
        """Make ``store`` the shared store of this process, and return it."""
        SharedStats._shared = store
        return store

    # -- writing

    # A chat reader calls these thousands of times a minute, so each gauge has its own code, without a lock: look up the
    # row, replace the gauge's reading, add the gauge to those posted (see ``Store``).

    def update_viewers(self, streamer: str, count: float) -> None:
        """Set a streamer's viewers: a finite number of at least 0."""
        # A whole number, the usual case, needs no further check; ``__class__`` is the fastest test.
        if count.__class__ is not int or not 0 <= count < _BIG:  # type: ignore[unreachable]
            try:
                count = validation.number("viewers", count)
            except InvalidUpdate as problem:
                self._refuse(problem)
                return
        try:
            row = self._rows[streamer]
        except (KeyError, TypeError):  # no row yet, or not a valid name
            self._post_first("viewers", streamer, count)
            return
        gauge = row.viewers
        gauge.reading = (count, self._clock())
        self._posted_viewers[gauge] = row
        self._count()
        if self._waiting:
            self._wake()

    def update_velocity(self, streamer: str, velocity: float) -> None:
        """Set a streamer's chat velocity in messages per minute: a finite number of at least 0."""
        if velocity.__class__ is not float or not 0 < velocity < _BIG:
            try:
                velocity = validation.number("chat_velocity", velocity)
            except InvalidUpdate as problem:
                self._refuse(problem)
                return
        try:
            row = self._rows[streamer]
        except (KeyError, TypeError):
            self._post_first("velocity", streamer, velocity)
            return
        gauge = row.velocity
        gauge.reading = (velocity, self._clock())
        self._posted_velocity[gauge] = row
        self._count()
        if self._waiting:
            self._wake()

    def update_recording_status(self, streamer: str, is_recording: bool) -> None:
        """Set whether a streamer is being recorded: ``True`` or ``False``."""
        if is_recording.__class__ is not bool:
            try:  # type: ignore[unreachable]
                is_recording = validation.recording("recording", is_recording)
            except InvalidUpdate as problem:
                self._refuse(problem)
                return
        try:
            row = self._rows[streamer]
        except (KeyError, TypeError):
            self._post_first("recording", streamer, is_recording)
            return
        gauge = row.recording
        gauge.reading = (is_recording, self._clock())
        self._posted_recording[gauge] = row
        self._count()
        if self._waiting:
            self._wake()

    def _post_first(self, gauge: str, streamer: object, value: float) -> None:
        """Report a gauge of a streamer without a row."""
        try:
            with self._changing() as now:
                self._state.post(self._state.check_streamer(streamer, now), gauge, value, now)
                self._count()
        except InvalidUpdate as problem:
            self._refuse(problem)

    def add_trigger(self, streamer: str, trigger_type: str, details: dict[str, Any] | None = None) -> None:
        """Count a trigger of any type, with details that JSON can encode."""
        try:
            kind = validation.name("trigger_type", trigger_type, self._limits)
            text = validation.details("details", details, self._limits)
            with self._changing() as now:
                name = self._state.check_streamer(streamer, now)
                self._state.check_type(kind, now)
                self._state.trigger(name, kind, text, now)
                self._count()
        except InvalidUpdate as problem:
            self._refuse(problem)

    def increment_clips_today(self, streamer: str) -> None:
        """Count one clip made of a streamer."""
        try:
            with self._changing() as now:
                self._state.clip(self._state.check_streamer(streamer, now), now)
                self._count()
        except InvalidUpdate as problem:
            self._refuse(problem)

    def clear_streamer_stats(self, streamer: str) -> None:
        """Remove a streamer's gauges and counters when its stream ends; recent triggers and today's clips stay."""
        try:
            name = validation.name("streamer", streamer, self._limits)
            with self._changing() as now:
                if self._state.drop(name, now):
                    self._count()
        except InvalidUpdate as problem:
            self._refuse(problem)

    def reset_all(self) -> None:
        """Remove all streamers, triggers and clips; the exporter's own metrics are kept."""
        with self._changing() as now:
            self._state.reset(now)
            self._count()

    # -- reading

    def get_clips_today(self, streamer: str) -> int:
        """Return the clips made of a streamer since midnight; 0 for an unknown streamer."""
        with self._looking() as state:
            return state.clips_today.get(streamer)

    def get_all_stats(self) -> Stats:
        """Return everything at one moment, as plain data that JSON can encode."""
        return self.snapshot().stats()

    @property
    def viewer_counts(self) -> dict[str, float]:
        """Reported viewers by streamer."""
        return reported(self.snapshot().rows, "viewers")

    @property
    def chat_velocities(self) -> dict[str, float]:
        """Reported chat messages per minute by streamer."""
        return reported(self.snapshot().rows, "velocity")

    @property
    def recording_status(self) -> dict[str, bool]:
        """Reported recording flags by streamer."""
        return reported(self.snapshot().rows, "recording")

    @property
    def recent_triggers(self) -> list[TriggerEntry]:
        """The newest 20 triggers, newest first."""
        with self._lock:
            recent = self._state.recent.copy()
        return [trigger.entry() for trigger in recent]

    def _refuse(self, problem: InvalidUpdate) -> None:
        self.reject(problem.reason)
        if self._strict:
            raise problem
        self._log.warning(problem.reason, f"update refused: {problem}")


def _after_fork_in_child() -> None:
    SharedStats._making = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
