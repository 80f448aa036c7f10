"""Checks user names and passwords against bcrypt hashes, in constant time and at a bounded cost."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import bcrypt

_CACHED: Final = 1024  # results of each kind
_WAITING: Final = 64  # checks that may wait
_WAITING_EACH: Final = 2  # of these, from one address
_REST: Final = 3.0  # pause after a wrong password, in multiples of its cost: a quarter of one core at most
_LONGEST_REST: Final = 2.0  # seconds
_BCRYPT_BYTES: Final = (
    72  # of a password that bcrypt uses; the ``bcrypt`` package refuses longer ones instead of cutting them
)


class TooManyChecks(Exception):
    """Too many password checks are waiting."""


class Passwords:
    """Checks the passwords of ``users`` (current bcrypt hashes by name) and caches the results.

    One check runs at a time, in a thread, with a pause after each wrong password. Right and wrong passwords have
    separate caches, so that guesses cannot delay users who have logged in before. Call its methods from one event loop.
    """

    def __init__(
        self,
        users: Callable[[], Mapping[str, bytes]],
        check: Callable[[bytes, bytes], bool] = bcrypt.checkpw,
    ) -> None:
        self._users = users
        self._check = check
        self._secret = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self.checks = 0
        """Number of hashes computed."""

    async def verify(self, name: str, password: bytes, address: str) -> bool:
        """Return whether ``password`` is that of ``name``; ``address`` is the client's.

        Raises :class:`TooManyChecks` if too many checks are waiting.
        """
        users = self._users()
        hashed = users.get(name)
        # An unknown name costs as much time as a known one, so that timing does not reveal which names exist.
        against = hashed or _decoy(users)
        key = self._key(name.encode(), against, password)
        if self._known(key) is None:
            if self._waiting.total() >= _WAITING or self._waiting[address] >= _WAITING_EACH:
                raise TooManyChecks
            self._waiting[address] += 1
            try:
                await self._check_hash(key, against, password, known=hashed is not None)
            finally:
                self._waiting[address] -= 1
                self._waiting += Counter()  # drops addresses with a count of 0
        return self._known(key) is True

    def _key(self, *parts: bytes) -> bytes:
        # A keyed digest, so that the cache holds neither passwords nor hashes that help to guess them.
        lengths = b"".join(len(part).to_bytes(8, "big") for part in parts)
        return hmac.digest(self._secret, lengths + b"".join(parts), hashlib.sha256)

    def _known(self, key: bytes) -> bool | None:
        for answers, answer in ((self._right, True), (self._wrong, False)):
            if key in answers:
                answers.move_to_end(key)
                return answer
        return None

    async def _check_hash(self, key: bytes, hashed: bytes, password: bytes, *, known: bool) -> None:
        await self._turn.acquire()
        rest = 0.0
        try:
            if self._known(key) is not None:  # another check found the result meanwhile
                return
            began = time.monotonic()
            self.checks += 1
            right = await asyncio.to_thread(self._matches, password, hashed) and known
            if not right:
                rest = min((time.monotonic() - began) * _REST, _LONGEST_REST)
            answers = self._right if right else self._wrong
            answers[key] = None
            if len(answers) > _CACHED:
                answers.popitem(last=False)
        finally:
            if rest:
                asyncio.get_running_loop().call_later(rest, self._turn.release)
            else:
                self._turn.release()

    def _matches(self, password: bytes, hashed: bytes) -> bool:
        try:
            return self._check(password[:_BCRYPT_BYTES], hashed)
        except ValueError:  # the password contains a NUL
            return False


def _decoy(users: Mapping[str, bytes]) -> bytes:
    """Return a hash that no password matches, with the highest cost among the users' hashes."""
    cost = max((hashed.split(b"$")[2] for hashed in users.values()), default=b"10")
    return b"$2b$" + cost + b"$" + b"." * 53
