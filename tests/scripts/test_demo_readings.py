"""The verdict of the demo: a scrape between two answers of /api/stats has their viewer counts."""

from __future__ import annotations

import pytest

from tooling.demo_readings import Snapshot, compare

# The scrape of these tests lasts from 100.0 to 100.1.
BEFORE = Snapshot(99.4, 99.5, {"xQc": 10, "pokimane": 7})
AFTER = Snapshot(100.3, 100.4, {"xQc": 12, "pokimane": 7})


@pytest.mark.parametrize("xqc", [10, 12])
def test_a_value_from_either_side_of_the_scrape_is_right(xqc: float) -> None:
    verdict = compare({"xQc": xqc, "pokimane": 7}, 100.0, 100.1, [BEFORE, AFTER])
    assert verdict.right
    assert "2 streamers" in verdict.text


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"xQc": 11, "pokimane": 7}, "'xQc' has 11 viewers, not 10 or 12 (1 such)"),
        ({"xQc": 10}, "'pokimane' is missing (1 such)"),
        ({"xQc": 10, "pokimane": 7, "ghost": 1}, "'ghost' is not one of the streamers (1 such)"),
        ({}, "'pokimane' is missing (2 such)"),
    ],
)
def test_wrong(held: dict[str, float], message: str) -> None:
    verdict = compare(held, 100.0, 100.1, [BEFORE, AFTER])
    assert not verdict.right
    assert message in verdict.text


def test_older_and_newer_answers_count_for_nothing() -> None:
    older, newer = Snapshot(98.0, 98.1, {"xQc": 1}), Snapshot(101.0, 101.1, {"xQc": 99})
    for value in (1.0, 99.0):
        verdict = compare({"xQc": value, "pokimane": 7}, 100.0, 100.1, [older, BEFORE, AFTER, newer])
        assert verdict.text.startswith("PromQL and /api/stats differ: 'xQc' has")


def test_an_answer_during_the_scrape_counts_too() -> None:
    during = Snapshot(100.02, 100.04, {"xQc": 11, "pokimane": 7})
    assert compare({"xQc": 11, "pokimane": 7}, 100.0, 100.1, [BEFORE, during, AFTER]).right


def test_a_streamer_that_comes_or_goes_around_the_scrape_may_be_there_or_not() -> None:
    gone = Snapshot(100.3, 100.4, {"xQc": 10})
    assert compare({"xQc": 10, "pokimane": 7}, 100.0, 100.1, [BEFORE, gone]).right
    assert compare({"xQc": 10}, 100.0, 100.1, [BEFORE, gone]).right


@pytest.mark.parametrize("snapshots", [[], [BEFORE], [AFTER], [Snapshot(100.0, 100.2, {"xQc": 10, "pokimane": 7})]])
def test_a_scrape_that_is_not_enclosed_is_not_right(snapshots: list[Snapshot]) -> None:
    verdict = compare({"xQc": 10, "pokimane": 7}, 100.0, 100.1, snapshots)
    assert not verdict.right
    assert "not yet enclosed" in verdict.text


def test_nothing_is_not_right() -> None:
    verdict = compare({}, 100.0, 100.1, [Snapshot(99.0, 99.1, {}), Snapshot(101.0, 101.1, {})])
    assert not verdict.right
    assert verdict.text == "there are no streamers to compare"
