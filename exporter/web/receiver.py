"""Receives pushes: checks the request, applies its batch and returns the answer."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from exporter.errors import StorageError
from exporter.storage.writer import Storage
from exporter.store.store import Applied, Store
from exporter.store.validation import Reason
from exporter.web.access import Access
from exporter.web.body import read_body

COMMIT_SECONDS: Final = 5.0  # the longest that a push waits for the disk


class Receiver:
    """Applies ``POST /api/stats`` to a store; with a ``storage``, status 200 means that events are on disk."""

    def __init__(self, store: Store, access: Access, body_bytes: int, storage: Storage | None = None) -> None:
        self._store = store
        self._access = access
        self._body_bytes = body_bytes
        self._storage = storage

    async def receive(self, request: Request) -> dict[str, Any]:
        """Apply a request's batch and return the answer.

        Raises ``HTTPException`` for a request that is refused and :class:`~exporter.errors.InvalidBatch` for an invalid
        batch. Then nothing is applied, except with 503: the batch is applied but not on disk.
        """
        try:
            self._access.check_push(request)
        except HTTPException:
            self._store.reject(Reason.UNAUTHORIZED)
            raise
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" or request.headers.get("content-encoding", "identity") != "identity":
            self._store.reject(Reason.MEDIA_TYPE)
            raise HTTPException(
                415, "unsupported media type: send Content-Type: application/json without Content-Encoding"
            )
        body = await self._body(request)
        # In a thread: decoding a large body must not block other requests.
        done, counted = await run_in_threadpool(self._apply, body)
        if self._storage is not None and counted:
            await self._committed(self._storage)
        return {**done._asdict(), "instance": self._store.instance}

    async def _body(self, request: Request) -> bytes:
        try:
            return await read_body(request, self._body_bytes)
        except ClientDisconnect:
            self._store.reject(Reason.MALFORMED)
            raise HTTPException(400, "the connection ended before the end of the body") from None
        except HTTPException as problem:
            self._store.reject(Reason.TOO_LARGE if problem.status_code == 413 else Reason.MALFORMED)
            raise

    async def _committed(self, storage: Storage) -> None:
        """Wait until all events so far are on disk, including those that a retried request sent first."""
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await asyncio.wrap_future(storage.committed())
        except (TimeoutError, StorageError):
            raise HTTPException(
                503, "applied, but not on disk yet: send the batch again with the same event ids", {"Retry-After": "1"}
            ) from None

    def _apply(self, body: bytes) -> tuple[Applied, bool]:
        batch = self._store.read(body)
        return self._store.apply(batch), batch.counted
