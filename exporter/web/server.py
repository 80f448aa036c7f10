"""Running the app: in a thread of a clipper's process, or for the command line."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Self, cast

import uvicorn
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.types import ASGIApp

from exporter.errors import ListenError
from exporter.live.hub import Hub
from exporter.own_metrics import OwnMetrics
from exporter.settings.parsers import Address
from exporter.storage.writer import Storage
from exporter.store.shared import SharedStats
from exporter.web.app import create_app
from exporter.web.connection_limit import Door
from exporter.web.connections import Connection, WebSocket
from exporter.web.limits import BODY_BYTES, HttpLimits
from exporter.web.middleware import guard
from exporter.web.receiver import PushPolicy, Receiver
from exporter.web.refusals import Refusals
from exporter.web.subscriber_limit import Places

if TYPE_CHECKING:
    from exporter.security.reload import WebFile

_GRACE = 2  # seconds that a stop leaves to requests under way: below the 5 in which a stop must be done
_WEBSOCKET_BYTES = 64 * 1024  # of one message; clients only ask
_KEEP_ALIVE = 75  # seconds, longer than any usual scrape interval, so that Prometheus keeps its connection


class Server:
    """A running exporter: ``url`` is where, :meth:`stop` ends it. It is a context manager, too."""

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        address: Address,
        hub: Hub | None = None,
        *,
        door: Door | None = None,
        web_file: WebFile | None = None,
        storage: Storage | None = None,
    ) -> None:
        """Serve ``app`` on a socket that listens on ``address``, in a daemon thread; returns once it answers.

        Connections come in through ``door``, without TLS if there is none. Subscribers of ``hub`` are let go when it
        stops, and ``storage`` is closed then. Changes of ``web_file`` are picked up while it runs.
        """
        door = door or Door(HttpLimits(), Refusals(), lambda: None)
        self._socket = listener
        self._hub = hub
        self._storage = storage
        self.who_may_push = ""
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{'http' if door.tls() is None else 'https'}://{Address(address.host, self.port).near}"
        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", partial(Connection, door)),
            h11_max_incomplete_event_size=door.limits.header_bytes,
            lifespan="off",
            ws=WebSocket,
            ws_max_size=_WEBSOCKET_BYTES,
            ws_per_message_deflate=False,  # a message's size is known only once it is unpacked, a thousandfold
            log_config=None,  # the host program's logging is its own
            access_log=False,
            proxy_headers=False,  # who connects is who counts: anybody can write these headers
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
        )
        self._uvicorn = _Uvicorn(config, web_file)
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="clipper-exporter", daemon=True)
        self._thread.start()
        self._uvicorn.answering.wait()
        if self._problem is not None:
            raise ListenError(f"cannot serve on {address}: {self._problem}") from self._problem

    def _run(self) -> None:
        try:
            self._uvicorn.run(sockets=[self._socket])
        except BaseException as problem:
            self._problem = problem  # for whoever waits for the start; the thread's own traceback is printed as well
            raise
        finally:
            self._socket.close()
            self._uvicorn.answering.set()

    @property
    def running(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it: requests under way get two seconds to finish. Stopping twice is fine."""
        if self._hub is not None:
            self._hub.close()
        self._uvicorn.should_exit = True
        self._thread.join(_GRACE + 2)
        if self._storage is not None:
            self._storage.close()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was counted so far is on disk, ``timeout`` seconds at most; tells whether it is.

        Without a storage there is nothing to wait for.
        """
        return self._storage is None or self._storage.flush(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, web_file: WebFile | None) -> None:
        super().__init__(config)
        self._web_file = web_file
        self._watching: asyncio.Task[None] | None = None
        self.answering = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._web_file is not None:
            self._watching = asyncio.create_task(self._web_file.watch())
        # The loop's next turn accepts connections; those that come earlier wait in the socket's queue.
        asyncio.get_running_loop().call_soon(self.answering.set)


def serve(
    port: int = 9309,
    address: str = "127.0.0.1",
    *,
    stats: SharedStats | None = None,
    registry: CollectorRegistry = REGISTRY,
    telemetry_path: str = "/metrics",
    push_token: str | None = None,
    body_bytes: int = BODY_BYTES,
    links: Mapping[str, str] | None = None,
    web_config: str | os.PathLike[str] | WebFile | None = None,
    cors_origins: Collection[str] = (),
    limits: HttpLimits | None = None,
    storage: str | os.PathLike[str] | None = None,
) -> Server:
    """Serve a store's numbers in a background thread, so that Prometheus can scrape them.

    ``port`` 0 takes a free one: read it from the ``url`` of what is returned. ``stats`` is the process's own shared
    store unless another is given; ``registry`` holds the families served beside it, by default prometheus_client's
    own, with its process and Python metrics. Who pushes over HTTP needs ``push_token``; without one it is accepted on
    loopback addresses only, and at most ``body_bytes`` at once. ``links`` are addresses that the page leads to, by what
    is there. ``storage`` is a folder in which all that is counted outlives restarts and crashes; ``flush()`` of what is
    returned waits until it is on disk.

    ``web_config`` is a file that turns on TLS and passwords, in the format of Prometheus's own exporters; with
    passwords and without ``push_token``, a password is what pushing needs. Pages of ``cors_origins`` may read the
    numbers; ``"*"`` is all.

    Raises :class:`~exporter.errors.ListenError` if the address cannot be listened on,
    :class:`~exporter.errors.SettingsError` if the file cannot be used, and :class:`~exporter.errors.StorageError` if
    the folder is a file or another exporter writes there; what else is wrong with that is logged and is a metric, and
    the numbers are served.
    """
    web_file = _web_file(web_config)
    limits = limits or HttpLimits()
    own = OwnMetrics()
    if web_file is not None:
        web_file.show(own)
    refusals = Refusals(own)
    door = Door(limits, refusals, lambda: web_file.tls if web_file is not None else None, own)
    store = SharedStats() if stats is None else stats
    hub = Hub(store, own=own)
    where = Address(address, port)
    listener = listen(where)
    policy = PushPolicy(push_token, local=ipaddress.ip_address(listener.getsockname()[0]).is_loopback)
    kept: Storage | None = None
    try:
        kept = Storage(store, storage, own=own) if storage is not None else None
        app = create_app(
            store,
            registry,
            hub,
            Receiver(store, policy, body_bytes, kept),
            storage=kept,
            telemetry_path=telemetry_path,
            links=links,
            places=Places(limits, refusals, own),
            origins=cors_origins,
            own=own,
        )
        guarded = guard(
            app,
            limits=limits,
            refusals=refusals,
            origins=cors_origins,
            shared={telemetry_path, "/api/stats"},
            config=web_file,
            push_token=push_token is not None,
        )
        server = Server(guarded, listener, where, door=door, hub=hub, web_file=web_file, storage=kept)
    except BaseException:
        listener.close()
        if kept is not None:
            kept.close()
        raise
    with_password = push_token is None and web_file is not None and web_file.users
    server.who_may_push = "with the name and the password of a user" if with_password else str(policy)
    return server


def _web_file(given: str | os.PathLike[str] | WebFile | None) -> WebFile | None:
    if given is None:
        return None
    # Imported late: most clippers serve to their own machine, and need neither YAML nor bcrypt for that.
    from exporter.security.reload import WebFile  # noqa: PLC0415

    return given if isinstance(given, WebFile) else WebFile(os.fspath(given))


def listen(address: Address) -> socket.socket:
    """Listen on an address; raises :class:`~exporter.errors.ListenError` for one that cannot be had."""
    # Not left to uvicorn, which ends the process where the address cannot be had.
    try:
        found = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as problem:
        raise ListenError(f"cannot listen on {address}: expected an address of this machine ({problem})") from None
    # Every address, if none is named: IPv6 first, whose socket takes IPv4 as well.
    family, kind, protocol, _, where = max(found, key=lambda each: not address.host and each[0] == socket.AF_INET6)
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform == "win32":  # where SO_REUSEADDR would let a second program take the port away
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if not address.host else 1)
        listener.bind(where)
        listener.listen(128)
    except OSError as problem:
        listener.close()
        hint = {
            errno.EADDRINUSE: "another program listens there; choose another port, or 0 for a free one",
            errno.EACCES: "not permitted; choose a port of 1024 or more",
            errno.EADDRNOTAVAIL: "expected an address of this machine",
        }.get(problem.errno or 0, str(problem))
        raise ListenError(problem.errno, f"cannot listen on {address}: {hint}") from None
    return listener
