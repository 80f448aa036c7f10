"""Names and passwords against bcrypt hashes: in constant time, and at a bounded cost, whatever is tried."""

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

_CACHED: Final = 1024  # answers of each kind
_WAITING: Final = 64  # checks that may wait for their turn
_WAITING_EACH: Final = 2  # of which from one address
_REST: Final = 3.0  # times what a wrong password has cost pass before the next: a fourth of one core at most
_LONGEST_REST: Final = 2.0  # seconds
_BCRYPT_BYTES: Final = 72  # of a password that count; ``bcrypt`` refuses longer ones where others cut them off


class TooManyChecks(Exception):
    """More passwords wait to be checked than may."""


class Passwords:
    """Knows whether a name and a password belong together, and remembers the answer.

    ``users`` gives bcrypt hashes by name as they are now. One check runs at a time, in a thread, and after a wrong
    password there is a pause. What was found right is remembered apart from what was found wrong, so that whoever has
    come in before does not wait while others guess. Its methods belong to one event loop.
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
        """How many hashes were computed."""

    async def belong(self, name: str, password: bytes, address: str) -> bool:
        """Whether ``password`` is that of ``name``; ``address`` says who asks.

        Raises :class:`TooManyChecks` if too many wait already.
        """
        users = self._users()
        hashed = users.get(name)
        # An unknown name costs what a known one does, or the time would tell which are known.
        against = hashed or _decoy(users)
        key = self._key(name.encode(), against, password)
        if self._known(key) is None:
            if self._waiting.total() >= _WAITING or self._waiting[address] >= _WAITING_EACH:
                raise TooManyChecks
            self._waiting[address] += 1
            try:
                await self._find_out(key, against, password, known=hashed is not None)
            finally:
                self._waiting[address] -= 1
                self._waiting += Counter()  # forgets the addresses that are at 0
        return self._known(key) is True

    def _key(self, *parts: bytes) -> bytes:
        # A digest under a secret: neither passwords nor what guesses them stays in memory.
        lengths = b"".join(len(part).to_bytes(8, "big") for part in parts)
        return hmac.digest(self._secret, lengths + b"".join(parts), hashlib.sha256)

    def _known(self, key: bytes) -> bool | None:
        for answers, answer in ((self._right, True), (self._wrong, False)):
            if key in answers:
                answers.move_to_end(key)
                return answer
        return None

    async def _find_out(self, key: bytes, hashed: bytes, password: bytes, *, known: bool) -> None:
        await self._turn.acquire()
        rest = 0.0
        try:
            if self._known(key) is not None:  # found out while this one waited
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
        except ValueError:  # a NUL, which no password has
            return False


def _decoy(users: Mapping[str, bytes]) -> bytes:
    """A hash that nothing matches, as costly as the costliest of the users'."""
    cost = max((hashed.split(b"$")[2] for hashed in users.values()), default=b"10")
    return b"$2b$" + cost + b"$" + b"." * 53
