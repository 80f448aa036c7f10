"""RemoteStats: a store that also tells an exporter in another process all that it is told."""

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
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import tzinfo
from typing import Any, Final, Self

from exporter.logs import RateLimited
from exporter.pusher.backlog import Backlog
from exporter.pusher.outbox import QUEUE_FULL, Outbox
from exporter.pusher.sender import Sender
from exporter.pusher.transport import HttpTransport, Transport
from exporter.settings import environment, settings
from exporter.store.emit import on_emit
from exporter.store.shared import TRIGGER_TYPES, SharedStats
from exporter.store.validation import Limits

logger = logging.getLogger(__name__)

_STALE_AFTER: Final = settings.options()["stale_after"].variable
_AFTER_A_FAULT: Final = 60.0  # seconds after which a thread that failed for a reason nobody thought of tries again


class RemoteStats(SharedStats):
    """All that :class:`~exporter.store.shared.SharedStats` is, with an exporter elsewhere told of every change.

    What is read is what this process has written. Writing never waits for the network: one thread sends gauges, the
    newest of each, and triggers and clips, all of them, in order, with the times at which they were and with ids, so
    that they are counted once however often they are sent. It tries again until they have arrived.

    ``url`` is where the exporter is, ``https://name:password@host:9309`` if it asks for a user, and ``token`` what it
    wants to see if it has one. ``interval`` is the least time between two
    batches; all gauges are sent again every ``heartbeat`` and when the exporter has restarted; ``timeout`` limits each
    wait for it; ``exit_timeout`` limits the flush at the interpreter's exit; all are in seconds. At most ``max_events``
    wait; of more the oldest are dropped. A streamer stays until it is cleared, or for ``stale_after`` seconds after its
    newest update if that is not 0. Refused updates are logged, or raised if ``strict`` or, where that is not given, if
    ``CLIPPER_EXPORTER_STRICT`` is 1. The other options are those of :meth:`SharedStats.create`; ``transport``,
    ``monotonic`` and ``jitter`` stand in for the network, for a clock that cannot be set, and for chance.

    ``RemoteStats()`` is this process's shared store if that is one. Raises ``ValueError`` for an option that cannot be.
    """

    def __new__(cls, url: str = "", *_: Any, **__: Any) -> Self:  # noqa: D102
        if url:
            return object.__new__(cls)
        shared = SharedStats.shared()
        if isinstance(shared, cls):
            return shared
        raise TypeError("url: expected the address of an exporter, for the shared store of this process has none")

    def __init__(
        self,
        url: str = "",
        token: str | None = None,
        *,
        strict: bool | None = None,
        limits: Limits | None = None,
        trigger_types: Iterable[str] = TRIGGER_TYPES,
        stale_after: float = 0.0,
        time_zone: tzinfo | None = None,
        clock: Callable[[], float] = time.time,
        transport: Transport | None = None,
        interval: float = 0.5,
        heartbeat: float = 60.0,
        timeout: float = 5.0,
        exit_timeout: float = 5.0,
        max_events: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not url:  # RemoteStats(), which is the shared one and is set up
            return
        durations = {"interval": interval, "heartbeat": heartbeat, "timeout": timeout}
        for name, value in durations.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number of seconds above 0, got {value!r}")
        if max_events < 1:
            raise ValueError(f"max_events: expected a whole number of at least 1, got {max_events!r}")
        self._options: dict[str, Any] = {
            "limits": limits or Limits(),
            "trigger_types": tuple(trigger_types),
            "stale_after": stale_after,
            "time_zone": time_zone,
            "clock": clock,
            "strict": environment.is_strict(os.environ) if strict is None else strict,
        }
        self._transport = transport
        self._address: dict[str, Any] = {"url": url, "token": token, "timeout": timeout}
        self._pace: dict[str, Any] = {
            "interval": interval,
            "heartbeat": heartbeat,
            "monotonic": monotonic,
            "jitter": jitter,
        }
        self._exit_timeout = exit_timeout
        self._max_events = max_events
        self._begin()
        _remotes.add(self)

    def _begin(self) -> None:
        """Hold nothing and have sent nothing, as at the start of a process."""
        self._outbox = Outbox(self._max_events)
        self._set_up(**self._options, log=self._outbox)
        transport = HttpTransport(**self._address) if self._transport is None else self._transport
        backlog = Backlog(self, self._outbox, self._lock)
        self._sender = Sender(backlog, transport, os.urandom(8).hex(), **self._pace)
        self._progress = threading.Condition(self._lock)
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()  # unlike an Event, safe to use in signal handlers
        self._dropping = RateLimited(logger, 60.0)
        self._thread: threading.Thread | None = None
        self._closed = False
        # A thread is started when there is something to send: importing this package starts none.
        self.on_next_change(self._start)

    def reset_all(self) -> None:
        """Forget every streamer, trigger and clip, and clear these streamers at the exporter."""
        with self._lock:
            for row in self.rows():
                self._outbox.cleared(self._state.version, row.streamer)
            super().reset_all()

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many updates never will arrive, by reason: ``queue_full``, ``refused``, ``closed``."""
        with self._lock:
            return self._outbox.dropped.copy()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was written has arrived, or was dropped, for ``timeout`` seconds; tells if it has."""
        with self._progress:
            version, number = self.version, self._outbox.last

            def done() -> bool:
                return self._sender.since >= version and self._outbox.settled(number)

            self._hurry()
            self._progress.wait_for(lambda: self._closed or done(), timeout)
            return done()

    def close(self, timeout: float = 5.0) -> None:
        """Flush, for at most ``timeout`` seconds, and send nothing any more; what is left is dropped."""
        if self._closed:
            return
        ends = time.monotonic() + timeout
        self.flush(timeout)
        with self._lock:
            self._closed = True
            before = sum(self._outbox.dropped.values())
            self._outbox.close()
            left = sum(self._outbox.dropped.values()) - before
        if left:
            logger.warning("%d triggers, clips and clears have not arrived, and are dropped", left)
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
        self._sender.hurry()
        self._calls.put(None)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="clipper-exporter-push", daemon=True)
        try:
            thread.start()
        except RuntimeError as problem:  # there are too many, or the interpreter is about to end
            logger.error("nothing can be sent: %s", problem)  # noqa: TRY400 - the message says it all
            self._closed = True
            self._outbox.close()
            return
        self._thread = thread
        self._stop_emitting = on_emit(self._hurry)
        atexit.register(self.close, self._exit_timeout)
        if "multiprocessing.util" in sys.modules:  # whose forked processes leave without asking atexit
            sys.modules["multiprocessing.util"].Finalize(self, self.close, (self._exit_timeout,), exitpriority=10)

    def _run(self) -> None:
        told = 0
        while not self._closed:
            try:
                pause = self._sender.step()
            except Exception:
                logger.exception("sending failed in a way that should not be possible")
                pause = _AFTER_A_FAULT
            with self._progress:
                self._progress.notify_all()
                dropped = self._outbox.dropped[QUEUE_FULL]
            if dropped > told:
                self._dropping.warning(
                    QUEUE_FULL, f"{dropped} of the oldest triggers, clips and clears were dropped: too many wait"
                )
                told = dropped
            with suppress(queue.Empty):
                self._calls.get(timeout=pause)


def from_environment(environ: Mapping[str, str], **options: Any) -> RemoteStats:
    """The store that ``CLIPPER_EXPORTER_URL`` asks for, with the ``options`` of :class:`RemoteStats`.

    Raises ``ValueError``, which names the variable, for a URL or a token that cannot be one.
    """
    if _STALE_AFTER not in environ:
        # Unless it is said how long silence may last, the end of this process is what ends a stream.
        options["stale_after"] = 0.0
    token = environ.get(environment.TOKEN) or environment.read_token(
        environment.TOKEN_FILE, environ.get(environment.TOKEN_FILE, "")
    )
    try:
        return RemoteStats(environ[environment.URL], token, **options)
    except ValueError as problem:
        field, _, message = str(problem).partition(":")
        raise ValueError(f"{environment.PREFIX}{field.upper()}:{message}") from None


_remotes: weakref.WeakSet[RemoteStats] = weakref.WeakSet()


def _after_fork() -> None:
    # The thread is the parent's, and so are the events: it sends them. The locks may be in any state.
    for remote in _remotes:
        remote._begin()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
