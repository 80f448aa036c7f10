"""SharedStats: the thread-safe store that a clipper writes into and everything else reads."""

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

_BIG: Final = 1 << 53  # whole numbers below it are samples as they are: the hot path need not look further


class SharedStats(Store):
    """The numbers of every streamer, shared by the threads that write them and those that read them.

    ``SharedStats()`` is always the one store of this process. That one never raises for a bad value, for it must not
    kill the thread that it observes: it logs the message and goes on. :meth:`create` makes a store of one's own, which
    raises :class:`~exporter.errors.InvalidUpdate`. A refused update changes nothing and is counted by its reason.

    A streamer that nothing has updated for ``stale_after`` seconds is cleared as if its stream had ended.
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
        )
        return self

    def _set_up(self, *, strict: bool, **options: Any) -> None:
        self._open(**options)
        self._strict = strict
        self._log = RateLimited(logger)

    @staticmethod
    def shared() -> SharedStats:
        """Return the one store of this process; it is made when it is first asked for."""
        if SharedStats._shared is None:
            with SharedStats._making:
                made = SharedStats._shared or SharedStats._make()
                SharedStats._shared = SharedStats._shared or made
        return SharedStats._shared

    @staticmethod
    def share_when_asked(make: Callable[[], SharedStats]) -> None:
        """Have ``make`` make the one store of this process, unless there is one by then."""
        SharedStats._make = staticmethod(make)

    @staticmethod
    def share(store: SharedStats) -> SharedStats:
        """Make ``store`` the one that ``SharedStats()`` is in this process, and return it."""
        SharedStats._shared = store
        return store

    # -- writing

    # A chat reader calls thousands of times a minute. So the gauges spell out what they do: the row is looked up, the
    # gauge's reading is replaced, and the gauge is entered among those posted, without a lock: see ``Store``.

    def update_viewers(self, streamer: str, count: float) -> None:
        """Set a streamer's viewers: a finite number of at least 0."""
        # A whole number, as viewers are, needs no closer look; its class is asked for the fastest way.
        if count.__class__ is not int or not 0 <= count < _BIG:  # type: ignore[unreachable]
            try:
                count = validation.number("viewers", count)
            except InvalidUpdate as problem:
                self._refuse(problem)
                return
        try:
            row = self._rows[streamer]
        except (KeyError, TypeError):  # not known yet, or not even something that a name can be
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
        """Say whether a streamer is being recorded: ``True`` or ``False``."""
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
        """Report a gauge of a streamer that has no row yet."""
        try:
            with self._changing() as now:
                self._state.post(self._state.check_streamer(streamer, now), gauge, value, now)
                self._count()
        except InvalidUpdate as problem:
            self._refuse(problem)

    def add_trigger(self, streamer: str, trigger_type: str, details: dict[str, Any] | None = None) -> None:
        """Count a trigger, of a declared type or another, with details that JSON can hold."""
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
        """Drop a streamer's gauges and counters, as at its stream's end; keep its recent triggers and today's clips."""
        try:
            name = validation.name("streamer", streamer, self._limits)
            with self._changing() as now:
                if self._state.drop(name, now):
                    self._count()
        except InvalidUpdate as problem:
            self._refuse(problem)

    def reset_all(self) -> None:
        """Forget every streamer, trigger and clip; the exporter's counts of its own work go on."""
        with self._changing() as now:
            self._state.reset(now)
            self._count()

    # -- reading

    def get_clips_today(self, streamer: str) -> int:
        """Clips made of a streamer since midnight; 0 for one that is not known."""
        with self._looking() as state:
            return state.clips_today.get(streamer)

    def get_all_stats(self) -> Stats:
        """Everything, as it is at one moment, as plain data that JSON can hold."""
        return self.snapshot().stats()

    @property
    def viewer_counts(self) -> dict[str, float]:
        """Viewers by streamer, those that were reported."""
        return reported(self.snapshot().rows, "viewers")

    @property
    def chat_velocities(self) -> dict[str, float]:
        """Chat messages per minute by streamer, those that were reported."""
        return reported(self.snapshot().rows, "velocity")

    @property
    def recording_status(self) -> dict[str, bool]:
        """Recording flags by streamer, those that were reported."""
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
