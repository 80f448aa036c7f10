"""Passwords: right, wrong, unknown, remembered, and bounded in what they cost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping

import bcrypt
import pytest

from exporter.security.passwords import Passwords, TooManyChecks


def hashed(password: str, cost: int = 4) -> bytes:
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(cost))


USERS = {"prometheus": hashed("right"), "long": hashed("x" * 100)}


class Held:
    """A check of passwords that waits until the test lets it go on; the right one is ``b"right"``."""

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0
        self.checked: list[bytes] = []
        self.go_on = threading.Event()

    def __call__(self, password: bytes, _: bytes) -> bool:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        assert self.go_on.wait(10)
        self.checked.append(password)
        self.under_way -= 1
        return password == b"right"


@pytest.mark.parametrize(
    ("name", "password", "belong"),
    [
        ("prometheus", b"right", True),
        ("prometheus", b"wrong", False),
        ("prometheus", b"", False),
        ("prometheus", b"ri\0ght", False),
        ("Prometheus", b"right", False),
        ("", b"", False),
        ("nobody", b"right", False),
        ("long", b"x" * 100, True),
        ("long", b"x" * 71, False),
    ],
)
def test_a_name_and_a_password_belong_together_or_not(name: str, password: bytes, belong: bool) -> None:
    async def ask() -> list[bool]:
        passwords = Passwords(lambda: USERS)
        return [await passwords.verify(name, password, "192.0.2.1") for _ in range(2)]

    assert asyncio.run(ask()) == [belong] * 2


@pytest.mark.parametrize("password", [b"right", b"wrong"])
def test_an_answer_is_remembered_and_a_new_hash_is_asked_anew(password: bytes) -> None:
    async def ask() -> list[int]:
        users: Mapping[str, bytes] = USERS
        passwords = Passwords(lambda: users)
        counts = []
        for users in (USERS, USERS, {"prometheus": hashed("right")}, {"prometheus": hashed("other")}):  # noqa: B007
            await passwords.verify("prometheus", password, "192.0.2.1")
            counts.append(passwords.checks)
        return counts

    assert asyncio.run(ask()) == [1, 1, 2, 3]


def test_an_answer_is_remembered_for_this_name_and_this_password_alone() -> None:
    # Joined without a boundary, the two users' names, hashes and passwords are the same bytes.
    known = hashed("p")
    users = {"x": known, "x" + known.decode(): known}

    async def ask() -> list[bool]:
        passwords = Passwords(lambda: users)
        asked = [("x" + known.decode(), b"p"), ("x", known + b"p"), ("x", b"p")]
        return [await passwords.verify(name, password, "192.0.2.1") for name, password in asked]

    assert asyncio.run(ask()) == [True, False, True]


def test_an_unknown_name_costs_what_the_costliest_known_one_does() -> None:
    against: list[bytes] = []

    def check(password: bytes, known: bytes) -> bool:
        against.append(known)
        return bcrypt.checkpw(password, known)

    async def ask() -> None:
        users = {"cheap": hashed("a", 4), "dear": hashed("a", 6)}
        passwords = Passwords(lambda: users, check)
        assert not await passwords.verify("nobody", b"a", "192.0.2.1")

    asyncio.run(ask())
    assert [known[:7] for known in against] == [b"$2b$06$"]


def test_one_check_at_a_time_and_the_loop_goes_on() -> None:
    held = Held()

    async def ask() -> None:
        passwords = Passwords(lambda: USERS, held)
        asked = [asyncio.create_task(passwords.verify("prometheus", b"right", f"192.0.2.{n}")) for n in range(9)]
        await until(lambda: held.under_way == 1)
        held.go_on.set()
        assert all(await asyncio.gather(*asked))
        # All asked the same, and the first answer was theirs as well.
        assert passwords.checks == 1

    asyncio.run(ask())
    assert held.most == 1


def test_whoever_is_known_does_not_wait_while_others_guess() -> None:
    held = Held()

    async def ask() -> None:
        passwords = Passwords(lambda: USERS, held)
        held.go_on.set()
        assert await passwords.verify("prometheus", b"right", "192.0.2.1")
        held.go_on.clear()
        guesses = [
            asyncio.create_task(passwords.verify("prometheus", str(n).encode(), f"198.51.100.{n}")) for n in range(80)
        ]
        await until(lambda: held.under_way == 1)
        assert await asyncio.wait_for(passwords.verify("prometheus", b"right", "192.0.2.1"), 1)
        refused = [task for task in guesses if task.done()]
        assert len(refused) == 80 - 64
        assert all(isinstance(task.exception(), TooManyChecks) for task in refused)
        for task in guesses:
            task.cancel()
        held.go_on.set()

    asyncio.run(ask())


def test_one_address_takes_two_of_the_places_in_the_queue() -> None:
    held = Held()

    async def ask() -> None:
        passwords = Passwords(lambda: USERS, held)
        guesses = [asyncio.create_task(passwords.verify("prometheus", bytes([n]), "198.51.100.1")) for n in range(1, 6)]
        await until(lambda: sum(task.done() for task in guesses) == 3)
        mine = asyncio.create_task(passwords.verify("prometheus", b"right", "192.0.2.1"))
        held.go_on.set()
        assert await mine
        assert [task.done() and task.exception() is None for task in guesses[:2]] == [True, True]

    asyncio.run(ask())


def test_guessing_takes_a_fourth_of_a_core_at_most() -> None:
    cost = 0.02

    def check(*_: bytes) -> bool:
        time.sleep(cost)
        return False

    async def ask() -> float:
        passwords = Passwords(lambda: USERS, check)
        began = time.monotonic()
        for number in range(5):
            await passwords.verify("prometheus", str(number).encode(), "198.51.100.1")
        return time.monotonic() - began

    # Five checks, and four pauses of three times as long between them.
    assert asyncio.run(ask()) >= 5 * cost + 4 * 3 * cost


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is in a thread
            await asyncio.sleep(0.001)
