"""Receiving pushes: who may, how much at once, and what comes of it."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from exporter.errors import InvalidBatch, StorageError
from exporter.storage.writer import Storage
from exporter.store.batch import parse
from exporter.store.store import Store
from exporter.store.validation import Reason
from exporter.web.body import whole
from exporter.web.limits import BODY_BYTES

_REMEDY: Final = "name a file that holds one with --push.token-file or CLIPPER_EXPORTER_PUSH_TOKEN_FILE"
COMMIT_SECONDS: Final = 5.0  # that a commit may take
_COUNTED: Final = ("triggers", "clips", "cleared")  # what outlives a restart: gauges do not


@dataclass(frozen=True, slots=True)
class PushPolicy:
    """Who may push: who has ``token``; without one, whoever has given a user's password, and everybody if ``local``.

    ``local`` is listening on a loopback address. Raises ``ValueError`` for a token that is not one printable word.
    """

    token: str | None = field(default=None, repr=False)
    local: bool = False

    def __post_init__(self) -> None:
        if self.token is not None and not re.fullmatch(r"[!-~]+", self.token):
            # The message leaves the token out: it is a secret.
            raise ValueError("push_token: must be one word of printable ASCII characters, or None for no token")

    def __str__(self) -> str:
        if self.token is not None:
            return "with the token"
        return "from this machine only: no token is set" if self.local else f"refused: no token is set; {_REMEDY}"

    def check(self, request: Request) -> None:
        """Raise the ``HTTPException`` that whoever may not push is answered with."""
        if self.token is not None:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
                raise HTTPException(
                    401, "expected the header Authorization: Bearer with the token", {"WWW-Authenticate": "Bearer"}
                )
        elif request.scope.get("user") is not None:  # has given a password
            return
        elif not self.local:
            raise HTTPException(403, "pushing needs a token where other machines may connect: see --push.token-file")
        elif not _is_loopback(_host(request)):
            # A page of another site may have its own name lead here, and is then no longer of another origin.
            raise HTTPException(403, "pushing without a token needs localhost or a loopback address as the host")


def _host(request: Request) -> str:
    host = request.headers.get("host", "").lower()
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host


def _is_loopback(host: str) -> bool:
    """Return whether ``host`` is ``localhost``, or an address of 127.0.0.0/8 or ``[::1]`` itself: no name of DNS is."""
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback and bracketed == (address.version == 6)


class Receiver:
    """Applies the bodies of ``POST /api/stats`` to a store; with a ``storage``, an answer means that it is on disk."""

    def __init__(
        self, store: Store, policy: PushPolicy, body_bytes: int = BODY_BYTES, storage: Storage | None = None
    ) -> None:
        self._store = store
        self.policy = policy
        self.body_bytes = body_bytes
        self._storage = storage

    async def receive(self, request: Request) -> dict[str, Any]:
        """Apply a request's body whole and return the answer, or apply nothing.

        Raises ``HTTPException`` for a request that is not let in and :class:`~exporter.errors.InvalidBatch` for a body
        that is no batch.
        """
        try:
            self.policy.check(request)
        except HTTPException:
            self._store.reject(Reason.UNAUTHORIZED)
            raise
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" or request.headers.get("content-encoding", "identity") != "identity":
            self._store.reject(Reason.MEDIA_TYPE)
            raise HTTPException(415, "expected Content-Type: application/json, and no Content-Encoding")
        body = await self._body(request)
        # Large bodies take long to decode; other requests go on meanwhile.
        applied, duplicates, counted = await run_in_threadpool(self._apply, body)
        if self._storage is not None and counted:
            await self._committed(self._storage)
        return {"applied": applied, "duplicates": duplicates, "instance": self._store.instance}

    async def _body(self, request: Request) -> bytes:
        try:
            return await whole(request, self.body_bytes)
        except ClientDisconnect:
            self._store.reject(Reason.MALFORMED)
            raise HTTPException(400, "the connection ended before the body") from None
        except HTTPException as problem:
            self._store.reject(Reason.TOO_LARGE if problem.status_code == 413 else Reason.MALFORMED)
            raise

    async def _committed(self, storage: Storage) -> None:
        """Wait until all that was counted so far is on disk: with what is new, also what a retry was too late for."""
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await asyncio.wrap_future(storage.committed())
        except (TimeoutError, StorageError):
            raise HTTPException(
                503, "applied, but not yet on disk: send it again, the events with the same ids", {"Retry-After": "1"}
            ) from None

    def _apply(self, body: bytes) -> tuple[int, int, bool]:
        try:
            data = parse(body)
        except InvalidBatch as problem:
            self._store.reject(problem.reason)
            raise
        applied, duplicates = self._store.apply(data)
        return applied, duplicates, any(data.get(key) for key in _COUNTED)
