"""Alertmanager's configuration, read by Alertmanager's own tool."""

from __future__ import annotations

import subprocess
from itertools import chain, combinations
from pathlib import Path

import pytest

from alerts import receivers
from tooling import alertmanager

pytestmark = pytest.mark.integration

SECRETS = {
    "DISCORD": {"DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/1/secret"},
    "SLACK": {"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/secret", "SLACK_CHANNEL": "#clips"},
    "EMAIL": {
        "EMAIL_TO": "me@example.org",
        "EMAIL_FROM": "alerts@example.org",
        "EMAIL_SMARTHOST": "smtp.example.org:587",
        "EMAIL_USERNAME": "alerts",
        "EMAIL_PASSWORD": "se'cr\"et: {{ # $x",
    },
    "WEBHOOK": {"WEBHOOK_URL": "http://127.0.0.1:8080/alerts"},
}
COMBINATIONS = list(chain.from_iterable(combinations(SECRETS, count) for count in range(len(SECRETS) + 1)))

SPIKE = {"alertname": "ClipperViewerSpike", "topic": "audience", "streamer": "xQc"}
ROUTES = [
    ({**SPIKE, "severity": "info"}, "info"),
    ({**SPIKE, "severity": "warning"}, "warning"),
    ({"alertname": "ClipperChatBurst", "topic": "audience", "streamer": "xQc", "severity": "info"}, "info"),
    ({"alertname": "ClipperViewerDrop", "topic": "audience", "streamer": "xQc", "severity": "warning"}, "warning"),
    ({"alertname": "ClipperNotRecording", "topic": "recording", "streamer": "xQc", "severity": "warning"}, "warning"),
    ({"alertname": "ClipperStale", "topic": "recording", "streamer": "xQc", "severity": "info"}, "info"),
    ({"alertname": "ClipperExporterDown", "topic": "exporter", "severity": "warning"}, "warning"),
    ({"alertname": "ClipperExporterDown", "topic": "exporter", "severity": "critical"}, "critical"),
    ({"alertname": "SomebodyElses"}, "warning"),
]


def environment(channels: tuple[str, ...]) -> dict[str, str]:
    return {f"{receivers.PREFIX}{name}": value for channel in channels for name, value in SECRETS[channel].items()}


def run(amtool: Path, *arguments: str) -> str:
    result = subprocess.run([amtool, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("channels", COMBINATIONS, ids=lambda channels: "+".join(channels) or "none")
def test_amtool_accepts_every_combination_of_secrets(amtool: Path, tmp_path: Path, channels: tuple[str, ...]) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(receivers.render(environment(channels)), encoding="utf-8")
    output = run(amtool, "check-config", str(file))
    assert "3 receivers" in output
    assert "1 templates" in output
    assert "FAILED" not in output


def test_amtool_accepts_the_original(amtool: Path) -> None:
    assert "FAILED" not in run(amtool, "check-config", str(receivers.BASE))


@pytest.mark.parametrize(("labels", "receiver"), ROUTES)
def test_alerts_go_to_the_receiver_of_their_severity(amtool: Path, labels: dict[str, str], receiver: str) -> None:
    output = run(
        amtool,
        "config",
        "routes",
        "test",
        f"--config.file={receivers.BASE}",
        f"--verify.receivers={receiver}",
        *(f"{name}={value}" for name, value in labels.items()),
    )
    assert output.split() == [receiver]


def test_an_unpacked_build_is_started_from_a_copy(alertmanager_program: Path, tmp_path: Path) -> None:
    server = alertmanager.server(alertmanager_program, tmp_path / "a.yml", tmp_path / "data", "http://127.0.0.1:1")
    result = subprocess.run(
        [
            *server.command[: next(i for i, word in enumerate(server.command) if word.startswith("--config"))],
            "--version",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "alertmanager, version" in result.stdout + result.stderr
