from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from benchmarks import soak, soak_garbage
from benchmarks.soak import ALLOCATOR, Findings
from benchmarks.soak_garbage import REQUESTS
from benchmarks.soak_load import ROUND, Fleet
from exporter import SharedStats
from exporter.metrics import STREAMERS_EXPIRED
from exporter.web.server import serve
from tooling.checkout import ROOT

MB = 1e6


def findings(
    *,
    up: Mapping[float, float] | None = None,
    memory: Mapping[float, float] | None = None,
    load: Mapping[str, float] | None = None,
    errors: tuple[str, ...] = (),
) -> Findings:
    return Findings(
        up=list((up or {5.0 * number: 1 for number in range(10)}).items()),
        scrapes=[number / 100 for number in range(200)],
        memory=list((memory or {5.0 * number: 100 * MB for number in range(10)}).items()),
        load=load or {"pushes": 10, "push p99": 0.5, "garbage 400": 7, "sse clients": 3, "socketio let go": 2},
        errors=errors,
    )


def test_a_soak_in_which_all_is_well_misses_nothing() -> None:
    assert list(findings().missed(most_growth=0)) == []
    assert findings().slowest == 1.98


def test_growth_is_the_slope_of_memory() -> None:
    steady = findings(memory={seconds: 100 * MB + seconds * MB / 3600 * 12 for seconds in range(0, 600, 5)})
    slope, error = steady.growth
    assert slope == pytest.approx(12)
    assert error == pytest.approx(0, abs=1e-6)
    assert list(steady.missed(most_growth=12.1)) == []
    assert list(steady.missed(most_growth=11)) == ["memory grows by 12.0 MB an hour, allowed are 11"]
    # The textbook's example: points 1, 2, 2 at 0, 1, 2 have the slope a half, and its error is the root of a twelfth.
    slope, error = findings(memory={0: 1 * MB, 1: 2 * MB, 2: 2 * MB}).growth
    assert slope / 3600 == pytest.approx(0.5)
    assert error / 3600 == pytest.approx((1 / 12) ** 0.5)


def test_every_goal_that_is_missed_is_told() -> None:
    found = findings(
        up={0: 1, 5: 0, 10: 1, 20: 1},
        load={
            "garbage 500": 1,
            "garbage 500 to TLS": 1,
            "push 503": 2,
            "push ConnectionError": 3,
            "push p99": 9,
            "sse lost": 4,
        },
        errors=("first", "second"),
    )
    assert list(found.missed(most_growth=0)) == [
        "1 scrapes failed",
        "1 scrapes came late",
        "2 errors in the log, the first of them:\nfirst",
        "garbage 500: 1",
        "garbage 500 to TLS: 1",
        "push 503: 2",
        "push ConnectionError: 3",
        "sse lost: 4",
    ]


def test_a_fleet_keeps_its_size_while_streamers_come_and_go() -> None:
    now = [1_768_645_800.0]
    store = SharedStats.create(clock=lambda: now[0], stale_after=60)
    fleet = Fleet(500, random.Random(1))
    for second in range(30 * ROUND):
        batch = fleet.batch(second)
        assert store.apply(store.read(json.dumps(batch).encode())).duplicates == 0
        now[0] += 1
    assert fleet.seen == 500 + 30 * ROUND
    # The fleet, and of those who fell silent, five a round, the ones that have not expired yet.
    assert 500 <= len(store.viewer_counts) <= 500 + 60
    assert store.own_numbers()[STREAMERS_EXPIRED] > 50


def test_no_garbage_changes_anything_or_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak_garbage, "_ANSWER_SECONDS", 3.0)
    store = SharedStats.create()

    async def send_all(port: int) -> list[str]:
        async def one(data: bytes) -> str:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await soak_garbage.send(reader, writer, data, "whole")
            except ConnectionError:
                return "closed"
            finally:
                writer.transport.abort()

        return await asyncio.gather(*(one(data) for data in REQUESTS.values()))

    with serve(0, stats=store, registry=CollectorRegistry()) as server:
        answers = dict(zip(REQUESTS, asyncio.run(send_all(server.port)), strict=True))
    assert len(answers) > 40
    assert not [name for name, answer in answers.items() if answer.startswith("5")]
    assert answers["body that is no JSON"] == "400"
    assert answers["body of the wrong shape"] == "422"
    assert store.version == 0


@pytest.mark.parametrize("file", ["Dockerfile", "packaging/systemd/clipper-exporter.service"])
def test_a_soak_runs_with_the_allocator_that_is_packaged(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert " ".join(f"{name}={value}" for name, value in ALLOCATOR.items()) in text


# Too short to see a slow leak, which takes the ten minutes and more of ``python -m benchmarks soak``.
SHORT = ["--minutes=0.35", "--warm-up=0", "--streamers=200", "--sse=6", "--socketio=4", "--garbage=2", "--growth=1e6"]
LONG = ["--minutes=1", "--warm-up=0.5", "--streamers=1000", "--sse=20", "--socketio=10", "--growth=2000"]


@pytest.mark.integration
@pytest.mark.parametrize("arguments", [SHORT, pytest.param(LONG, marks=pytest.mark.heavy)], ids=["short", "a minute"])
def test_a_soak_passes(prometheus: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert prometheus.exists()
    status = soak.main(arguments)
    printed = capsys.readouterr().out
    assert status == 0, printed
    counts = dict(line.rsplit(maxsplit=1) for line in printed.splitlines() if line.startswith(("sse", "garbage")))
    # Clients that read were pushed to, and garbage was answered.
    assert float(counts["sse pushes"]) > 10
    assert float(counts["garbage 400"]) > 0
