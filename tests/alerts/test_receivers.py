from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import receivers

DISCORD = {"CLIPPER_ALERTS_DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/1/secret"}
EMAIL = {
    "CLIPPER_ALERTS_EMAIL_TO": "me@example.org",
    "CLIPPER_ALERTS_EMAIL_FROM": "alerts@example.org",
    "CLIPPER_ALERTS_EMAIL_SMARTHOST": "smtp.example.org:587",
}


def rendered(environment: dict[str, str]) -> dict[str, dict[str, Any]]:
    document = yaml.safe_load(receivers.render(environment))
    return {receiver["name"]: receiver for receiver in document["receivers"]}


def test_without_secrets_only_the_path_of_the_templates_changes() -> None:
    original = yaml.safe_load(receivers.BASE.read_text(encoding="utf-8"))
    copy = yaml.safe_load(receivers.render({"PATH": "/bin"}))
    assert copy["templates"] == [str(receivers.BASE.with_name("messages.tmpl"))]
    assert copy | {"templates": original["templates"]} == original


def test_a_channel_hears_of_its_lowest_severity_and_above() -> None:
    heard = {name: set(receiver) - {"name"} for name, receiver in rendered(DISCORD | EMAIL).items()}
    assert heard == {
        "info": {"discord_configs"},
        "warning": {"discord_configs", "email_configs"},
        "critical": {"discord_configs", "email_configs"},
    }
    heard = {
        name: set(receiver) - {"name"}
        for name, receiver in rendered(DISCORD | {"CLIPPER_ALERTS_DISCORD_SEVERITY": "critical"}).items()
    }
    assert heard == {"info": set(), "warning": set(), "critical": {"discord_configs"}}


def test_people_are_not_told_of_the_end_of_what_was_information() -> None:
    secrets = DISCORD | {"CLIPPER_ALERTS_WEBHOOK_URL": "http://127.0.0.1/"}
    ends = {
        (name, key): receiver[key][0]["send_resolved"]
        for name, receiver in rendered(secrets).items()
        for key in ("discord_configs", "webhook_configs")
    }
    assert ends.pop(("info", "discord_configs")) is False
    assert set(ends.values()) == {True}


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("https://discord.com/api/webhooks/1/from-a-file\n")
    info = rendered({"CLIPPER_ALERTS_DISCORD_WEBHOOK_URL_FILE": str(file)})["info"]
    assert info["discord_configs"][0]["webhook_url"] == "https://discord.com/api/webhooks/1/from-a-file"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"CLIPPER_ALERTS_DISCORD_WEBHOOK_URL": "discord.com/secret"},
            "CLIPPER_ALERTS_DISCORD_WEBHOOK_URL: expected a URL like https://host/path, got something else",
        ),
        (
            DISCORD | {"CLIPPER_ALERTS_DISCORD_SEVERITY": "big"},
            "CLIPPER_ALERTS_DISCORD_SEVERITY: expected one of info, warning, critical, got 'big'",
        ),
        (
            {"CLIPPER_ALERTS_EMAIL_TO": "me@example.org"},
            (
                "CLIPPER_ALERTS_EMAIL_FROM: expected a value, because another EMAIL setting has one; got none\n"
                "CLIPPER_ALERTS_EMAIL_SMARTHOST: expected a value, because another EMAIL setting has one; got none"
            ),
        ),
        (
            EMAIL | {"CLIPPER_ALERTS_EMAIL_SMARTHOST": "smtp.example.org"},
            "CLIPPER_ALERTS_EMAIL_SMARTHOST: expected host:port, got 'smtp.example.org'",
        ),
        (
            EMAIL | {"CLIPPER_ALERTS_EMAIL_PASSWORD": "secret"},
            "CLIPPER_ALERTS_EMAIL_USERNAME and CLIPPER_ALERTS_EMAIL_PASSWORD: expected both or neither, got one",
        ),
        (
            DISCORD | {"CLIPPER_ALERTS_DISCORD_WEBHOOK_URL_FILE": "/dev/null"},
            (
                "CLIPPER_ALERTS_DISCORD_WEBHOOK_URL: set twice, also as CLIPPER_ALERTS_DISCORD_WEBHOOK_URL_FILE; "
                "set one of them"
            ),
        ),
    ],
)
def test_mistakes_are_told_without_secrets(environment: dict[str, str], message: str) -> None:
    with pytest.raises(receivers.ReceiversError) as refusal:
        receivers.render(environment)
    assert str(refusal.value) == message
    assert "secret" not in str(refusal.value)


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(
        receivers.ReceiversError, match=r"^CLIPPER_ALERTS_DISCORD_URL: no such setting; there are DISCORD_"
    ):
        receivers.render({"CLIPPER_ALERTS_DISCORD_URL": "https://example.org/"})


def test_the_file_is_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPPER_ALERTS_WEBHOOK_URL", "http://127.0.0.1/secret")
    file = tmp_path / "alertmanager.yml"
    assert receivers.main(["--output", str(file)]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert receivers.main(["--output", str(file), "--mode", "644"]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["alertmanager.yml"]


def test_a_mistake_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text("old")
    monkeypatch.setenv("CLIPPER_ALERTS_WEBHOOK_URL", "nowhere")
    assert receivers.main(["--output", str(file)]) == 2
    assert file.read_text() == "old"
    assert capsys.readouterr().err.startswith("CLIPPER_ALERTS_WEBHOOK_URL: expected a URL")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "none" / "alertmanager.yml"
    assert receivers.main(["--output", str(file)]) == 2
    assert capsys.readouterr().err == f"{file}: No such file or directory\n"
