from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import __main__, raids, ramps
from exporter.feeds.recorded import Row

STEADY = [Row(second, 1000) for second in range(0, 601, 5)]


def test_a_raid_joins_for_five_minutes() -> None:
    samples = dict(raids.Raid("steady", start=121, size=0.25, phase=2).joins(STEADY))
    assert samples[117] == 1000
    assert samples[122] == 1250
    assert samples[417] == 1250
    assert samples[422] == 1000


def test_a_raid_may_take_its_time() -> None:
    samples = dict(raids.Raid("steady", start=120, size=0.5, arrival=60).joins(STEADY))
    assert samples[150] == 1250
    assert samples[180] == 1500


def test_every_minute_after_the_first_two_is_raided_at_every_phase() -> None:
    small = [Row(second, 400) for second in range(0, 601, 5)]
    cases = [raid for raid, _ in raids.raids([("steady", STEADY), ("small", small)], arrival=0)]
    assert {raid.recording for raid in cases} == {"steady"}
    assert {raid.start // 60 for raid in cases} == set(range(2, 10))
    assert {(raid.size, raid.phase) for raid in cases} == {(size, phase) for size in raids.SIZES for phase in range(5)}
    assert len(cases) == 8 * 4 * 5


@pytest.mark.integration
def test_the_alert_is_timed_from_the_raid(promtool: Path) -> None:
    calm = raids.Raid("steady", start=241, size=0.25, phase=3)
    slight = raids.Raid("steady", start=241, size=0.1)
    fired = raids.measure(promtool, {"calm": calm.joins(STEADY), "slight": slight.joins(STEADY)})
    # Written at 241, scraped at 243, seen at 245, and a second time at 250.
    assert set(fired) == {"calm"}
    first, final, count = fired["calm"]
    assert first == 250
    assert final - first == (count - 1) * 5


def test_a_table_counts_what_was_missed() -> None:
    raid = raids.Raid("steady", start=120, size=0.25)
    lines = list(raids.table([(raid, raids.Outcome(10, 60, True)), (raid, None)]))
    assert [line.split() for line in lines[1:]] == [
        [name, "+25%", "2", "1", "10", "s", "10", "s", "60-60", "s", "0"] for name in ("steady", "all")
    ]


def test_ramps_begin_small_and_are_the_same_each_time() -> None:
    family = dict(ramps.family())
    assert family == dict(ramps.family())
    assert all(samples[0][1] < max(viewers for _, viewers in samples) / 10 for samples in family.values())


def test_a_name_there_is_none_of_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["raid"]) == 2
    assert "raids" in capsys.readouterr().err
    assert __main__.main(["--help"]) == 0


def test_a_recording_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert raids.main([str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err
