from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter import SharedStats
from exporter.metrics import FAMILIES, Family

ROOT = Path(__file__).parents[1]


def test_names_are_unique_and_ours() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"clipper_[a-z]+(_[a-z]+)*", name) for name in names)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
class TestFamily:
    def test_a_counter_ends_in_total_and_nothing_else_does(self, family: Family) -> None:
        assert family.name.endswith("_total") == (family.type == "counter")

    def test_a_time_says_that_it_is_one(self, family: Family) -> None:
        assert ("Unix time" in family.help) == family.name.endswith("_timestamp_seconds")

    def test_help_is_one_sentence(self, family: Family) -> None:
        assert re.fullmatch(r"[A-Z1][^\n]*\.", family.help)

    def test_its_field_is_where_it_says(self, family: Family) -> None:
        if family.source == "self":
            assert not family.whole
            return
        store = SharedStats.create()
        store.update_viewers("xQc", 1)
        assert hasattr(store.rows()[0], family.field)
        assert family.labels[0] == "streamer"
        assert len(family.labels) <= 2


def test_no_other_module_spells_a_family_name() -> None:
    names = {family.name for family in FAMILIES}
    for path in (ROOT / "exporter").rglob("*.py"):
        if path.name in {"metrics.py", "collector.py"}:  # the table, and the lines shown in the collector's docstring
            continue
        spelt = names & set(re.findall(r"\bclipper_[a-z_]+", path.read_text(encoding="utf-8")))
        assert not spelt, f"{path.name} spells {spelt}"
