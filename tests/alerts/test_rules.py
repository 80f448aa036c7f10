from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import recorded
from exporter import metrics
from exporter.feeds.recorded import Row

FOLDER = recorded.RULES.parent


def rules(kind: str) -> list[dict[str, Any]]:
    document = yaml.safe_load(recorded.RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"] if kind in rule]


ALERTS = sorted({rule["alert"] for rule in rules("alert")})


def run(promtool: Path, *arguments: str) -> None:
    result = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.integration
def test_promtool_accepts_the_rules(promtool: Path) -> None:
    run(promtool, "check", "rules", str(recorded.RULES))


@pytest.mark.integration
def test_every_alert_fires_and_stays_quiet(promtool: Path) -> None:
    run(promtool, "test", "rules", str(FOLDER / "rules_test.yml"))


@pytest.mark.integration
def test_recorded_streams_raise_no_alert(promtool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recorded.main([]) == 0
    file = tmp_path / "recorded_test.yml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    run(promtool, "test", "rules", str(file))


@pytest.mark.integration
def test_the_test_of_recorded_streams_would_notice_a_raid(promtool: Path, tmp_path: Path) -> None:
    rows = [Row(second, 1000 if second < 200 else 1300) for second in range(0, 300, 5)]
    file = tmp_path / "recorded_test.yml"
    file.write_text(json.dumps(recorded.quiet_test([("raided", rows)])), encoding="utf-8")
    result = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert 'alertname="ClipperViewerSpike"' in result.stdout + result.stderr


def test_a_file_that_cannot_be_played_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recorded.main([str(tmp_path / "none.csv")]) == 2
    assert str(tmp_path / "none.csv") in capsys.readouterr().err


def test_a_scrape_sees_the_row_in_force() -> None:
    rows = [Row(0, 10), Row(3, 11), Row(6, 12), Row(12, 13)]
    assert recorded.scraped(rows, phase=1) == [(1, 10), (6, 12), (11, 12), (16, 13)]


def test_notation_has_a_place_for_every_second() -> None:
    assert recorded.notation([(1, 10), (6, 12)]) == "_x1 10 _x4 12 _x4 stale"


def test_every_family_named_exists() -> None:
    expressions = " ".join(rule["expr"] for rule in rules("expr"))
    named = set(re.findall(r"(?<![:\w])clipper_\w+", expressions))
    assert named
    assert named <= {family.name for family in metrics.FAMILIES}


def test_every_series_read_is_recorded() -> None:
    text = recorded.RULES.read_text(encoding="utf-8")
    read = set(re.findall(r"(?:streamer|clipper):\w+:\w+", text))
    assert read == {rule["record"] for rule in rules("record")}


def test_there_is_one_baseline() -> None:
    ranges = {
        range_
        for rule in rules("record")
        for range_ in re.findall(r"(?:avg|stddev)_over_time\([^[]+(\[.+?\] offset \w+)\)", rule["expr"])
    }
    assert ranges == {"[2m] offset 30s"}


def test_thresholds_are_series_only() -> None:
    """A number compared with in an alert is 0 or 1: what else there is to tune is a series that panels can draw."""
    for rule in rules("alert"):
        for number in re.findall(r"(?:[<>]=?|==)\s*(?:bool\s+)?([0-9.]+)", rule["expr"]):
            assert number in {"0", "1"}, rule["alert"]


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_a_person_needs(name: str) -> None:
    runbook = (FOLDER / "RUNBOOK.md").read_text(encoding="utf-8")
    assert f"## {name}\n" in runbook
    for rule in rules("alert"):
        if rule["alert"] == name:
            assert set(rule["labels"]) == {"severity", "topic"}
            annotations = rule["annotations"]
            assert {"summary", "description", "runbook_url", "dashboard_url"} <= set(annotations)
            assert annotations["runbook_url"] == "{{ $externalLabels.runbook }}#" + name.lower()
            assert annotations["dashboard_url"].startswith("{{ $externalLabels.grafana }}/d/clipper-")


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_tested_firing_and_quiet(name: str) -> None:
    document = yaml.safe_load((FOLDER / "rules_test.yml").read_text(encoding="utf-8"))
    expected = [
        case.get("exp_alerts")
        for group in document["tests"]
        for case in group.get("alert_rule_test", [])
        if case["alertname"] == name
    ]
    assert any(expected)
    assert not all(expected)
