from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tooling.checkout import ROOT, ToolingError
from tooling.native import ALERTMANAGER, CONFIGURATION, EXPORTER, PROMETHEUS, derive

ADDRESSES = {EXPORTER: "127.0.0.1:1001", PROMETHEUS: "127.0.0.1:1002", ALERTMANAGER: "127.0.0.1:1003"}

SMALL = """\
global: {scrape_interval: 5s, external_labels: {grafana: "http://localhost:3000"}}
rule_files: [alerts/rules.yml, /etc/rules/*.yml]
alerting:
  alertmanagers:
    - static_configs: [{targets: ["alertmanager:9093"]}]
scrape_configs:
  - {job_name: clipper-exporter, scrape_interval: 1s, static_configs: [{targets: ["exporter:9309"], labels: {a: b}}]}
  - {job_name: alertmanager, static_configs: [{targets: ["alertmanager:9093"]}]}
"""


def targets_by_job(text: str) -> dict[str, list[str]]:
    return {
        job["job_name"]: [target for group in job["static_configs"] for target in group["targets"]]
        for job in yaml.safe_load(text)["scrape_configs"]
    }


def test_the_committed_file_keeps_everything_but_targets_and_paths() -> None:
    committed = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    derived = yaml.safe_load(derive(CONFIGURATION.read_text(encoding="utf-8"), ROOT, ADDRESSES))
    assert list(derived) == list(committed)
    assert derived["global"] == committed["global"]
    for theirs, ours in zip(committed["scrape_configs"], derived["scrape_configs"], strict=True):
        assert {**theirs, "static_configs": None} == {**ours, "static_configs": None}
    assert targets_by_job(yaml.safe_dump(derived)) == {
        "clipper-exporter": ["127.0.0.1:1001"],
        "prometheus": ["127.0.0.1:1002"],
        "alertmanager": ["127.0.0.1:1003"],
    }


@pytest.mark.parametrize("addresses", [ADDRESSES, {**ADDRESSES, ALERTMANAGER: None}], ids=["all", "no alertmanager"])
def test_promtool_accepts_the_committed_file_and_the_derived_one(
    promtool: Path, tmp_path: Path, addresses: dict[str, str | None]
) -> None:
    derived = tmp_path / "prometheus.yml"
    derived.write_text(derive(CONFIGURATION.read_text(encoding="utf-8"), ROOT, addresses), encoding="utf-8")
    for file in (CONFIGURATION, derived):
        checked = subprocess.run([promtool, "check", "config", file], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_addresses_labels_and_rule_paths() -> None:
    derived = yaml.safe_load(derive(SMALL, Path("/checkout"), {EXPORTER: "[::1]:1001", ALERTMANAGER: "127.0.0.1:1003"}))
    assert derived["rule_files"] == ["/checkout/alerts/rules.yml", "/etc/rules/*.yml"]
    assert derived["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:1003"]}]}]}
    assert derived["scrape_configs"][0] == {
        "job_name": "clipper-exporter",
        "scrape_interval": "1s",
        "static_configs": [{"targets": ["[::1]:1001"], "labels": {"a": "b"}}],
    }


def test_what_does_not_run_here_is_neither_scraped_nor_sent_to() -> None:
    derived = derive(SMALL, Path("/checkout"), {EXPORTER: "127.0.0.1:1001", ALERTMANAGER: None})
    assert targets_by_job(derived) == {"clipper-exporter": ["127.0.0.1:1001"], "alertmanager": []}
    assert yaml.safe_load(derived)["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": []}]}]}


def test_what_a_person_added_stays() -> None:
    added = """\
scrape_configs:
  - {job_name: node, static_configs: [{targets: ["10.0.0.5:9100"]}]}
  - {job_name: found, dns_sd_configs: [{names: [exporters.example]}]}
"""
    derived = yaml.safe_load(derive(added, Path("/checkout"), ADDRESSES))
    assert derived["scrape_configs"] == yaml.safe_load(added)["scrape_configs"]


@pytest.mark.parametrize("text", ["- a list", "scrape_configs: [{static_configs: [{}]}]", "{", "rule_files: 5"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ToolingError, match=r"prometheus\.yml is not a configuration of Prometheus: "):
        derive(text, Path("/checkout"), ADDRESSES)
