from __future__ import annotations

from tooling.table import lines, rows


def test_rows_join_on_the_streamer_and_sort_by_viewers() -> None:
    table = rows({"a": 5.0, "b": 45000.0}, {"b": 125.5}, {"b": 1.0, "a": 0.0}, {"b": 3.0, "unseen": 0.0})
    assert lines(table) == [
        "streamer                    viewers   chat/min  recording  triggers 5m",
        "b                            45,000      125.5        yes            3",
        "a                                 5          -         no            -",
        "unseen                            -          -          -            0",
    ]


def test_names_take_the_same_cells_whatever_they_hold() -> None:
    named = lines(rows({"加藤純一": 4.0, "line\nbreak\x1b[31m": 3.0, "e\u0301te": 2.0, "x" * 40: 1.0}, {}, {}, {}))
    ends = " " * 8 + "{}          -          -            -"
    assert named[1] == "加藤純一" + " " * (24 - 8) + "  " + ends.format(4)
    assert named[2] == r"line\nbreak\x1b[31m" + " " * (24 - 19) + "  " + ends.format(3)
    assert named[3] == "e\u0301te" + " " * (24 - 3) + "  " + ends.format(2)
    assert named[4] == "x" * 24 + "  " + ends.format(1)
