"""A web configuration that follows its files: what is new is picked up, what is broken is told and left."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from exporter.errors import SettingsError
from exporter.metrics import CERTIFICATE_EXPIRES, WEB_CONFIG_READ, WEB_CONFIG_SUCCEEDED
from exporter.own_metrics import OwnMetrics
from exporter.security.tls import Tls
from exporter.security.webconfig import WebConfig, parse

logger = logging.getLogger("exporter.http")

_LOOK: Final = 1.0  # seconds between looks at the files


class WebFile:
    """A web configuration file and the certificates that it names.

    :attr:`config` is the newest that can be used. Whether there is TLS at all is decided once, and passwords and
    client certificates that were asked for are asked for until a restart. Raises
    :class:`~exporter.errors.SettingsError`, which holds every mistake, if it cannot be used from the start.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._clock = clock
        self._seen: dict[Path, bytes | None] = {}
        self.config: WebConfig = self._read()
        self._succeeded = True
        self._read_at = self._clock()

    @property
    def tls(self) -> Tls | None:
        """What a new connection is secured with."""
        return self.config.tls

    @property
    def users(self) -> Mapping[str, bytes]:
        """The bcrypt hashes of those who may come in, by name; if there are none, everybody may."""
        return self.config.users

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes on every response."""
        return self.config.headers

    def show(self, own: OwnMetrics) -> None:
        """Show the numbers about the file among a server's own."""
        own.gauge(WEB_CONFIG_SUCCEEDED).set_function(lambda: self._succeeded)
        own.gauge(WEB_CONFIG_READ).set_function(lambda: self._read_at)
        own.gauge(CERTIFICATE_EXPIRES).set_function(lambda: math.nan if self.tls is None else self.tls.expires)

    def renew(self) -> None:
        """Read the files again if any has changed; mistakes are logged, and what was before stays in force."""
        if all(_digest(path) == digest for path, digest in self._seen.items()):
            return
        try:
            config = self._read_anew()
        except SettingsError as problem:
            self._succeeded = False
            logger.error(  # noqa: TRY400 - a message for a person, who is not helped by a traceback
                "the new web configuration cannot be used, the one before stays in force: %s",
                "; ".join(problem.mistakes),
            )
            return
        self.config = config
        self._succeeded = True
        self._read_at = self._clock()
        logger.info("the web configuration has changed and is in force: %s", self.path)

    def _read_anew(self) -> WebConfig:
        config = self._read()
        if (config.tls is None) != (self.config.tls is None):
            raise SettingsError([f"{self.path}: turning TLS on or off needs a restart"])
        # A file that is being written, or that a full disk left empty, must not let everybody in.
        if self.config.users and not config.users:
            raise SettingsError([f"{self.path}: turning passwords off needs a restart"])
        if self._asks_for_certificates(self.config) and not self._asks_for_certificates(config):
            raise SettingsError([f"{self.path}: letting in clients without a certificate needs a restart"])
        return config

    @staticmethod
    def _asks_for_certificates(config: WebConfig) -> bool:
        return config.tls is not None and config.tls.context.verify_mode == ssl.CERT_REQUIRED

    async def watch(self) -> None:
        """Look for changes once a second, for ever."""
        while True:
            await asyncio.sleep(_LOOK)
            await asyncio.to_thread(self.renew)

    def _read(self) -> WebConfig:
        # What is remembered is from before the reading: a change in the middle of it is seen the next time.
        try:
            text = self.path.read_bytes()
        except OSError as problem:
            self._seen = {self.path: None}
            raise SettingsError([f"{self.path}: cannot be read ({problem.strerror})"]) from None
        self._seen = {self.path: hashlib.sha256(text).digest()}
        try:
            return parse(
                text, self.path.parent, lambda files: self._seen.update((file, _digest(file)) for file in files)
            )
        except SettingsError as problem:
            raise SettingsError([f"{self.path}: {mistake}" for mistake in problem.mistakes]) from None


def _digest(path: Path) -> bytes | None:
    # Contents, not times of change: these are coarse, and some ways to install a file keep them.
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None
