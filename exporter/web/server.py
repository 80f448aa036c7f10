"""Runs the app in a thread, for :func:`serve` and the command line."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

import uvicorn
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.types import ASGIApp

from exporter.errors import ListenError
from exporter.live.hub import Hub
from exporter.own_metrics import OwnMetrics
from exporter.settings.address import Address
from exporter.settings.options import ServeKeywords, ServeOptions
from exporter.settings.settings import serve_options, warn_of_unknown_variables
from exporter.storage.writer import Storage
from exporter.store.shared import SharedStats
from exporter.web.access import Access
from exporter.web.app import create_app
from exporter.web.connection_limit import ConnectionLimit
from exporter.web.connections import Connection
from exporter.web.extra import websockets
from exporter.web.listener import listen
from exporter.web.middleware import guard
from exporter.web.refusals import Refusals
from exporter.web.subscriber_limit import SubscriberLimit

if TYPE_CHECKING:
    from exporter.security.reload import WebFile

_GRACE = 2  # seconds that a stop waits for requests under way; a stop must end within 5
_WEBSOCKET_BYTES = 64 * 1024  # of one message; clients send only requests
_KEEP_ALIVE = 75  # seconds, longer than any usual scrape interval, so that Prometheus keeps its connection


class Server:
    """A running exporter at ``url``, until :meth:`stop`. Also a context manager."""

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        options: ServeOptions,
        hub: Hub | None = None,
        *,
        connection_limit: ConnectionLimit | None = None,
        access: Access | None = None,
        web_file: WebFile | None = None,
        storage: Storage | None = None,
    ) -> None:
        """Serve ``app`` on a listening socket in a daemon thread; returns once it answers.

        ``connection_limit`` admits connections and gives their TLS. :meth:`stop` disconnects the subscribers of
        ``hub`` and closes ``storage``. ``web_file`` is reloaded when it changes.
        """
        connection_limit = connection_limit or ConnectionLimit(options.limits, Refusals(), lambda: None)
        self._socket = listener
        self._hub = hub
        self._storage = storage
        self._access = access or Access(options.push_token)
        self.port: int = self._socket.getsockname()[1]
        near = Address(options.address, self.port).near
        self.url = f"{'http' if connection_limit.tls() is None else 'https'}://{near}"
        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", partial(Connection, connection_limit)),
            h11_max_incomplete_event_size=connection_limit.limits.header_bytes,
            lifespan="off",
            ws=websockets(),
            ws_max_size=_WEBSOCKET_BYTES,
            ws_per_message_deflate=False,  # a small compressed message can unpack to a thousand times its size
            log_config=None,  # leaves logging to the host program
            access_log=False,
            proxy_headers=False,  # any client can set these headers
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
            raise ListenError(f"cannot serve on {options.listen}: {self._problem}") from self._problem

    def _run(self) -> None:
        try:
            self._uvicorn.run(sockets=[self._socket])
        except BaseException as problem:
            self._problem = problem  # raised again by __init__; the thread prints its traceback too
            raise
        finally:
            self._socket.close()
            self._uvicorn.answering.set()

    @property
    def who_may_push(self) -> str:
        """Who may push, as text for a log line."""
        return str(self._access)

    @property
    def running(self) -> bool:
        """True while the server runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop the server; requests under way get two seconds to finish. A second call does nothing."""
        if self._hub is not None:
            self._hub.close()
        self._uvicorn.should_exit = True
        self._thread.join(_GRACE + 2)
        if self._storage is not None:
            self._storage.close()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds until all counters so far are on disk, and return whether they are.

        Without a storage, returns True at once.
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
        # The next iteration of the loop accepts connections; earlier ones wait in the socket's queue.
        asyncio.get_running_loop().call_soon(self.answering.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await asyncio.sleep(0)  # connections accepted during the stop are set up in the next iteration of the loop
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


def serve(
    port: int | None = None,
    address: str | None = None,
    *,
    stats: SharedStats | None = None,
    registry: CollectorRegistry = REGISTRY,
    **keywords: Unpack[ServeKeywords],
) -> Server:
    """Serve a store in a background thread, so that Prometheus can scrape it.

    ``stats`` is the store, by default the process's shared store. ``registry`` holds further families to serve, by
    default prometheus_client's registry with its process and Python metrics. ``port`` (9309; 0 for a free port, which
    the result's ``url`` shows), ``address`` (127.0.0.1) and the other keywords are the fields of
    :class:`~exporter.settings.options.ServeOptions`: ``telemetry_path``, ``push_token``, ``body_bytes``, ``links``,
    ``web_config``, ``cors_origins``, ``limits``, ``storage``. They are checked as on the command line. Keywords not
    passed are read from the same environment variables, such as ``CLIPPER_EXPORTER_WEB_LISTEN_ADDRESS``.

    A push needs the ``push_token``. Without one, it needs a password if ``web_config`` has users, else it must come
    from this machine, to a loopback address. The result's ``flush()`` waits until all counters are in ``storage``.

    Raises :class:`~exporter.errors.SettingsError` with all mistakes in the keywords, the variables and ``web_config``,
    :class:`~exporter.errors.ListenError` if it cannot listen on the address, and
    :class:`~exporter.errors.StorageError` if ``storage`` is a file or another exporter writes there. Other storage
    problems are logged and counted, and serving goes on.
    """
    given: dict[str, Any] = {**keywords}
    given |= {name: value for name, value in (("port", port), ("address", address)) if value is not None}
    options = serve_options(given, os.environ)
    warn_of_unknown_variables(os.environ)
    return start(options, SharedStats() if stats is None else stats, registry)


def start(
    options: ServeOptions,
    store: SharedStats,
    registry: CollectorRegistry = REGISTRY,
    *,
    web_file: WebFile | None = None,
) -> Server:
    """Serve ``store`` with ``options``; ``web_file`` replaces the file named in them.

    Raises the same exceptions as :func:`serve`.
    """
    web_file = web_file or _web_file(options.web_config)
    own = OwnMetrics()
    if web_file is not None:
        web_file.show(own)
    refusals = Refusals(own)
    connection_limit = ConnectionLimit(
        options.limits, refusals, lambda: web_file.tls if web_file is not None else None, own
    )
    hub = Hub(store, own=own)
    listener = listen(options.listen)
    kept: Storage | None = None
    try:
        access = Access(
            options.push_token,
            lambda: web_file.users if web_file is not None else {},
            local=ipaddress.ip_address(listener.getsockname()[0]).is_loopback,
        )
        kept = Storage(store, options.storage, own=own) if options.storage is not None else None
        app = create_app(
            options,
            store,
            registry,
            hub,
            access,
            storage=kept,
            subscriber_limit=SubscriberLimit(options.limits, refusals, own),
            own=own,
        )
        guarded = guard(app, options, access, refusals, web_file)
        return Server(
            guarded,
            listener,
            options,
            hub,
            connection_limit=connection_limit,
            access=access,
            web_file=web_file,
            storage=kept,
        )
    except BaseException:
        listener.close()
        if kept is not None:
            kept.close()
        raise


def _web_file(path: str | None) -> WebFile | None:
    if path is None:
        return None
    # Imported late: a server without this file needs neither YAML nor bcrypt.
    from exporter.security.reload import WebFile  # noqa: PLC0415

    return WebFile(path)
