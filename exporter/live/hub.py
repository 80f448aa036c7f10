"""Live updates: one bounded fan-out of a store's changes to subscribers.

Subscribers have no queues. Each knows a version of the store, and when it is ready for more it gets all changes since
that version. So a slow or dead subscriber delays nobody, and needs no more memory than the update being sent to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

from exporter.metrics import LIVE_DROPPED, LIVE_SUBSCRIBERS
from exporter.own_metrics import OwnMetrics
from exporter.store.emit import on_emit
from exporter.store.store import Store

INTERVAL: Final = 0.25  # seconds between pushes; four a second look live
HEARTBEAT: Final = 15.0  # seconds; proxies close connections that are silent for a minute, some earlier
TRANSPORTS: Final = ("sse", "socketio")
_LOOK: Final = 1.0  # seconds between checks for changes by time alone: expired streamers, a new day
_SHARE: Final = 20  # pushing takes at most 1/20 of a core: with many subscribers, pushes get rarer
_SENDING: Final = 50e-6  # CPU seconds of one push to one subscriber, as measured by benchmarks/push.py,
_SENDING_EACH: Final = 1e-9  # plus this for each byte
_PIECE: Final = 64 * 1024  # bytes of an event written to a connection at once
_RENDERINGS: Final = 16  # cached at once; a reconnecting client may claim any version
_SLOWEST: Final = 5.0  # longest interval between pushes in seconds, with any number of subscribers


@dataclass(frozen=True)
class Push:
    """An update to send: ``event`` is ``snapshot`` or ``update``, ``data`` is JSON, ``version`` is the store's.

    All subscribers share one instance, which lives until the last of them has read it.
    """

    event: str
    instance: str
    version: int
    data: bytes

    def pieces(self) -> Iterator[bytes]:
        """Yield the pieces of an event: https://html.spec.whatwg.org/multipage/server-sent-events.html.

        A connection copies what is written to it. With pieces, one that does not read holds only a small copy.
        """
        head = f"id: {self.instance}:{self.version}\nevent: {self.event}\ndata: ".encode()
        for start in range(0, len(self.data), _PIECE):
            end = b"\n\n" if start + _PIECE >= len(self.data) else b""
            yield b"".join((head, self.data[start : start + _PIECE], end))
            head = b""

    @cached_property
    def packet(self) -> str:
        """The ``stats_update`` event of Socket.IO: https://socket.io/docs/v4/socket-io-protocol/."""
        return f'2["stats_update",{self.data.decode()}]'


