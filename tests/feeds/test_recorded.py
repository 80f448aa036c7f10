from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import FeedError
from exporter.feeds.recorded import LARGEST, RecordedFeed, Row, bundled, read_recording
from exporter.store.shared import SharedStats

START = 1_700_000_000.0
THREE_ROWS = "seconds,viewers\n0,100\n5,100\n10,130\n"  # polled every 5 s, so live for 15 s


class Replay:
    """A feed and its store on one clock."""

    def __init__(self, source: Path, **options: Any) -> None:
        self.now = START
        self.store = SharedStats.create(clock=lambda: self.now, stale_after=0)
        self.feed = RecordedFeed(self.store, source, start=START, **options)

    def viewers_after(self, seconds: float) -> dict[str, float]:
        """Advance to so many seconds after the start; what the store then holds."""
        self.now = START + seconds
        self.feed.advance(self.now)
        return self.store.viewer_counts


@pytest.fixture
def three_rows(tmp_path: Path) -> Path:
    file = tmp_path / "evening.csv"
    file.write_text(THREE_ROWS)
    return file


def test_a_row_comes_into_force_at_its_second_and_stays_until_the_next(three_rows: Path) -> None:
    replay = Replay(three_rows)
    assert replay.viewers_after(-0.5) == {}
    assert replay.viewers_after(0) == {"evening": 100}
    assert replay.viewers_after(9.5) == {"evening": 100}
    assert replay.viewers_after(10) == {"evening": 130}
    assert replay.viewers_after(14.5) == {"evening": 130}


def test_speed_divides_the_time_between_rows(three_rows: Path) -> None:
    replay = Replay(three_rows, speed=50)
    assert replay.viewers_after(9.5 / 50) == {"evening": 100}
    assert replay.viewers_after(10.5 / 50) == {"evening": 130}
    assert replay.viewers_after(15.5 / 50) == {}


def test_the_same_value_again_refreshes_the_last_update(three_rows: Path) -> None:
    replay = Replay(three_rows)
    replay.viewers_after(1)
    replay.viewers_after(4)
    assert [row.updated for row in replay.store.rows()] == [START + 1]
    replay.viewers_after(5)
    assert [row.updated for row in replay.store.rows()] == [START + 5]


def test_at_the_seam_the_streamer_is_cleared_stays_away_and_starts_again(three_rows: Path) -> None:
    replay = Replay(three_rows, gap=30)
    replay.viewers_after(14)
    replay.store.add_trigger("evening", "keyword")
    assert replay.viewers_after(15) == {}
    assert replay.viewers_after(44.5) == {}
    assert replay.viewers_after(45) == {"evening": 100}
    assert replay.viewers_after(55) == {"evening": 130}
    assert replay.viewers_after(60) == {}


@pytest.mark.parametrize(("gap", "later"), [(30, 46), (0, 16), (30, 46 + 3 * 45)])
def test_a_seam_that_falls_between_two_calls_still_clears(three_rows: Path, gap: float, later: float) -> None:
    replay = Replay(three_rows, gap=gap)
    replay.viewers_after(14)
    replay.store.increment_clips_today("evening")
    assert replay.viewers_after(later) == {"evening": 100}
    assert [row.clips for row in replay.store.rows()] == [0]


def test_the_first_row_may_have_any_second(tmp_path: Path) -> None:
    file = tmp_path / "late.csv"
    file.write_text("seconds,viewers\n1619005862,7\n1619005872,8\n")
    replay = Replay(file)
    assert replay.viewers_after(0) == {"late": 7}
    assert replay.viewers_after(10) == {"late": 8}


def test_the_last_row_stays_for_the_median_step(tmp_path: Path) -> None:
    file = tmp_path / "gaps.csv"
    file.write_text("seconds,viewers\n0,1\n4,2\n1000,3\n1006,4\n")
    replay = Replay(file)
    assert replay.feed.step == 6
    assert replay.viewers_after(1011.5) == {"gaps": 4}
    assert replay.viewers_after(1012) == {}


def test_the_streamer_can_be_named(three_rows: Path) -> None:
    replay = Replay(three_rows, streamer="somebody.else")
    assert replay.viewers_after(0) == {"somebody.else": 100}


def test_row_at_tells_what_is_in_force_without_writing(three_rows: Path) -> None:
    replay = Replay(three_rows, speed=2)
    moments = (-1, 0, 4.75, 5, 7.25, 7.5, 22.5)
    assert [replay.feed.row_at(START + each) for each in moments] == [
        None,
        Row(0, 100),
        Row(5, 100),
        Row(10, 130),
        Row(10, 130),
        None,
        Row(0, 100),
    ]
    assert replay.store.viewer_counts == {}


recordings = st.lists(
    st.tuples(st.integers(1, 20), st.integers(0, 100_000)).map(lambda pair: Row(*pair)), min_size=2, max_size=12
)
# Binary fractions, so that floats are exact here and so is what is expected of them.
eighths = st.integers(0, 8_000).map(lambda count: count / 8)


