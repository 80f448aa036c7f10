"""Reloads the web configuration when its files change; an invalid one is logged and not used."""

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

_CHECK_SECONDS: Final = 1.0  # seconds between checks of the files


class WebFile:
    """A web configuration file and the certificates that it names.

    :attr:`config` is the newest valid configuration. Turning TLS on or off, turning passwords off, and no longer
    requiring client certificates each need a restart. Raises :class:`~exporter.errors.SettingsError` with all mistakes
    if the first configuration is invalid.
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
        """The TLS of new connections, ``None`` without TLS."""
        return self.config.tls

    @property
    def users(self) -> Mapping[str, bytes]:
        """The users' bcrypt hashes by name; without users, no password is needed."""
        return self.config.users

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every response."""
        return self.config.headers

    def show(self, own: OwnMetrics) -> None:
        """Add the file's metrics to a server's own metrics."""
        own.gauge(WEB_CONFIG_SUCCEEDED).set_function(lambda: self._succeeded)
        own.gauge(WEB_CONFIG_READ).set_function(lambda: self._read_at)
        own.gauge(CERTIFICATE_EXPIRES).set_function(lambda: math.nan if self.tls is None else self.tls.expires)

    def reload(self) -> None:
        """Reload the files if any has changed; if there are mistakes, log them and keep the old configuration."""
        if all(_digest(path) == digest for path, digest in self._seen.items()):
            return
        try:
            config = self._read_again()
        except SettingsError as problem:
            self._succeeded = False
            logger.error(  # noqa: TRY400 - a traceback does not help the operator
                "the new web configuration is invalid, so the old one stays in force: %s",
                "; ".join(problem.mistakes),
            )
            return
        self.config = config
        self._succeeded = True
        self._read_at = self._clock()
        logger.info("reloaded the web configuration: %s", self.path)

    def _read_again(self) -> WebConfig:
        config = self._read()
        if (config.tls is None) != (self.config.tls is None):
            raise SettingsError([f"{self.path}: turning TLS on or off needs a restart"])
        # A half-written file, or one that a full disk left empty, must not turn passwords off.
        if self.config.users and not config.users:
            raise SettingsError([f"{self.path}: turning passwords off needs a restart"])
        if self._requires_certificates(self.config) and not self._requires_certificates(config):
            raise SettingsError([f"{self.path}: no longer requiring client certificates needs a restart"])
        return config

    @staticmethod
    def _requires_certificates(config: WebConfig) -> bool:
        return config.tls is not None and config.tls.context.verify_mode == ssl.CERT_REQUIRED

    async def watch(self) -> None:
        """Check for changes once a second until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            await asyncio.to_thread(self.reload)

    def _read(self) -> WebConfig:
        # Digests are taken before the files are parsed, so that a change in between is seen at the next check.
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
    # Contents, not modification times: these are coarse, and some installers preserve them.
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None
