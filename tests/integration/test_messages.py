"""What the real Alertmanager, as it is shipped, makes of alerts: groups, inhibition, and the text that people read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alerts import receivers
from tests.integration.alertmanager import running_alertmanager
from tooling.processes import local_session
from tooling.webhook import Webhook, running_webhook

pytestmark = pytest.mark.integration

Labels = dict[str, str]
Fire = Callable[..., None]

DEADLINE = 20
# A fifth of the waiting; the rest is as it is shipped.
SHORTER = {"group_wait: 10s": "group_wait: 2s", "group_wait: 5s": "group_wait: 1s"}
SENTINELS = ("Due", "Last")
NAME = '<!channel> & "co" @everyone'


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as webhook:
        yield webhook


@pytest.fixture
def fire(webhook: Webhook, alertmanager_program: Path, tmp_path: Path) -> Iterator[Fire]:
    """Send alerts, given by their labels, all at once."""
    with running_alertmanager(alertmanager_program, tmp_path, configured(WEBHOOK_URL=webhook.url)) as url:
        yield lambda *alerts: send(url, *alerts)


def configured(**channels: str) -> str:
    text = receivers.render({f"{receivers.PREFIX}{name}": url for name, url in channels.items()})
    for shipped, shorter in SHORTER.items():
        assert text.count(shipped) == 1
        text = text.replace(shipped, shorter)
    return text


def send(url: str, *alerts: Labels) -> None:
    body = [
        {
            "labels": labels,
            "annotations": {
                "summary": f"{labels.get('streamer')}: summary",
                "description": f"What {labels.get('streamer')} does.",
                "dashboard_url": "http://localhost:3000/d/clipper-streamer",
                "runbook_url": "alerts/RUNBOOK.md#it",
            },
        }
        for labels in alerts
    ]
    with local_session() as session:
        session.post(f"{url}/api/v2/alerts", json=body, timeout=5).raise_for_status()


def audience(name: str, severity: str, streamer: str = "xQc") -> Labels:
    return {"alertname": name, "severity": severity, "topic": "audience", "streamer": streamer}


def groups(webhook: Webhook) -> list[tuple[str, list[str]]]:
    """Every message but those that ``wait_for_everything`` sends: its receiver, and the names of its alerts."""
    return sorted(
        (message.payload["receiver"], [alert["labels"]["alertname"] for alert in message.payload["alerts"]])
        for message in webhook.messages()
        if message.payload["groupLabels"]["alertname"] not in SENTINELS
    )


def wait_for_everything(webhook: Webhook, fire: Fire) -> None:
    """Return when nothing sent before is still on its way.

    Groups that wait equally long come in any order, so an alert that is sent after all the others, and waits longest,
    only tells that they are due; a second one, sent then, comes when they have long been there.
    """
    for name in SENTINELS:
        fire({"alertname": name})
        webhook.wait_for(DEADLINE, alertname=name)


def test_one_raid_is_one_message(webhook: Webhook, fire: Fire) -> None:
    fire(
        audience("ClipperViewerSpike", "info"),
        audience("ClipperViewerSpike", "warning"),
        audience("ClipperChatBurst", "info"),
        audience("ClipperChatBurst", "warning"),
        audience("ClipperViewerSpike", "info", "Zoë"),
    )
    wait_for_everything(webhook, fire)
    assert groups(webhook) == [
        ("info", ["ClipperViewerSpike"]),
        ("warning", ["ClipperViewerSpike"]),
    ]


def test_many_stale_streamers_are_one_message(webhook: Webhook, fire: Fire) -> None:
    stale = {"alertname": "ClipperStale", "severity": "info", "topic": "recording"}
    fire(*({**stale, "streamer": f"streamer {number}"} for number in range(50)))
    wait_for_everything(webhook, fire)
    assert groups(webhook) == [("info", ["ClipperStale"] * 50)]


def test_with_no_exporter_up_nothing_else_is_told(webhook: Webhook, fire: Fire) -> None:
    fire(
        {"alertname": "ClipperExporterDown", "severity": "critical", "topic": "exporter", "instance": "a", "job": "c"},
        {"alertname": "ClipperExporterDown", "severity": "critical", "topic": "exporter", "instance": "b", "job": "c"},
        {
            "alertname": "ClipperUpdatesRejected",
            "severity": "warning",
            "topic": "exporter",
            "instance": "a",
            "job": "c",
        },
        {"alertname": "ClipperNotRecording", "severity": "warning", "topic": "recording", "streamer": "xQc"},
        audience("ClipperViewerDrop", "warning"),
    )
    wait_for_everything(webhook, fire)
    assert groups(webhook) == [("critical", ["ClipperExporterDown"] * 2)]


def test_with_one_exporter_down_the_others_are_heard(webhook: Webhook, fire: Fire) -> None:
    fire(
        {"alertname": "ClipperExporterDown", "severity": "warning", "topic": "exporter", "instance": "a", "job": "c"},
        {
            "alertname": "ClipperUpdatesRejected",
            "severity": "warning",
            "topic": "exporter",
            "instance": "a",
            "job": "c",
        },
        {
            "alertname": "ClipperStreamersNearLimit",
            "severity": "warning",
            "topic": "exporter",
            "instance": "b",
            "job": "c",
        },
        audience("ClipperViewerSpike", "info"),
    )
    wait_for_everything(webhook, fire)
    assert groups(webhook) == [
        ("info", ["ClipperViewerSpike"]),
        ("warning", ["ClipperExporterDown"]),
        ("warning", ["ClipperStreamersNearLimit"]),
    ]


@pytest.fixture
def people(alertmanager_program: Path, tmp_path: Path) -> Iterator[tuple[str, Webhook, Webhook]]:
    """An Alertmanager's URL, and what stands in for Discord and for Slack."""
    with running_webhook() as discord, running_webhook() as slack:
        text = configured(DISCORD_WEBHOOK_URL=discord.url, SLACK_WEBHOOK_URL=slack.url)
        with running_alertmanager(alertmanager_program, tmp_path, text) as url:
            yield url, discord, slack


def test_people_read_what_happened_and_where_to_look(people: tuple[str, Webhook, Webhook]) -> None:
    url, discord, slack = people
    send(url, audience("ClipperViewerSpike", "info", NAME))
    [embed] = discord.wait_for(DEADLINE).payload["embeds"]
    assert embed["title"] == f"{NAME}: summary"
    assert embed["description"].split("\n") == [f"What {NAME} does.", "http://localhost:3000/d/clipper-streamer", ""]

    # Slack reads markup; a name must not be able to call everybody.
    escaped = NAME.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    [attachment] = slack.wait_for(DEADLINE).payload["attachments"]
    assert attachment["title"] == f"{escaped}: summary"
    assert attachment["title_link"] == "http://localhost:3000/d/clipper-streamer"
    assert attachment["text"].startswith(f"What {escaped} does.\n")


def test_several_alerts_of_a_message_are_all_read_with_the_runbook(people: tuple[str, Webhook, Webhook]) -> None:
    url, discord, _ = people
    missed = {"alertname": "ClipperNotRecording", "severity": "warning", "topic": "recording"}
    send(url, {**missed, "streamer": "one"}, {**missed, "streamer": "two"})
    [embed] = discord.wait_for(DEADLINE).payload["embeds"]
    assert embed["title"] == "one: summary (one of 2)"
    link, runbook = "http://localhost:3000/d/clipper-streamer", "What to do: alerts/RUNBOOK.md#it"
    assert [line for line in embed["description"].split("\n") if line] == [
        *("one: summary", "What one does.", link, runbook),
        *("two: summary", "What two does.", link, runbook),
    ]