class Hub:
    """Follows one store while there are subscribers in one event loop.

    ``interval`` is the shortest time between two pushes in seconds; 0 pushes each change at once. ``heartbeat`` is the
    longest, with or without changes. ``own`` holds the server's own metrics. Call methods from the event loop only,
    except :meth:`close`, which is thread-safe.
    """

    def __init__(
        self, store: Store, interval: float = INTERVAL, heartbeat: float = HEARTBEAT, *, own: OwnMetrics | None = None
    ) -> None:
        self.store = store
        self.interval = interval
        self._heartbeat = heartbeat
        self.closed = False
        self.pushed = 0
        """Number of times that subscribers were notified of changes."""
        self._version = store.version
        self._moved = asyncio.Event()
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._armed = False
        self._renderings: dict[int | None, asyncio.Task[Push]] = {}
        self._resting = 0.0  # monotonic time until which pushing pauses
        self._follower: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscribers = dict.fromkeys(TRANSPORTS, 0)
        self.own = own or OwnMetrics()
        subscribers = self.own.gauge(LIVE_SUBSCRIBERS)
        for transport in TRANSPORTS:
            subscribers.labels(transport).set_function(partial(self._subscribers.__getitem__, transport))
        self._dropped = self.own.counter(LIVE_DROPPED, TRANSPORTS)

    def close(self) -> None:
        """End all subscriptions permanently."""
        self.closed = True
        self._call(self._moved.set)

    @contextmanager
    def subscribed(self, transport: str) -> Iterator[None]:
        """Follow the store during the context; ``transport`` is one of :data:`TRANSPORTS`."""
        self._loop = asyncio.get_running_loop()
        self._subscribers[transport] += 1
        if self._follower is None:
            self._version = self.store.version
            self._follower = self._loop.create_task(self._follow())
        try:
            yield
        finally:
            self._subscribers[transport] -= 1
            if not any(self._subscribers.values()):
                self._follower.cancel()
                self._follower = None
                self._renderings = {}

    async def moved(self, *others: asyncio.Event) -> None:
        """Wait for a change, a heartbeat, or one of ``others``."""
        if not self.closed:
            await (_first(self._moved, *others) if others else self._moved.wait())

    def missed(self, transport: str, pushes: int) -> None:
        """Count pushes that a subscriber was too slow for; a later one contains their changes."""
        self._dropped.labels(transport).inc(max(0, pushes))

    async def since(self, version: int | None) -> Push:
        """Return the changes after ``version``, or a snapshot if it is ``None``, too old or in the future.

        Subscribers with the same version share one rendering. An update ends at the version of the last notification,
        so that subscribers with different versions then share the same one.
        """
        rendering = self._renderings.get(version)
        if rendering is None:
            while len(self._renderings) >= _RENDERINGS:
                del self._renderings[next(iter(self._renderings))]
            upto = self._version if version is not None and version <= self._version else None
            rendering = self._renderings[version] = asyncio.create_task(self._rendered(version, upto))
        # A subscriber that disconnects must not cancel the rendering of the others.
        push = await asyncio.shield(rendering)
        self._worked(_SENDING + _SENDING_EACH * len(push.data))
        return push

    async def _rendered(self, version: int | None, upto: int | None) -> Push:
        def render() -> tuple[Push, float]:
            began = time.thread_time()
            return self._render(version, upto), time.thread_time() - began

        push, seconds = await asyncio.to_thread(render)
        self._worked(seconds)
        return push

    def _render(self, version: int | None, upto: int | None) -> Push:
        if version is not None:
            changes = self.store.follow(version).take(upto)
            if not changes.start_again:
                return Push("update", self.store.instance, changes.version, changes.body().encode())
        snapshot = self.store.snapshot()
        return Push("snapshot", self.store.instance, snapshot.version, snapshot.text().encode())

    async def stream(self, since: int | None) -> AsyncGenerator[Push | None, None]:
        """Yield the pushes for an SSE subscriber that knows version ``since``; ``None`` is a heartbeat."""
        with self.subscribed("sse"):
            known = since
            while not self.closed:
                push = await self.since(known)
                told = self.pushed
                if push.event == "snapshot" or push.data != b"{}":
                    yield push
                    # The newest push made meanwhile is sent next; earlier ones were missed.
                    self.missed("sse", self.pushed - told - 1)
                known = push.version
                while not self.closed and self._version <= known:
                    before = self._version
                    await self.moved()
                    if self._version == before and not self.closed:
                        yield None

    async def _follow(self) -> None:
        stop_emitting = on_emit(lambda: self._call(self._hurry.set))
        beat = time.monotonic()
        try:
            while True:
                self._arm()
                version, now = self.store.version, time.monotonic()
                if version != self._version or self._hurry.is_set():
                    self._tell(version)
                    beat = now
                    await self._pause()
                elif now - beat >= self._heartbeat:
                    self._wake_subscribers()
                    beat = now
                else:
                    await _first(self._changed, self._hurry, seconds=_LOOK)
        finally:
            stop_emitting()

    def _tell(self, version: int) -> None:
        self._version = version
        self._hurry.clear()
        self._renderings = {}
        self.pushed += 1
        self._wake_subscribers()

    def _wake_subscribers(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _worked(self, seconds: float) -> None:
        now = time.monotonic()
        self._resting = min(max(self._resting, now) + seconds * _SHARE, now + _SLOWEST)

    async def _pause(self) -> None:
        """Wait for the interval, or until an emit, and in both cases until the pause for the work done is over."""
        if not self.interval:
            await asyncio.sleep(0)
            return
        began = time.monotonic()
        while True:
            hurry = self._hurry.is_set()
            left = max(began if hurry else began + self.interval, self._resting) - time.monotonic()
            if left <= 0:
                return
            await (asyncio.sleep(left) if hurry else _first(self._hurry, seconds=left))

    def _arm(self) -> None:
        """Ask the store for a call at its next change, unless a call is already pending."""
        self._changed.clear()
        if not self._armed:
            self._armed = True
            self.store.on_next_change(self._wake)

    def _wake(self) -> None:
        self._armed = False
        self._call(self._changed.set)

    def _call(self, function: Callable[[], object]) -> None:
        # A closed loop has no subscribers.
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function)


async def _first(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Wait until one of the events is set, for at most ``seconds``."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
