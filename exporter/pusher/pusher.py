"""Pushes a store to an exporter in another process, from one thread."""

from __future__ import annotations

import atexit
import logging
import math
import os
import queue
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Self, TypedDict, Unpack

from exporter.logs import RateLimited
from exporter.pusher.backlog import QUEUE_FULL, Backlog
from exporter.pusher.sender import Sender
from exporter.pusher.transport import HttpTransport, Transport
from exporter.store.emit import on_emit
from exporter.store.shared import SharedStats
from exporter.store.store import Store

logger = logging.getLogger(__name__)

_GATHER: Final = 1.0  # longest time in seconds between reads of the store while the exporter is unreachable
_ERROR_PAUSE: Final = 60.0  # seconds before the thread goes on after an unexpected error


class Pace(TypedDict, total=False):
    """How fast, and how much. ``max_events`` is a number, all else is in seconds.

    ``interval`` (0.5) is the least time between two requests. All gauges are sent again every ``heartbeat`` (60) and
    when the exporter has restarted. ``timeout`` (5) limits each wait for it, ``exit_timeout`` (5) the flush at the
    interpreter's exit. At most ``max_events`` (10,000) triggers, clips and clears wait; of more the oldest are dropped.
    """

    interval: float
    heartbeat: float
    timeout: float
    exit_timeout: float
    max_events: int


class Pusher:
    """Sends all changes of a store to another exporter until it is closed. Also a context manager.

    Writers never wait for the network. One thread sends the newest value of each gauge, and all triggers and clips in
    order. Events have times and ids, so each is counted once even if it is sent again. Failed requests are retried.
    See :func:`push` for the options.
    """

    def __init__(
        self,
        store: Store,
        url: str,
        token: str | None = None,
        *,
        interval: float = 0.5,
        heartbeat: float = 60.0,
        timeout: float = 5.0,
        exit_timeout: float = 5.0,
        max_events: int = 10_000,
        transport: Transport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        for name, value in {"interval": interval, "heartbeat": heartbeat, "timeout": timeout}.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number of seconds above 0, got {value!r}")
        if not 0 <= exit_timeout < math.inf:
            raise ValueError(f"exit_timeout: expected a number of seconds of at least 0, got {exit_timeout!r}")
        if max_events < 1:
            raise ValueError(f"max_events: expected a whole number of at least 1, got {max_events!r}")
        self._store = store
        self._make_transport: Callable[[], Transport] = lambda: transport or HttpTransport(url, token, timeout=timeout)
        self._pace: dict[str, Any] = {
            "interval": interval,
            "heartbeat": heartbeat,
            "monotonic": monotonic,
            "jitter": jitter,
        }
        self._exit_timeout = exit_timeout
        self._max_events = max_events
        self._begin()
        _pushers.add(self)

    def _begin(self) -> None:
        """Reset to the state at the start of a process."""
        self.backlog = Backlog(self._store, self._max_events)
        self.sender = Sender(self.backlog, self._make_transport(), os.urandom(8).hex(), **self._pace)
        self._progress = threading.Condition()
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()  # unlike an Event, safe in signal handlers
        self._dropping = RateLimited(logger, 60.0)
        self._thread: threading.Thread | None = None
        self._closed = False
        # The thread starts when there is something to send: importing this package starts none.
        self._start_once = iter([self._start]).__next__  # one call into C, so that two threads never both start it
        self._store.on_next_change(self._start_for_change)
        if self._store.rows():  # asked last: what changes from here on starts it
            self._start_for_change()

    @property
    def dropped(self) -> Mapping[str, int]:
        """Number of dropped updates by reason: ``queue_full``, ``refused``, ``closed``."""
        return self.backlog.dropped

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait up to ``timeout`` seconds until all updates are delivered or dropped, and return whether they are."""
        version, number = self._store.version, self._store.events

        def done() -> bool:
            return self.sender.since >= version and self.backlog.settled(number)

        with self._progress:
            self._hurry()
            self._progress.wait_for(lambda: self._closed or done(), timeout)
        return done()

    def close(self, timeout: float = 5.0) -> None:
        """Flush for up to ``timeout`` seconds, then stop sending and drop the rest."""
        if self._closed:
            return
        ends = time.monotonic() + timeout
        self.flush(timeout)
        self._closed = True
        _pushers.discard(self)
        left = self.backlog.close()
        if left:
            logger.warning("%d triggers, clips and clears were not delivered, and are dropped", left)
        if self._thread is not None:
            self._stop_emitting()
            atexit.unregister(self.close)
            self._calls.put(None)
            self._thread.join(max(0.0, ends - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hurry(self) -> None:
        self.sender.hurry()
        self._calls.put(None)

    def _start_for_change(self) -> None:
        with suppress(StopIteration):
            self._start_once()()

    def _start(self) -> None:
        if self._closed:
            return
        thread = threading.Thread(target=self._run, name="clipper-exporter-push", daemon=True)
        try:
            thread.start()
        except RuntimeError as problem:  # too many threads, or the interpreter is exiting
            logger.error("cannot start the thread that pushes, so nothing is sent: %s", problem)  # noqa: TRY400 - a traceback adds nothing
            self._closed = True
            self.backlog.close()
            return
        self._thread = thread
        self._stop_emitting = on_emit(self._hurry)
        atexit.register(self.close, self._exit_timeout)
        if "multiprocessing.util" in sys.modules:  # its forked processes exit without atexit
            sys.modules["multiprocessing.util"].Finalize(self, self.close, (self._exit_timeout,), exitpriority=10)

    def _run(self) -> None:
        told = 0
        while not self._closed:
            try:
                pause = self.sender.step()
            except Exception:
                logger.exception("unexpected error while sending")
                pause = _ERROR_PAUSE
            with self._progress:
                self._progress.notify_all()
            dropped = self.backlog.dropped[QUEUE_FULL]
            if dropped > told:
                self._dropping.warning(
                    QUEUE_FULL, f"the queue is full: dropped {dropped} of the oldest triggers, clips and clears"
                )
                told = dropped
            with suppress(queue.Empty):
                self._calls.get(timeout=min(pause, _GATHER))


def push(url: str, token: str | None = None, *, stats: SharedStats | None = None, **pace: Unpack[Pace]) -> Pusher:
    """Send all changes of a store to an exporter in another process, starting now. Works together with ``serve()``.

    ``url`` is the exporter's, with a user as in ``https://name:password@host:9309`` if it has users; ``token`` is its
    push token, if it has one. ``stats`` is the store, by default the process's shared store. The other options are
    those of :class:`Pace`. Raises ``ValueError`` for an invalid option.
    """
    return Pusher(SharedStats() if stats is None else stats, url, token, **pace)


_pushers: weakref.WeakSet[Pusher] = weakref.WeakSet()


def _after_fork() -> None:
    # The thread and all updates so far belong to the parent process, which sends them.
    for pusher in list(_pushers):
        pusher._store.begin_anew()
        pusher._begin()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
