from __future__ import annotations

import asyncio
import json
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import SharedStats, emit_stats_update
from exporter.live import hub as live
from exporter.live.hub import Hub, Push
from exporter.store import emit
from exporter.store.store import Cursor
from tests.batches import apply
from tests.clock import FakeClock
from tests.subscriber import Subscriber

DEADLINE = 20.0  # seconds that a condition may take to hold, on a machine that is busy with other things
NEVER = 3600.0  # seconds between pushes: in a test, only what does not wait for an interval comes through


def play(scene: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(3 * DEADLINE):
            await scene

    asyncio.run(in_time())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until ``condition`` holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - conditions are about what other threads do as well
            await asyncio.sleep(0.001)


async def turns(count: int = 50) -> None:
    """Let the loop turn: whatever could have happened without waiting has happened then."""
    for _ in range(count):
        await asyncio.sleep(0)


@asynccontextmanager
async def following(hub: Hub, since: int | None = None) -> AsyncIterator[Subscriber]:
    """A subscriber that reads everything at once, from the moment that it has what it asked for."""
    subscriber = Subscriber()
    subscriber.version = since

    async def read() -> None:
        async with aclosing(hub.stream(since)) as pushes:
            async for push in pushes:
                if push is not None:
                    subscriber.take(push)

    reader = asyncio.create_task(read())
    try:
        if since is None:
            await until(lambda: bool(subscriber.events))
        yield subscriber
    finally:
        reader.cancel()
        await asyncio.wait([reader])


def dropped(hub: Hub, transport: str = "sse") -> int:
    count: int = hub.numbers()["live_dropped"][transport]
    return count


def subscribers(hub: Hub, transport: str = "sse") -> int:
    count: int = hub.numbers()["live_subscribers"][transport]
    return count


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> SharedStats:
    return SharedStats.create(clock=clock, time_zone=UTC)


# -- what is pushed, and when


def test_a_change_after_a_quiet_time_is_pushed_at_once(store: SharedStats) -> None:
    async def scene() -> None:
        hub = Hub(store, interval=NEVER)
        async with following(hub) as subscriber:
            assert subscriber.stats == store.get_all_stats()
            store.update_viewers("ada", 1)
            await until(lambda: subscriber.knows(store.get_all_stats()))
            assert subscriber.events == ["snapshot", "update"]

    play(scene())


def test_changes_within_an_interval_are_one_push_with_the_newest(store: SharedStats) -> None:
    async def scene() -> None:
        hub = Hub(store, interval=NEVER)
        async with following(hub) as subscriber:
            store.update_viewers("ada", 0)
            await until(lambda: len(subscriber.events) == 2)
            for count in range(1, 1001):
                store.update_viewers("ada", count)
            store.add_trigger("ada", "keyword")
            store.add_trigger("ada", "keyword")
            await turns()
            assert hub.pushed == 1
            emit_stats_update()
            await until(lambda: len(subscriber.events) == 3)
            assert hub.pushed == 2
            assert subscriber.stats["viewer_counts"] == {"ada": 1000}
            assert len(subscriber.stats["recent_triggers"]) == 2
            assert dropped(hub) == 0

    play(scene())


def test_pushes_keep_their_distance_while_a_writer_is_busy(store: SharedStats) -> None:
    async def scene() -> None:
        hub = Hub(store, interval=0.05)
        async with following(hub) as subscriber:
            began, count = time.monotonic(), 0
            while hub.pushed < 5:
                store.update_viewers("ada", count := count + 1)
                await asyncio.sleep(0)
            # The first comes at once, each of the others an interval after the one before.
            assert time.monotonic() - began >= 4 * 0.05
            assert count > 100
            await until(lambda: subscriber.knows(store.get_all_stats()))

    play(scene())


def test_without_an_interval_every_change_is_pushed_as_it_is_seen(store: SharedStats) -> None:
    async def scene() -> None:
        hub = Hub(store, interval=0)
        async with following(hub) as subscriber:
            for count in range(20):
                store.update_viewers("ada", count)
                await until(lambda: subscriber.knows(store.get_all_stats()))
            assert subscriber.events == ["snapshot"] + ["update"] * 20

    play(scene())


def test_emitting_pushes_from_any_thread_and_only_for_now(store: SharedStats) -> None:
    async def scene() -> None:
        hub = Hub(store, interval=NEVER)
        async with following(hub) as subscriber:
            for count in range(5):
                store.update_viewers("ada", count)
                await asyncio.to_thread(emit_stats_update)
                await until(lambda: subscriber.knows(store.get_all_stats()))
            store.update_viewers("ada", 99)
            await turns()
            assert subscriber.stats["viewer_counts"] == {"ada": 4}

    play(scene())


def test_many_subscribers_and_large_pushes_are_pushed_to_less_often(
    store: SharedStats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even emitting in a flood takes more than a share of the time, by what pushes are known to cost."""
    monkeypatch.setattr(live, "_SENDING", 0.001)

    async def scene() -> None:
        hub = Hub(store, interval=NEVER)
        async with AsyncExitStack() as streams:
            everyone = [await streams.enter_async_context(following(hub)) for _ in range(10)]
            began = time.monotonic()
            while not all(len(each.events) > 6 for each in everyone):
                store.update_viewers("ada", len(everyone[0].events))
                emit_stats_update()
                await turns()
            # Of the 60 and more that were sent, those of the last two rounds may not have been paid for yet.
            sent = sum(len(each.events) - 1 for each in everyone)
            assert time.monotonic() - began >= (sent - 2 * len(everyone)) * 0.001 * live._SHARE

    play(scene())


def test_emitting_without_anyone_to_push_to_does_nothing(store: SharedStats) -> None:
    emit_stats_update()

    async def scene() -> None:
        hub = Hub(store)
        async with following(hub):
            pass
        emit_stats_update()
        await turns()
        assert hub.pushed == 0

    play(scene())
    emit_stats_update()


def test_a_quiet_stream_has_heartbeats_which_are_no_pushes(store: SharedStats) -> None:
    async def scene() -> None:
        hub = Hub(store, heartbeat=0.01)
        async with aclosing(hub.stream(None)) as pushes:
            assert isinstance(await anext(pushes), Push)
            assert [await anext(pushes) for _ in range(2)] == [None, None]
            assert hub.pushed == 0
            store.update_viewers("ada", 1)
            while (push := await anext(pushes)) is None:
                pass
            assert push.data == b'{"viewer_counts":{"ada":1}}'
            assert dropped(hub) == 0

    play(scene())


# -- what time and wholesale changes do


def test_a_reset_reaches_subscribers_as_a_snapshot(store: SharedStats) -> None:
    async def scene() -> None:
        store.update_viewers("ada", 1)
        store.add_trigger("ada", "keyword")
        async with following(Hub(store)) as subscriber:
            store.reset_all()
            await until(lambda: subscriber.knows(store.get_all_stats()))
            assert subscriber.events == ["snapshot", "snapshot"]
            assert subscriber.stats["viewer_counts"] == {}

    play(scene())


def test_midnight_reaches_subscribers_without_a_writer(store: SharedStats, clock: FakeClock) -> None:
    async def scene() -> None:
        store.increment_clips_today("ada")
        async with following(Hub(store)) as subscriber:
            assert subscriber.stats["clips_today"] == {"ada": 1}
            clock.pass_by(86_400)
            await until(lambda: subscriber.stats["clips_today"] == {})

    play(scene())


def test_expiry_reaches_subscribers_without_a_writer(store: SharedStats, clock: FakeClock) -> None:
    async def scene() -> None:
        store.update_viewers("ada", 1)
        async with following(Hub(store)) as subscriber:
            clock.pass_by(302)
            await until(lambda: subscriber.stats["viewer_counts"] == {})
            assert subscriber.events == ["snapshot", "update"]

    play(scene())


def test_a_streamer_that_is_cleared_and_seen_again_has_only_its_new_values(store: SharedStats) -> None:
    async def scene() -> None:
        store.update_viewers("ada", 1)
        store.update_velocity("ada", 2)
        async with following(Hub(store)) as subscriber:
            store.clear_streamer_stats("ada")
            store.update_velocity("ada", 3)
            await until(lambda: subscriber.knows(store.get_all_stats()))
            assert subscriber.stats["viewer_counts"] == {}
            assert subscriber.stats["chat_velocities"] == {"ada": 3}

    play(scene())


# -- subscribers that are slow, many, gone


def test_a_subscriber_that_does_not_read_costs_nothing_and_gets_one_merged_update(store: SharedStats) -> None:
    async def scene() -> None:
        hub = Hub(store, interval=0.001)
        async with aclosing(hub.stream(None)) as slow, following(hub) as quick:
            assert (await anext(slow)) is not None

            async def push(times: int) -> None:
                upto = hub.pushed + times
                while hub.pushed < upto:
                    store.update_viewers("ada", hub.pushed)
                    await asyncio.sleep(0)
                await until(lambda: quick.knows(store.get_all_stats()))

            await push(20)
            quick.events.clear()
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                await push(200)
                grown = tracemalloc.get_traced_memory()[0] - before
            finally:
                tracemalloc.stop()
            assert grown < 100_000  # the quick one's list of events, and what the interpreter keeps
            pushed = hub.pushed
            late = await anext(slow)
            assert late is not None
            assert late.event == "update"
            assert json.loads(late.data) == {"viewer_counts": {"ada": store.viewer_counts["ada"]}}
            assert dropped(hub) == pushed - 1
            store.update_viewers("ada", 7)
            push_after = await anext(slow)
            assert push_after is not None
            assert push_after.data == b'{"viewer_counts":{"ada":7}}'
            assert dropped(hub) == pushed - 1

    play(scene())


def test_subscribers_from_different_moments_meet_at_one_version(
    store: SharedStats, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, rendered = Cursor.take, []

    def take(cursor: Cursor, upto: int | None = None) -> Any:
        # A writer who is quicker than any two renderings.
        store.add_trigger("ada", "keyword")
        rendered.append(cursor.version)
        return original(cursor, upto)

    monkeypatch.setattr(Cursor, "take", take)

    async def scene() -> None:
        hub = Hub(store, interval=NEVER)
        async with following(hub) as first:
            store.update_viewers("ada", 1)
            await until(lambda: hub.pushed == 1 and first.version == hub._version)
            all_of_them = [first]
            streams = []
            for count in range(3):
                # Those who come later than what was last rendered know a version of their own.
                hub._renderings = {}
                store.update_viewers("ada", count)
                stream = following(hub)
                streams.append(stream)
                all_of_them.append(await stream.__aenter__())
            assert len({each.version for each in all_of_them}) == 4
            for round_ in range(2):
                rendered.clear()
                told = hub.pushed + 1
                emit_stats_update()
                await until(lambda: hub.pushed == told and all(each.version == hub._version for each in all_of_them))  # noqa: B023 - waited for in the same round
                assert len(rendered) == (3, 1)[round_]  # the newest one knows what is told in the first
            monkeypatch.undo()
            emit_stats_update()
            await until(lambda: all(each.knows(store.get_all_stats()) for each in all_of_them))
            for stream in streams:
                await stream.__aexit__(None, None, None)

    play(scene())


def test_one_rendering_serves_all_who_know_the_same(store: SharedStats, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []
    original = Hub._render

    def render(hub: Hub, version: int | None, upto: int | None) -> Push:
        rendered.append(version)
        return original(hub, version, upto)

    monkeypatch.setattr(Hub, "_render", render)

    async def scene() -> None:
        hub = Hub(store, interval=NEVER)
        streams = [hub.stream(None) for _ in range(50)]
        first = await asyncio.gather(*(anext(stream) for stream in streams))
        assert len({id(push) for push in first}) == 1
        store.update_viewers("ada", 1)
        second = await asyncio.gather(*(anext(stream) for stream in streams))
        assert len({id(push) for push in second}) == 1
        assert rendered == [None, 0]
        for stream in streams:
            await stream.aclose()

    play(scene())


@pytest.mark.parametrize("size", [2, 65_536, 65_537, 200_000])
def test_an_event_is_the_same_in_however_many_pieces(size: int) -> None:
    data = b"x" * size
    pieces = list(Push("update", "store", 7, data).pieces())
    assert b"".join(pieces) == b"id: store:7\nevent: update\ndata: " + data + b"\n\n"
    assert len(pieces) == -(-size // 65_536)


@pytest.mark.parametrize("first", [0, 10**17])
def test_few_renderings_are_kept_whatever_versions_are_said_to_be_known(store: SharedStats, first: int) -> None:
    async def scene() -> None:
        for number in range(100):
            store.update_viewers("ada", number)
            assert store.version == number + 1  # readings are one change for whoever looks after several
        hub = Hub(store, interval=NEVER)
        async with following(hub):
            for version in range(first, first + 100):
                await first_of(hub, version)
            assert len(hub._renderings) <= 16
            assert (await first_of(hub, first)).version == store.version

    play(scene())


def test_one_that_goes_away_does_not_take_the_others_rendering_with_it(
    store: SharedStats, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_render = threading.Event()
    original = store.snapshot

    def snapshot() -> Any:
        assert may_render.wait(DEADLINE)
        return original()

    monkeypatch.setattr(store, "snapshot", snapshot)

    async def scene() -> None:
        hub = Hub(store)
        leaving, staying = (asyncio.create_task(hub.since(None)) for _ in range(2))
        await turns()
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        may_render.set()
        assert (await staying).event == "snapshot"

    play(scene())


def test_counts_of_subscribers_rise_and_fall(store: SharedStats) -> None:
    async def scene() -> None:
        hub = Hub(store)
        assert hub.numbers() == {
            "live_subscribers": {"sse": 0, "socketio": 0},
            "live_dropped": {"sse": 0, "socketio": 0},
        }
        async with following(hub), following(hub):
            with hub.subscribed("socketio"):
                assert hub.numbers()["live_subscribers"] == {"sse": 2, "socketio": 1}
        assert hub.numbers()["live_subscribers"] == {"sse": 0, "socketio": 0}

    play(scene())


def test_who_comes_after_all_had_left_gets_what_is_now(store: SharedStats) -> None:
    async def scene() -> None:
        hub = Hub(store, interval=NEVER)
        for count in range(3):
            async with following(hub) as subscriber:
                assert subscriber.knows(store.get_all_stats())
            store.update_viewers("ada", count)

    play(scene())


# -- coming back


async def first_of(hub: Hub, since: int) -> Push:
    async with aclosing(hub.stream(since)) as pushes:
        while (push := await anext(pushes)) is None:
            pass
        return push


def test_who_comes_back_gets_only_what_it_missed(store: SharedStats) -> None:
    async def scene() -> None:
        store.update_viewers("ada", 1)
        store.update_viewers("grace", 1)
        known = store.version
        store.update_viewers("grace", 2)
        store.increment_clips_today("ada")
        push = await first_of(Hub(store), known)
        assert push.event == "update"
        assert push.data == b'{"viewer_counts":{"grace":2},"clips":[{"streamer":"ada"}]}'

    play(scene())


def test_who_comes_back_and_missed_nothing_gets_the_next_change(store: SharedStats) -> None:
    async def scene() -> None:
        store.update_viewers("ada", 1)
        async with following(Hub(store), since=store.version) as subscriber:
            await turns()
            assert subscriber.events == []
            subscriber.stats = dict(store.get_all_stats())
            store.update_viewers("ada", 2)
            await until(lambda: subscriber.events == ["update"])
            assert subscriber.stats["viewer_counts"] == {"ada": 2}

    play(scene())


@pytest.mark.parametrize("ahead", [1, 10**17])
def test_a_version_from_the_future_gets_a_snapshot(store: SharedStats, ahead: int) -> None:
    async def scene() -> None:
        store.update_viewers("ada", 1)
        hub = Hub(store)
        push = await first_of(hub, store.version + ahead)
        assert (push.event, push.version) == ("snapshot", store.version)
        async with following(hub, since=store.version + ahead) as subscriber:
            await until(lambda: subscriber.events == ["snapshot"])
            store.update_viewers("ada", 2)
            await until(lambda: subscriber.knows(store.get_all_stats()))

    play(scene())


def test_a_version_too_old_gets_a_snapshot(store: SharedStats) -> None:
    async def scene() -> None:
        store.update_viewers("ada", 1)
        old = store.version
        for _ in range(10_000):
            store.increment_clips_today("ada")
        hub = Hub(store)
        assert (await first_of(hub, old)).event == "update"
        store.increment_clips_today("ada")
        assert (await first_of(hub, old)).event == "snapshot"

    play(scene())


# -- ends


@pytest.mark.parametrize("reading", [True, False])
def test_closing_ends_every_stream_at_once(store: SharedStats, *, reading: bool) -> None:
    async def scene() -> None:
        hub = Hub(store, interval=NEVER)
        streams = [hub.stream(None) for _ in range(10)]
        for stream in streams:
            await anext(stream)
        waiting = [asyncio.create_task(anext(stream, "end")) for stream in streams] if reading else []
        await turns()
        await asyncio.to_thread(hub.close)
        if not reading:
            waiting = [asyncio.create_task(anext(stream, "end")) for stream in streams]
        assert await asyncio.gather(*waiting) == ["end"] * 10
        assert subscribers(hub) == 0
        assert [push async for push in hub.stream(None)] == []

    play(scene())


def test_several_hubs_follow_one_store(store: SharedStats) -> None:
    async def scene() -> None:
        hubs = [Hub(store, interval=NEVER) for _ in range(3)]
        async with following(hubs[0]) as one, following(hubs[1]) as two, following(hubs[2]) as three:
            for count in range(3):
                store.update_viewers("ada", count)
                emit_stats_update()
                await until(lambda: all(each.knows(store.get_all_stats()) for each in (one, two, three)))
            hubs[0].close()
            store.update_viewers("ada", 99)
            emit_stats_update()
            await until(lambda: two.knows(store.get_all_stats()) and three.knows(store.get_all_stats()))
            assert one.stats["viewer_counts"] == {"ada": 2}

    play(scene())


def test_coming_and_going_leaves_one_callback_at_most(store: SharedStats) -> None:
    async def scene() -> None:
        hub = Hub(store, interval=0.001)
        for _ in range(50):
            async with following(hub):
                await turns(5)
        assert len(store._waiting) <= 1
        async with following(hub) as subscriber:
            store.update_viewers("ada", 1)
            await until(lambda: subscriber.knows(store.get_all_stats()))
        assert emit._emits == {}

    play(scene())


def test_a_loop_that_ended_harms_no_writer(store: SharedStats) -> None:
    hub = Hub(store, interval=NEVER)

    async def scene() -> None:
        async with following(hub):
            pass

    play(scene())
    assert store._waiting, "nothing is armed, so this shows nothing"
    store.update_viewers("ada", 1)
    assert store.viewer_counts == {"ada": 1}
    assert not store._waiting
    emit_stats_update()
    hub.close()


# -- whatever happens, the same state


NAMES = st.sampled_from(["ada", "grace", "edsger"])
OPERATIONS = st.one_of(
    st.tuples(st.just("update_viewers"), NAMES, st.integers(0, 9)),
    st.tuples(st.just("update_velocity"), NAMES, st.integers(0, 9)),
    st.tuples(st.just("update_recording_status"), NAMES, st.booleans()),
    st.tuples(st.just("add_trigger"), NAMES, st.sampled_from(["keyword", "other"]), st.just({"word": "\u2028\n"})),
    st.tuples(st.just("increment_clips_today"), NAMES),
    st.tuples(st.just("clear_streamer_stats"), NAMES),
    st.tuples(st.just("reset_all")),
    st.tuples(st.just("pass_by"), st.sampled_from([0.5, 200.0, 302.0, 40_000.0])),
    st.tuples(st.just("late_trigger"), NAMES, st.integers(0, 600)),
    st.tuples(st.just("push"), st.integers(0, 2), st.floats(0, 1)),
)


@given(st.lists(OPERATIONS, max_size=60))
def test_a_subscriber_knows_what_the_store_knows(operations: list[tuple[Any, ...]]) -> None:
    clock = FakeClock()
    store = SharedStats.create(clock=clock, time_zone=UTC)
    hub = Hub(store)
    known = [Subscriber() for _ in range(3)]

    def push(which: int, told: float) -> None:
        """Bring one up to date, as of any moment that it may have been told of since it last was."""
        subscriber, upto = known[which], None
        if subscriber.version is not None and told < 1:
            upto = subscriber.version + int((store.version - subscriber.version) * told)
        subscriber.take(hub._render(subscriber.version, upto))
        assert upto is None or subscriber.events[-1] == "snapshot" or subscriber.version == upto

    for name, *arguments in operations:
        if name == "push":
            push(*arguments)
        elif name == "pass_by":
            clock.pass_by(*arguments)
        elif name == "late_trigger":
            streamer, ago = arguments
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock.now - ago))
            apply(store, {"triggers": [{"streamer": streamer, "type": "late", "timestamp": moment}]})
        else:
            getattr(store, name)(*arguments)
    for which, subscriber in enumerate(known):
        push(which, 1)
        assert subscriber.knows(store.get_all_stats())
        assert subscriber.version == store.version