@given(steps=recordings, speed=st.sampled_from([0.25, 1.0, 2.0, 50.0]), gap=eighths, moments=st.lists(eighths))
def test_after_every_call_the_store_holds_the_row_in_force(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Row], speed: float, gap: float, moments: list[float]
) -> None:
    rows, second = [], 0
    for step, viewers in steps:
        rows.append(Row(second, viewers))
        second += step
    file = tmp_path_factory.getbasetemp() / "any.csv"
    file.write_text("seconds,viewers\n" + "".join(f"{second},{viewers}\n" for second, viewers in rows))
    replay = Replay(file, speed=speed, gap=gap)

    distances = sorted(step for step, _ in steps[:-1])
    median = Fraction(distances[(len(distances) - 1) // 2] + distances[len(distances) // 2], 2)
    live = rows[-1].seconds + median
    for moment in sorted(moments):
        into = Fraction(moment) * Fraction(speed) % (live + Fraction(gap))
        in_force = [viewers for seconds, viewers in rows if seconds <= into < live]
        assert replay.viewers_after(moment) == ({"any": in_force[-1]} if in_force else {})


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", ":1: header: expected seconds,viewers, got ''"),
        ("0,100\n5,101\n", ":1: header: expected seconds,viewers, got '0,100'"),
        ("viewers,seconds\n", ":1: header: expected seconds,viewers, got 'viewers,seconds'"),
        ("seconds,viewers\n", ": expected at least two rows below the header, got 0"),
        ("seconds,viewers\n0,100\n", ": expected at least two rows below the header, got 1"),
        ("seconds,viewers\n0,100\n5\n", ":3: row: expected seconds,viewers, got '5'"),
        ("seconds,viewers\n0,100,7\n", ":2: row: expected seconds,viewers, got '0,100,7'"),
        ("seconds,viewers\n0,many\n", f":2: viewers: expected a whole number from 0 to {LARGEST}, got 'many'"),
        ("seconds,viewers\n0,\n", f":2: viewers: expected a whole number from 0 to {LARGEST}, got ''"),
        ("seconds,viewers\n0,-1\n", f":2: viewers: expected a whole number from 0 to {LARGEST}, got '-1'"),
        ("seconds,viewers\n0,nan\n", f":2: viewers: expected a whole number from 0 to {LARGEST}, got 'nan'"),
        ("seconds,viewers\n0,inf\n", f":2: viewers: expected a whole number from 0 to {LARGEST}, got 'inf'"),
        ("seconds,viewers\n0,1_000\n", f":2: viewers: expected a whole number from 0 to {LARGEST}, got '1_000'"),
        (
            f"seconds,viewers\n0,1{'0' * 15}\n",
            f":2: viewers: expected a whole number from 0 to {LARGEST}, got '1000000000000000'",
        ),
        ("seconds,viewers\n0,1\n-5,1\n", f":3: seconds: expected a whole number from 0 to {LARGEST}, got '-5'"),
        ("seconds,viewers\n0,1\n0.5,1\n", f":3: seconds: expected a whole number from 0 to {LARGEST}, got '0.5'"),
        ("seconds,viewers\n\n5,1\n5,2\n", ":4: seconds: expected more than in the row above (5), got 5"),
        ("seconds,viewers\n5,1\n3,2\n", ":3: seconds: expected more than in the row above (5), got 3"),
        ('seconds,viewers\n0,"1\n', ":2: row: expected seconds,viewers, got: unexpected end of data"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, mistake: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(FeedError) as caught:
        RecordedFeed(SharedStats.create(), file, start=START)
    assert str(caught.value) == f"{file}{mistake}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.csv"
    with pytest.raises(FeedError) as caught:
        read_recording(missing)
    assert str(caught.value) == f"{missing}: cannot be read (No such file or directory)"

    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"seconds,viewers\n0,\xff\n")
    with pytest.raises(FeedError) as caught:
        read_recording(binary)
    assert str(caught.value) == f"{binary}: not UTF-8: byte 0xff at 18"


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        ({"speed": 0}, "speed: expected a finite number above 0, got 0"),
        ({"speed": -1.0}, "speed: expected a finite number above 0, got -1.0"),
        ({"speed": float("inf")}, "speed: expected a finite number above 0, got inf"),
        ({"speed": float("nan")}, "speed: expected a finite number above 0, got nan"),
        ({"gap": -1}, "gap: expected a finite number of seconds, at least 0, got -1"),
        ({"gap": float("nan")}, "gap: expected a finite number of seconds, at least 0, got nan"),
    ],
)
def test_a_mistake_in_an_option_is_named(three_rows: Path, options: dict[str, float], mistake: str) -> None:
    with pytest.raises(FeedError) as caught:
        Replay(three_rows, **options)
    assert str(caught.value) == mistake


def test_what_spreadsheets_add_to_a_csv_file_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "sheet.csv"
    file.write_bytes(b'\xef\xbb\xbf"seconds","viewers"\r\n0,1\r\n\r\n5,"2"\r\n\r\n')
    assert read_recording(file) == (Row(0, 1), Row(5, 2))


def test_the_bundled_recordings_are_the_four_that_the_package_names() -> None:
    recordings = {file.name: read_recording(file) for file in bundled()}
    assert {name: (len(rows), rows[0], rows[-1]) for name, rows in recordings.items()} == {
        "asmr-night.csv": (600, Row(0, 11333), Row(2995, 16460)),
        "minecraft-evening.csv": (2013, Row(0, 9), Row(10060, 56)),
        "monster-hunter-2.csv": (54, Row(0, 11726), Row(159, 12148)),
        "monster-hunter.csv": (120, Row(0, 8219), Row(595, 8227)),
    }
    assert list(recordings) == sorted(recordings)


def test_a_bundled_recording_plays_through_at_fifty_times_its_pace() -> None:
    (source,) = (file for file in bundled() if file.name == "asmr-night.csv")
    rows = read_recording(source)
    now = START
    store = SharedStats.create(clock=lambda: now)
    feed = RecordedFeed(store, source, start=START, speed=50)
    seen = []
    for tick in range(600):  # a call in the middle of each row
        now = START + (tick + 0.5) * 5 / 50
        feed.advance(now)
        seen.append(store.viewer_counts["asmr-night"])
    assert seen == [row.viewers for row in rows]
