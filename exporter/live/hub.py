"""Live push: one bounded fan-out of a store's changes to whoever listens.

Nothing is queued for a subscriber. It has a version of the store that it knows, and when it can take more it gets what
has changed since then, however much that is. So one that is slow, or dead, holds up nobody, and no more memory than the
one push that is on its way to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from exporter.store.emit import on_emit
from exporter.store.store import Store

INTERVAL: Final = 0.25  # seconds between pushes: four a second, which eyes take for live
HEARTBEAT: Final = 15.0  # seconds; proxies cut connections that are silent for a minute, some sooner
TRANSPORTS: Final = ("sse", "socketio")
_LOOK: Final = 1.0  # seconds between looks for what time alone changes: streamers that expire, a new day
_SHARE: Final = 20  # pushing takes at most one part in so many of a core: many subscribers get fewer pushes
_SENDING: Final = 50e-6  # seconds of work that a push to one subscriber is, as benchmarks/push.py measures it,
_SENDING_EACH: Final = 1e-9  # and for each byte of it
_PIECE: Final = 64 * 1024  # bytes of an event given to a connection at once
_RENDERINGS: Final = 16  # kept at once: a client that comes back may say that it knows any version
_SLOWEST: Final = 5.0  # seconds between pushes, however many subscribers there are


@dataclass(frozen=True)
class Push:
    """What subscribers are sent: ``event`` is ``snapshot`` or ``update``, ``data`` JSON, ``version`` the store's.

    It is kept once, however many get it, and as long as one of them does not read it.
    """

    event: str
    instance: str
    version: int
    data: bytes

    def pieces(self) -> Iterator[bytes]:
        """An event of an event stream: https://html.spec.whatwg.org/multipage/server-sent-events.html.

        In pieces, for what is given to a connection is copied, and one that does not read would hold it all.
        """
        head = f"id: {self.instance}:{self.version}\nevent: {self.event}\ndata: ".encode()
        for start in range(0, len(self.data), _PIECE):
            end = b"\n\n" if start + _PIECE >= len(self.data) else b""
            yield b"".join((head, self.data[start : start + _PIECE], end))
            head = b""

    @cached_property
    def packet(self) -> str:
        """A ``stats_update`` event of Socket.IO: https://socket.io/docs/v4/socket-io-protocol/."""
        return f'2["stats_update",{self.data.decode()}]'


class Hub:
    """Follows one store for the subscribers of one event loop, as long as there are any.

    ``interval`` is the least time between two pushes, in seconds; 0 pushes each change as soon as it is seen.
    ``heartbeat`` is the most, changes or not. Every method belongs to the loop, but for :meth:`close` and
    :meth:`numbers`, which any thread may call.
    """

    def __init__(self, store: Store, interval: float = INTERVAL, heartbeat: float = HEARTBEAT) -> None:
        self.store = store
        self.interval = interval
        self._heartbeat = heartbeat
        self.closed = False
        self.pushed = 0
        """How often subscribers were told that there is something for them."""
        self._version = store.version
        self._moved = asyncio.Event()
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._armed = False
        self._renderings: dict[int | None, asyncio.Task[Push]] = {}
        self._resting = 0.0  # until when, by the monotonic clock
        self._follower: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscribers = dict.fromkeys(TRANSPORTS, 0)
        self._dropped = dict.fromkeys(TRANSPORTS, 0)

    def numbers(self) -> Mapping[str, Any]:
        """The numbers about live push, by the ``field`` of the families that show them."""
        return {"live_subscribers": self._subscribers.copy(), "live_dropped": self._dropped.copy()}

    def close(self) -> None:
        """End every subscription, for good."""
        self.closed = True
        self._call(self._moved.set)

    @contextmanager
    def subscribed(self, transport: str) -> Iterator[None]:
        """Follow the store at least as long as the context lasts; ``transport`` is one of :data:`TRANSPORTS`."""
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
        """Wait until there may be something new, it is time for a heartbeat, or one of ``others`` is set."""
        if not self.closed:
            await (_first(self._moved, *others) if others else self._moved.wait())

    def missed(self, transport: str, pushes: int) -> None:
        """Count pushes that a subscriber was not ready for; it gets what they held with a later one."""
        self._dropped[transport] += max(0, pushes)

    async def since(self, version: int | None) -> Push:
        """What changed after ``version``, or everything: for ``None``, and for a version too old or not yet seen.

        Rendered once for all subscribers that know the same version. An update ends at the version that subscribers
        were last told of, so that those who knew different ones know the same one from then on.
        """
        rendering = self._renderings.get(version)
        if rendering is None:
            while len(self._renderings) >= _RENDERINGS:
                del self._renderings[next(iter(self._renderings))]
            upto = self._version if version is not None and version <= self._version else None
            rendering = self._renderings[version] = asyncio.create_task(self._rendered(version, upto))
        # One subscriber that goes away must not take the others' rendering with it.
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
        """Yield what a subscriber over SSE is sent, from the version that it knows; ``None`` is a heartbeat."""
        with self.subscribed("sse"):
            known = since
            while not self.closed:
                push = await self.since(known)
                told = self.pushed
                if push.event == "snapshot" or push.data != b"{}":
                    yield push
                    # The newest push that was made meanwhile is the next one here.
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
        """Let a push's interval pass, unless somebody is in a hurry; and let it rest from its work, hurry or not."""
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
        """Be told of the next change. Once, however often nothing came: a store keeps who waits."""
        self._changed.clear()
        if not self._armed:
            self._armed = True
            self.store.on_next_change(self._wake)

    def _wake(self) -> None:
        self._armed = False
        self._call(self._changed.set)

    def _call(self, function: Callable[[], object]) -> None:
        # A loop that has ended has nobody left to tell.
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function)


async def _first(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Wait until one of the events is set, or that many seconds have passed."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
